use std::{fs, os, path::Path};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tempfile::TempDir;

use super::*;
use crate::ports::testing::TestClock;

/// A certificate and its key, signed by an authority.
fn pair() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["www.jinmini.com".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2030, 1, 1));
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

struct House {
    folder: TempDir,
    clock: Arc<TestClock>,
    keeper: CertificateKeeper,
}

impl House {
    fn with(folder: TempDir) -> Self {
        let clock = TestClock::at(1_700_000_000);
        let files = TlsFiles { certificate: folder.path().join("tls.crt"), key: folder.path().join("tls.key") };
        let keeper = CertificateKeeper::open(files, clock.clone()).unwrap();
        Self { folder, clock, keeper }
    }

    fn new((certificate, key): &(String, String)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), certificate, key);
        Self::with(folder)
    }

    fn look(&mut self) -> Option<News> {
        let found = self.keeper.files.load();
        self.keeper.consider(found)
    }

    fn refused(&mut self) -> String {
        match self.look() {
            Some(News::Refused(why)) => why,
            other => panic!("{other:?}"),
        }
    }
}

fn write(folder: &Path, certificate: &str, key: &str) {
    fs::write(folder.join("tls.crt"), certificate).unwrap();
    fs::write(folder.join("tls.key"), key).unwrap();
}

#[test]
fn nothing_happens_while_the_files_stay_as_they_are() {
    let mut house = House::new(&pair());
    assert_eq!((house.look(), house.look()), (None, None));
}

#[test]
fn two_files_that_are_replaced_one_after_the_other_count_when_they_belong_together() {
    let (old, new) = (pair(), pair());
    let mut house = House::new(&old);
    let before = house.keeper.served.clone();
    write(house.folder.path(), &new.0, &old.1);
    assert_eq!(house.look(), None, "nobody is told of what is over by the next look");
    assert!(house.keeper.served.is_same(&before));
    write(house.folder.path(), &new.0, &new.1);
    assert_eq!(house.look(), Some(News::Reloaded));
    assert!(!house.keeper.served.is_same(&before));
    assert_eq!(house.look(), None);
}

#[test]
fn invalid_files_are_reported_once_for_each_reason() {
    let (old, new) = (pair(), pair());
    let mut house = House::new(&old);
    let before = house.keeper.served.clone();
    write(house.folder.path(), &new.0, &old.1);
    assert_eq!(house.look(), None);
    assert!(house.refused().starts_with("TLS_KEY must name the file with the key of the first certificate"));
    assert_eq!((house.look(), house.look()), (None, None));
    fs::remove_file(house.folder.path().join("tls.key")).unwrap();
    fs::write(house.folder.path().join("tls.crt"), "").unwrap();
    assert_eq!(house.look(), None);
    let both = house.refused();
    assert!(
        both.contains("TLS_CERTIFICATE must name a file with a certificate in PEM")
            && both.contains("; TLS_KEY must name a readable file"),
        "{both}"
    );
    assert!(house.keeper.served.is_same(&before));
    write(house.folder.path(), &old.0, &old.1);
    assert_eq!(house.look(), Some(News::Mended));
    assert_eq!(house.look(), None);
    write(house.folder.path(), &new.0, &new.1);
    assert_eq!(house.look(), Some(News::Reloaded));
}

#[test]
fn a_folder_that_is_swapped_whole_counts_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    // Like a secret that Kubernetes mounts: the files link through `..data` to the newest folder.
    let publish = |name: &str| {
        let (certificate, key) = pair();
        fs::create_dir(path.join(name)).unwrap();
        write(&path.join(name), &certificate, &key);
        os::unix::fs::symlink(name, path.join("..data_tmp")).unwrap();
        fs::rename(path.join("..data_tmp"), path.join("..data")).unwrap();
    };
    publish("..1");
    for file in ["tls.crt", "tls.key"] {
        os::unix::fs::symlink(format!("..data/{file}"), path.join(file)).unwrap();
    }
    let mut house = House::with(folder);
    assert_eq!(house.look(), None);
    publish("..2");
    assert_eq!(house.look(), Some(News::Reloaded));
}

#[test]
fn a_certificate_that_expires_is_told_once() {
    let mut house = House::new(&pair());
    assert_eq!(house.keeper.date_warning(), None);
    house.clock.set(1_900_000_000);
    assert!(house.keeper.date_warning().unwrap().contains("has expired"));
    assert_eq!(house.keeper.date_warning(), None);
}
