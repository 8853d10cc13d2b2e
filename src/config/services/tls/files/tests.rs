use std::{fs, path::PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::*;

struct Folder(tempfile::TempDir);

impl Folder {
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

fn folder() -> Folder {
    Folder(tempfile::tempdir().unwrap())
}

/// The PEM of an authority, and of a certificate by it with its key.
fn certificates() -> (String, String, String) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = ca.self_signed(&ca_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["gateway".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    (authority.pem(), certificate.pem(), key.serialize_pem())
}

fn said(tls: &ServiceTls) -> Vec<String> {
    ServiceCredentials::load(tls).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn without_files_the_system_decides() {
    let credentials = ServiceCredentials::load(&ServiceTls::default()).unwrap();
    assert!(credentials.roots.is_none() && credentials.client.is_none());
}

#[test]
fn files_are_read_and_changes_are_noticed() {
    let (folder, (ca, certificate, key)) = (folder(), certificates());
    let client = (folder.file("client.crt", &certificate), folder.file("client.key", &key));
    let tls = ServiceTls { ca: Some(folder.file("ca.pem", &ca)), client: Some(client), server_name: None };
    let first = ServiceCredentials::load(&tls).unwrap();
    assert_eq!(first.roots.as_ref().unwrap().len(), 1);
    assert!(first.client.is_some() && first.is_same(&ServiceCredentials::load(&tls).unwrap()));
    let (other_ca, other_certificate, other_key) = certificates();
    folder.file("ca.pem", &format!("{ca}{other_ca}"));
    let second = ServiceCredentials::load(&tls).unwrap();
    assert!(second.roots.as_ref().unwrap().len() == 2 && !second.is_same(&first));
    folder.file("client.crt", &other_certificate);
    assert_eq!(
        said(&tls),
        ["tls.client_key must name the file with the key of the first certificate in tls.client_certificate"]
    );
    folder.file("client.key", &other_key);
    assert!(!second.is_same(&ServiceCredentials::load(&tls).unwrap()));
}

#[test]
fn every_mistake_is_named_and_no_file_is_quoted() {
    let (folder, (_, certificate, key)) = (folder(), certificates());
    let ca = Some(folder.file("ca.pem", &key));
    let client = Some((folder.file("client.crt", "nothing"), folder.0.path().join("missing")));
    let all = said(&ServiceTls { ca: ca.clone(), client, server_name: None });
    for (said, begin) in all.iter().zip([
        "tls.ca must name a file with the certificates of authorities in PEM",
        "tls.client_certificate must name a file with a certificate in PEM",
        "tls.client_key must name a readable file; No such file",
    ]) {
        assert!(said.starts_with(begin), "{said}");
    }
    assert_eq!(all.len(), 3);
    let broken = certificate.replacen("MII", "AAA", 1);
    let ca = Some(folder.file("ca.pem", &broken));
    assert_eq!(
        said(&ServiceTls { ca, client: None, server_name: None }),
        ["tls.ca must name a file with valid certificates; one in the file is broken"]
    );
}
