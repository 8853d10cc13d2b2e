//! A self-signed certificate for localhost.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use rcgen::{CertificateParams, KeyPair};

/// The files exist as long as this value.
pub(crate) struct Certificate {
    _folder: tempfile::TempDir,
    chain: String,
    key: String,
}

impl Certificate {
    pub(crate) fn of_localhost() -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let [chain, key] = [("tls.crt", certificate.pem()), ("tls.key", key.serialize_pem())].map(|(name, text)| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        });
        Self { _folder: folder, chain, key }
    }

    /// The variables for the gateway.
    pub(crate) fn settings(&self) -> [(&str, &str); 2] {
        [("TLS_CERTIFICATE", &self.chain), ("TLS_KEY", &self.key)]
    }
}
