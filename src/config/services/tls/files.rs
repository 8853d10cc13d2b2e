//! The files of TLS to a service: the authorities that it trusts, and the client certificate. No message quotes a file:
//! the wrong file may contain a key.

use std::{fmt, path::Path, sync::Arc};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
    sign::CertifiedKey,
};

use crate::{
    config::reading::certificate::{chain, contents, key},
    domain::gateway::models::service::ServiceTls,
};

#[cfg(test)]
mod tests;

/// The keys of the files, below `tls` in `gateway.toml`.
pub(super) const CA: &str = "ca";
pub(super) const CERTIFICATE: &str = "client_certificate";
pub(super) const KEY: &str = "client_key";

/// The contents of the files.
#[derive(Debug, Clone)]
pub struct ServiceCredentials {
    /// The trusted authorities; `None` for those of the system.
    pub roots: Option<Arc<RootCertStore>>,
    /// The client certificate. Its `Debug` does not show the key.
    pub client: Option<Arc<CertifiedKey>>,
    authorities: Vec<CertificateDer<'static>>,
}

/// Why a file is invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfitServiceFile {
    /// The key below `tls` in `gateway.toml`: `ca`, `client_certificate` or `client_key`.
    pub key: &'static str,
    /// The rule that the file breaks: `must name …`.
    pub rule: String,
}

impl fmt::Display for UnfitServiceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tls.{} {}", self.key, self.rule)
    }
}

impl ServiceCredentials {
    /// Reads the files of a policy.
    ///
    /// # Errors
    /// All mistakes in them: at least one.
    pub fn load(tls: &ServiceTls) -> Result<Self, Vec<UnfitServiceFile>> {
        let authorities = tls.ca.as_deref().map(authorities).transpose().map_err(|rule| vec![unfit(CA, rule)]);
        let client = tls.client.as_ref().map(|(certificate, key)| client(certificate, key)).transpose();
        match (authorities, client) {
            (Ok(authorities), Ok(client)) => {
                let (authorities, roots) = authorities.unzip();
                Ok(Self { roots, client, authorities: authorities.unwrap_or_default() })
            }
            (authorities, client) => Err([authorities.err(), client.err()].into_iter().flatten().flatten().collect()),
        }
    }

    /// Whether the files have not changed. A certificate has one key, so comparing certificates is enough.
    pub fn is_same(&self, other: &Self) -> bool {
        let chain = |of: &Self| of.client.as_ref().map(|client| client.cert.clone());
        self.authorities == other.authorities && chain(self) == chain(other)
    }
}

fn unfit(key: &'static str, rule: String) -> UnfitServiceFile {
    UnfitServiceFile { key, rule }
}

fn authorities(file: &Path) -> Result<(Vec<CertificateDer<'static>>, Arc<RootCertStore>), String> {
    let broken = || "must name a file with valid certificates; one in the file is broken".to_owned();
    let pem = contents(file)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|_| broken())?;
    if found.is_empty() {
        return Err("must name a file with the certificates of authorities in PEM (-----BEGIN CERTIFICATE-----)".into());
    }
    let mut roots = RootCertStore::empty();
    for authority in &found {
        roots.add(authority.clone()).map_err(|_| broken())?;
    }
    Ok((found, Arc::new(roots)))
}

fn client(certificate: &Path, key_file: &Path) -> Result<Arc<CertifiedKey>, Vec<UnfitServiceFile>> {
    let certificates = contents(certificate).and_then(|pem| chain(&pem)).map_err(|rule| unfit(CERTIFICATE, rule));
    let key = contents(key_file).and_then(|pem| key(&pem)).map_err(|rule| unfit(KEY, rule));
    match (certificates, key) {
        (Ok(chain), Ok(key)) => {
            let certified = CertifiedKey::new(chain.certificates, key);
            certified.keys_match().map_err(|_| {
                let rule = "must name the file with the key of the first certificate in tls.client_certificate";
                vec![unfit(KEY, rule.to_owned())]
            })?;
            Ok(Arc::new(certified))
        }
        (certificates, key) => Err([certificates.err(), key.err()].into_iter().flatten().collect()),
    }
}
