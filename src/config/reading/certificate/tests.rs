use std::{fs, io::Write};

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::TimeDelta;
use pkcs8::PrivateKeyInfoRef;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, date_time_ymd};
use tempfile::TempDir;

use super::*;
use crate::config::{Mistakes, Settings, Sources};

const KEY_BYTES: &str = "MC4CAQAwBQYDK2VwBCIEIA";

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        path
    }

    fn files(&self, certificate: &str, key: &str) -> TlsFiles {
        TlsFiles { certificate: self.file("chain.pem", certificate), key: self.file("key.pem", key) }
    }
}

fn certificate(key: &KeyPair) -> String {
    valid_between(key, 2020, 2999)
}

fn valid_between(key: &KeyPair, from: i32, until: i32) -> String {
    let mut params = CertificateParams::new(["www.jinmini.com".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
    params.self_signed(key).unwrap().pem()
}

fn told(files: &TlsFiles) -> Vec<String> {
    files.load().unwrap_err().iter().map(ToString::to_string).collect()
}

/// The key in OpenSSL's format before PKCS#8: the inner value of the latter.
fn traditional(key: &KeyPair, label: &str) -> String {
    let inner = PrivateKeyInfoRef::try_from(key.serialized_der()).unwrap().private_key;
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(inner.as_bytes()))
}

#[test]
fn a_certificate_and_its_key_are_read_in_every_usual_form() {
    let folder = Folder::new();
    for (algorithm, old_label) in [
        (&PKCS_ECDSA_P256_SHA256, Some("EC PRIVATE KEY")),
        (&PKCS_RSA_SHA256, Some("RSA PRIVATE KEY")),
        (&PKCS_ED25519, None),
    ] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let issuer = certificate(&KeyPair::generate().unwrap());
        let chain = format!("what people write above\n{}{issuer}", certificate(&key));
        let pair = folder.files(&chain, &key.serialize_pem()).load().unwrap();
        assert_eq!(pair.certified.cert.len(), 2);
        assert_eq!(pair.not_before.to_string(), "2020-01-01 00:00:00 UTC");
        assert_eq!(pair.not_after.to_string(), "2999-01-01 00:00:00 UTC");
        if let Some(label) = old_label {
            let of_old = folder.files(&chain, &traditional(&key, label)).load().unwrap();
            assert!(of_old.is_same(&pair), "{label}");
        }
        // Both may be in one file, together with other output of OpenSSL.
        let whole = format!(
            "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{}{chain}",
            key.serialize_pem()
        );
        assert!(folder.files(&whole, &whole).load().unwrap().is_same(&pair));
    }
}

#[test]
fn every_mistake_in_the_files_is_reported() {
    let folder = Folder::new();
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let (good, good_key) = (certificate(&key), key.serialize_pem());
    for (certificate, private_key, expected) in [
        ("", good_key.as_str(), "TLS_CERTIFICATE must name a file with a certificate in PEM"),
        (&good_key, &good_key, "TLS_CERTIFICATE must name a file with a certificate in PEM"),
        (
            &good[..good.len() / 2],
            &good_key,
            "TLS_CERTIFICATE must name a file with valid certificates; one in the file is broken",
        ),
        (
            &good.replacen("MII", "MIJ", 1),
            &good_key,
            "TLS_CERTIFICATE must name a file with valid certificates; one in the file is broken",
        ),
        (
            &valid_between(&key, 2030, 2029),
            &good_key,
            "TLS_CERTIFICATE must name a file with valid certificates; one in the file is broken",
        ),
        (&good, "", "TLS_KEY must name a file with a private key in PEM"),
        (&good, &good, "TLS_KEY must name a file with a private key in PEM"),
        (&good, &good_key[..good_key.len() / 2], "TLS_KEY must name a file with a private key in PEM"),
        (
            &good,
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "TLS_KEY must name a file with a key without a passphrase",
        ),
        (
            &good,
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
            "TLS_KEY must name a file with a key without a passphrase",
        ),
        (
            &good,
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "TLS_KEY must name a file with a supported key; RSA of 2048 bits",
        ),
        (&good, &other.serialize_pem(), "TLS_KEY must name the file with the key of the first certificate"),
        (&(certificate(&other) + &good), &good_key, "TLS_KEY must name the file with the key of the first certificate"),
    ] {
        let said = told(&folder.files(certificate, private_key));
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with(expected), "{said:?}");
    }
    let neither = TlsFiles { certificate: folder.0.path().join("none.pem"), key: folder.0.path().to_owned() };
    let said = told(&neither);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("TLS_CERTIFICATE must name a readable file; No such file"), "{said:?}");
    assert!(said[1].starts_with("TLS_KEY must name a readable file; it is not a regular file"), "{said:?}");
}

#[test]
fn nothing_shows_the_key() {
    let folder = Folder::new();
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let lines: Vec<_> = key.serialize_pem().lines().map(str::to_owned).collect();
    // All in one line, as an environment variable may contain it: the PEM parser's own error would quote it.
    for broken in [lines.concat(), lines.join(" "), format!("{}\n{KEY_BYTES}\n", lines[0]), KEY_BYTES.to_owned()] {
        let said = format!("{:?}", folder.files(&broken, &broken).load().unwrap_err());
        assert!(!said.contains(&lines[1][..20]) && !said.contains(KEY_BYTES), "{said}");
    }
    let pair = folder.files(&certificate(&key), &key.serialize_pem()).load().unwrap();
    let secret = PrivateKeyInfoRef::try_from(key.serialized_der()).unwrap().private_key;
    let printed = format!("{pair:?}");
    assert!(!printed.contains(format!("{:?}", secret.as_bytes()).trim_matches(['[', ']'])), "{printed}");
    assert!(!printed.contains(&lines[1][..20]), "{printed}");
}

#[test]
fn a_certificate_is_doubted_before_and_after_its_time() {
    let folder = Folder::new();
    let key = KeyPair::generate().unwrap();
    let pair = folder.files(&valid_between(&key, 2025, 2026), &key.serialize_pem()).load().unwrap();
    let second = TimeDelta::seconds(1);
    assert_eq!(pair.date_warning(pair.not_before), None);
    assert_eq!(pair.date_warning(pair.not_after), None);
    assert!(pair.date_warning(pair.not_before - second).unwrap().ends_with("it is valid from 2025-01-01 00:00:00 UTC"));
    assert!(
        pair.date_warning(pair.not_after + second).unwrap().ends_with("it was valid until 2026-01-01 00:00:00 UTC")
    );
}

fn settings(certificate: &str, key: &str) -> Result<Settings, Mistakes> {
    let variables = [("GATEWAY_ENV", "development"), ("TLS_CERTIFICATE", certificate), ("TLS_KEY", key)];
    Settings::from_sources(&Sources::default().with_environment(variables).with_tls_files())
}

#[test]
fn tls_is_on_with_both_files_off_with_neither_and_wrong_with_one() {
    let folder = Folder::new();
    let key = KeyPair::generate().unwrap();
    let files = folder.files(&certificate(&key), &key.serialize_pem());
    let (certificate, private_key) = (files.certificate.to_str().unwrap(), files.key.to_str().unwrap());
    assert_eq!(settings("", "").unwrap().tls, None);
    let with_tls = settings(certificate, private_key).unwrap();
    assert_eq!(with_tls.tls, Some(files.clone()));
    assert_eq!(
        (with_tls.public.base(), with_tls.tokens.audience.as_str()),
        ("https://localhost:8080", "https://localhost:8080")
    );
    let said =
        |certificate, key| settings(certificate, key).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(said(certificate, ""), ["TLS_KEY is required with TLS_CERTIFICATE: the file with its private key"]);
    assert_eq!(said("", private_key), ["TLS_CERTIFICATE is required with TLS_KEY: the file with its certificate"]);
    let both = said("/none/chain.pem", "/none/key.pem");
    assert_eq!(both.len(), 2, "{both:?}");
    assert!(
        both[0].starts_with("TLS_CERTIFICATE must name a readable file, not \"/none/chain.pem\"; No such"),
        "{both:?}"
    );
    assert!(both[1].starts_with("TLS_KEY must name a readable file, not \"/none/key.pem\"; No such"), "{both:?}");
}

#[test]
fn commands_that_do_not_serve_ignore_the_files() {
    let variables = [("GATEWAY_ENV", "development"), ("TLS_CERTIFICATE", "/none"), ("TLS_KEY", "/none")];
    let sources = Sources::default().with_environment(variables);
    assert!(Settings::from_sources(&sources).is_ok());
    assert!(Settings::from_sources(&sources.with_tls_files()).is_err());
}
