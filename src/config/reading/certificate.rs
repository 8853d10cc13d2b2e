//! The certificate for clients and its private key: validates the files, and whether the two match. No message quotes a
//! file: the wrong file may contain the key.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use rustls::{
    CertificateError, Error, RootCertStore,
    client::verify_server_cert_signed_by_trust_anchor,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::ParsedCertificate,
    sign::{CertifiedKey, SigningKey},
};

use super::regular_file;
use crate::config::variables::{TLS_CERTIFICATE, TLS_KEY, Variable};

#[cfg(test)]
mod tests;

/// The paths of the certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// `TLS_CERTIFICATE`: our certificate and those of its issuers, PEM.
    pub certificate: PathBuf,
    /// `TLS_KEY`: the key of our certificate, PEM.
    pub key: PathBuf,
}

/// A certificate and its matching key.
#[derive(Debug, Clone)]
pub struct TlsPair {
    /// The pair in the form of rustls. Its `Debug` does not show the key.
    pub certified: Arc<CertifiedKey>,
    /// The start of the certificate's validity.
    pub not_before: DateTime<Utc>,
    /// The end of the certificate's validity.
    pub not_after: DateTime<Utc>,
}

/// Why a file is invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// Which file.
    pub(in crate::config) variable: Variable,
    /// The rule that the file breaks: `must name …`.
    pub(in crate::config) rule: String,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.variable.name, self.rule)
    }
}

impl TlsFiles {
    /// Reads both files.
    ///
    /// # Errors
    /// All mistakes in them: at least one.
    pub fn load(&self) -> Result<TlsPair, Vec<Unfit>> {
        let chain = contents(&self.certificate).and_then(|pem| chain(&pem)).map_err(unfit(TLS_CERTIFICATE));
        let key = contents(&self.key).and_then(|pem| key(&pem)).map_err(unfit(TLS_KEY));
        match (chain, key) {
            (Ok(Chain { certificates, not_before, not_after }), Ok(key)) => {
                let certified = CertifiedKey::new(certificates, key);
                certified.keys_match().map_err(|_| {
                    let rule = "must name the file with the key of the first certificate in TLS_CERTIFICATE";
                    vec![unfit(TLS_KEY)(rule.to_owned())]
                })?;
                Ok(TlsPair { certified: Arc::new(certified), not_before, not_after })
            }
            (chain, key) => Err([chain.err(), key.err()].into_iter().flatten().collect()),
        }
    }
}

impl TlsPair {
    /// Whether this is the same pair. A certificate has one key, so comparing the chain is enough.
    pub fn is_same(&self, other: &Self) -> bool {
        self.certified.cert == other.certified.cert
    }

    /// Why clients would reject the certificate now, judged by its dates.
    pub fn date_warning(&self, now: DateTime<Utc>) -> Option<String> {
        if now > self.not_after {
            Some(format!("the certificate of TLS_CERTIFICATE has expired: it was valid until {}", self.not_after))
        } else if now < self.not_before {
            Some(format!("the certificate of TLS_CERTIFICATE is not valid yet: it is valid from {}", self.not_before))
        } else {
            None
        }
    }
}

fn unfit(variable: Variable) -> impl FnOnce(String) -> Unfit {
    move |rule| Unfit { variable, rule }
}

pub(in crate::config) fn contents(file: &Path) -> Result<Vec<u8>, String> {
    regular_file::read(file).map_err(|why| format!("must name a readable file; {why}"))
}

/// A certificate and those of its issuers.
pub(in crate::config) struct Chain {
    pub(in crate::config) certificates: Vec<CertificateDer<'static>>,
    not_before: DateTime<Utc>,
    not_after: DateTime<Utc>,
}

pub(in crate::config) fn chain(pem: &[u8]) -> Result<Chain, String> {
    let broken = || "must name a file with valid certificates; one in the file is broken".to_owned();
    // The rustls error for an unreadable line contains the line itself.
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| broken())?;
    let first = certificates.first().ok_or(
        "must name a file with a certificate in PEM (-----BEGIN CERTIFICATE-----); yours comes first, then those of its \
         issuers",
    )?;
    let first = ParsedCertificate::try_from(first).map_err(|_| broken())?;
    let (not_before, not_after) = validity(&first).ok_or_else(broken)?;
    Ok(Chain { certificates, not_before, not_after })
}

/// The validity of a certificate. rustls shows the dates only in errors: verify at the beginning and at the end of
/// time, and read them from the errors. Dates are checked before trust, so an empty root store is enough.
fn validity(certificate: &ParsedCertificate<'_>) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms.all;
    let verified_at = |time| {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(time));
        verify_server_cert_signed_by_trust_anchor(certificate, &RootCertStore::empty(), &[], time, algorithms)
    };
    let not_before = match verified_at(0) {
        Err(Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => not_before,
        _ => UnixTime::since_unix_epoch(Duration::ZERO),
    };
    let Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) = verified_at(u64::MAX)
    else {
        return None;
    };
    let date = |time: UnixTime| DateTime::from_timestamp(time.as_secs().try_into().ok()?, 0);
    Some((date(not_before)?, date(not_after)?))
}

pub(in crate::config) fn key(pem: &[u8]) -> Result<Arc<dyn SigningKey>, String> {
    const LOCKED: &[u8] = b"ENCRYPTED";
    let is_locked = || pem.windows(LOCKED.len()).any(|window| window == LOCKED);
    match PrivateKeyDer::from_pem_slice(pem) {
        Ok(key) => aws_lc_rs::sign::any_supported_type(&key).map_err(|_| {
            "must name a file with a supported key; RSA of 2048 bits or more, ECDSA over P-256, P-384 or P-521, and \
             Ed25519 are supported"
                .to_owned()
        }),
        Err(_) if is_locked() => {
            Err("must name a file with a key without a passphrase; `openssl pkey -in LOCKED -out OPEN` makes one"
                .to_owned())
        }
        Err(_) => Err(
            "must name a file with a private key in PEM; PKCS#8 (-----BEGIN PRIVATE KEY-----), SEC1 and PKCS#1 are \
                 supported"
                .to_owned(),
        ),
    }
}
