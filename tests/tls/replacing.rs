//! Replacing the certificate while the gateway serves.

use std::{fs, os::unix::fs::symlink, thread, time::Duration};

use super::{
    client::{Client, Files, Pair, ask, shown},
    gateway, gateway_with,
};

const REPLACED: &str = "the certificate was replaced";
const STAYS: &str = "the old one stays";
/// Longer than two checks of the gateway.
const TWO_LOOKS: Duration = Duration::from_secs(5);

#[test]
fn files_that_are_replaced_one_after_the_other_count_when_they_belong_together() {
    let (old, new) = (Pair::new(), Pair::until(2998));
    let (gateway, files) = gateway(&old, &[]);
    files.write_certificate(&new.certificate_pem);
    files.write_key(&new.key_pem);
    assert!(gateway.printed(REPLACED).contains("2998-01-01"), "{}", gateway.console());
    assert!(!gateway.console().contains(STAYS), "{}", gateway.console());
}

#[test]
fn a_pair_that_does_not_belong_together_is_told_once() {
    let (old, new) = (Pair::new(), Pair::new());
    let (gateway, files) = gateway(&old, &[]);
    files.write_certificate(&new.certificate_pem);
    let told = gateway.printed(STAYS);
    assert!(told.contains("TLS_KEY must name the file with the key of the first certificate"), "{told}");
    thread::sleep(TWO_LOOKS);
    let console = gateway.console();
    assert_eq!(console.matches(STAYS).count(), 1, "{console}");
    assert!(!console.contains(REPLACED), "{console}");
    for line in new.key_pem.lines().chain(old.key_pem.lines()).filter(|line| !line.starts_with("-----")) {
        assert!(!console.contains(line), "{console}");
    }
    files.write_key(&new.key_pem);
    gateway.printed(REPLACED);
}

#[test]
fn a_folder_that_kubernetes_swaps_counts() {
    let (old, new) = (Pair::new(), Pair::until(2998));
    let files = Files::of(&old);
    let folder = files.folder.path();
    let publish = |name: &str, pair: &Pair| {
        fs::create_dir(folder.join(name)).unwrap();
        fs::write(folder.join(name).join("tls.crt"), &pair.certificate_pem).unwrap();
        fs::write(folder.join(name).join("tls.key"), &pair.key_pem).unwrap();
        symlink(name, folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    };
    publish("..1", &old);
    for file in ["tls.crt", "tls.key"] {
        fs::remove_file(folder.join(file)).unwrap();
        symlink(format!("..data/{file}"), folder.join(file)).unwrap();
    }
    let gateway = gateway_with(&files, &[]);
    publish("..2", &new);
    assert!(gateway.printed(REPLACED).contains("2998-01-01"), "{}", gateway.console());
}

#[test]
fn new_connections_get_the_new_certificate_and_open_ones_go_on() {
    let (old, new) = (Pair::new(), Pair::new());
    let (gateway, files) = gateway(&old, &[]);
    let client = Client::that_trusts(&[&old, &new]);
    let mut open = client.connect(gateway.address).unwrap();
    ask(&mut open, "/livez", "").expect(200);
    files.write_key(&new.key_pem);
    files.write_certificate(&new.certificate_pem);
    gateway.printed(REPLACED);
    let mut next = client.connect(gateway.address).unwrap();
    ask(&mut next, "/livez", "").expect(200);
    assert_eq!((shown(&open), shown(&next)), (old.certificate.clone(), new.certificate.clone()));
    ask(&mut open, "/livez", "").expect(200);
}

#[test]
fn the_old_certificate_serves_while_the_new_one_does_not_fit() {
    let (old, new) = (Pair::new(), Pair::new());
    let (gateway, files) = gateway(&old, &[]);
    files.write_certificate(&new.certificate_pem);
    gateway.printed(STAYS);
    let mut connection = Client::that_trusts(&[&old]).connect(gateway.address).unwrap();
    ask(&mut connection, "/livez", "").expect(200);
}
