//! The table `tls` of a service. Its files must exist and contain what they are named for.

pub(in crate::config) mod files;

use std::path::PathBuf;

use rustls::pki_types::ServerName;
use toml::Spanned;

use self::files::{CA, CERTIFICATE, KEY, ServiceCredentials, UnfitServiceFile};
use super::entry::TlsEntry;
use crate::{config::reading::file::FileReader, domain::gateway::models::service::ServiceTls};

/// Reads the table `tls`. `None` means that a mistake was noted.
pub(super) fn read(file: &mut FileReader<'_>, given: &Spanned<TlsEntry>) -> Option<ServiceTls> {
    let entry = given.get_ref();
    let server_name = match &entry.server_name {
        None => Some(None),
        Some(given) => file.field("tls.server_name", given, |text| match ServerName::try_from(text.as_str()) {
            Ok(_) => Ok(Some(text.clone())),
            Err(_) => Err("must be a host name or an IP address".to_owned()),
        }),
    };
    let client = match (&entry.client_certificate, &entry.client_key) {
        (Some(certificate), Some(key)) => Some(Some((path(file, certificate), path(file, key)))),
        (None, None) => Some(None),
        (Some(certificate), None) => {
            file.note(certificate, format!("tls.{CERTIFICATE} needs {KEY}; the file with its private key"));
            None
        }
        (None, Some(key)) => {
            file.note(key, format!("tls.{KEY} needs {CERTIFICATE}; the file with its certificate"));
            None
        }
    };
    let ca = entry.ca.as_ref().map(|given| path(file, given));
    let tls = ServiceTls { ca, client: client?, server_name: server_name? };
    // Files are looked for only beside a file that was read.
    let unfit = file.beside("").and_then(|_| ServiceCredentials::load(&tls).err()).unwrap_or_default();
    let is_fit = unfit.is_empty();
    for UnfitServiceFile { key, rule } in unfit {
        let named = match key {
            CA => &entry.ca,
            CERTIFICATE => &entry.client_certificate,
            _ => &entry.client_key,
        };
        if let Some(named) = named {
            file.field(&format!("tls.{key}"), named, |_| Err::<(), _>(rule));
        }
    }
    is_fit.then_some(tls)
}

fn path(file: &FileReader<'_>, given: &Spanned<String>) -> PathBuf {
    file.beside(given.get_ref()).unwrap_or_else(|| given.get_ref().into())
}
