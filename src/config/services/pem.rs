//! The files for TLS to a service: they must exist and contain what they are named for. No message quotes a file: the
//! wrong one may contain a key.

use std::{fs, path::Path};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use toml::Spanned;

use super::entry::TlsEntry;
use crate::{
    config::{
        certificate::{TlsFiles, Unfit},
        reading::file::FileReader,
        variables::{TLS_CERTIFICATE, TLS_KEY},
    },
    domain::gateway::models::service::ServiceTls,
};

/// The fields of the client's certificate.
const CERTIFICATE: &str = "client_certificate";
const KEY: &str = "client_key";

/// Reads the table `tls`. `None` means that a mistake was noted.
pub(super) fn tls(file: &mut FileReader<'_>, given: &Spanned<TlsEntry>) -> Option<ServiceTls> {
    let entry = given.get_ref();
    let ca = entry.ca.as_ref().map(|given| {
        let path = file.beside(given.get_ref());
        file.field("tls.ca", given, |text| match path {
            Some(path) => roots(&path).map(|()| path),
            None => Ok(text.into()),
        })
    });
    let client = match (&entry.client_certificate, &entry.client_key) {
        (Some(certificate), Some(key)) => Some(client(file, certificate, key)),
        (None, None) => None,
        (Some(certificate), None) => {
            file.note(certificate, format!("tls.{CERTIFICATE} needs {KEY}; the file with its private key"));
            Some(None)
        }
        (None, Some(key)) => {
            file.note(key, format!("tls.{KEY} needs {CERTIFICATE}; the file with its certificate"));
            Some(None)
        }
    };
    let server_name = entry.server_name.as_ref().map(|given| {
        file.field("tls.server_name", given, |text| match ServerName::try_from(text.as_str()) {
            Ok(_) => Ok(text.clone()),
            Err(_) => Err("must be a host name or an IP address".to_owned()),
        })
    });
    Some(ServiceTls { ca: settled(ca)?, client: settled(client)?, server_name: settled(server_name)? })
}

/// The outer `None` means that a mistake was noted.
#[expect(clippy::option_option, reason = "the outer one means that a mistake was noted")]
fn settled<T>(given: Option<Option<T>>) -> Option<Option<T>> {
    match given {
        None => Some(None),
        Some(value) => value.map(Some),
    }
}

fn client(
    file: &mut FileReader<'_>,
    certificate: &Spanned<String>,
    key: &Spanned<String>,
) -> Option<(std::path::PathBuf, std::path::PathBuf)> {
    let (Some(certificate_file), Some(key_file)) = (file.beside(certificate.get_ref()), file.beside(key.get_ref()))
    else {
        return Some((certificate.get_ref().into(), key.get_ref().into()));
    };
    let files = TlsFiles { certificate: certificate_file, key: key_file };
    if let Err(unfit) = files.load() {
        for Unfit { variable, rule } in unfit {
            // The same rules apply to the certificate for clients; only the names differ.
            let rule = rule.replace(TLS_CERTIFICATE.name, CERTIFICATE).replace(TLS_KEY.name, KEY);
            let (name, given) = if variable.name == TLS_KEY.name { (KEY, key) } else { (CERTIFICATE, certificate) };
            file.field(&format!("tls.{name}"), given, |_| Err::<(), _>(rule));
        }
        return None;
    }
    Some((files.certificate, files.key))
}

/// Whether the file has certificates that can be trusted.
fn roots(path: &Path) -> Result<(), String> {
    let pem = fs::read(path).map_err(|why| format!("must name a readable file; {why}"))?;
    let broken = || "must name a file with valid certificates; one in the file is broken".to_owned();
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|_| broken())?;
    if certificates.is_empty() {
        return Err("must name a file with a certificate in PEM (-----BEGIN CERTIFICATE-----)".to_owned());
    }
    let mut roots = RootCertStore::empty();
    certificates.into_iter().try_for_each(|certificate| roots.add(certificate)).map_err(|_| broken())
}
