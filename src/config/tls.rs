//! Whether clients are served by TLS, and the paths of its files.

use std::path::PathBuf;

use super::{
    reading::{
        certificate::{TlsFiles, Unfit},
        reader::Reader,
    },
    variables::{TLS_CERTIFICATE, TLS_KEY},
};

/// Reads the paths of the files; `None` without TLS, or if a mistake was noted. Mistakes in the files themselves were
/// found before ([`Sources::with_tls_files`](super::Sources::with_tls_files)), and are reported here in order.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<TlsFiles> {
    let certificate = reader.read(&TLS_CERTIFICATE, path);
    let key = reader.read(&TLS_KEY, path);
    match (certificate?, key?) {
        (Some(certificate), Some(key)) => {
            for Unfit { variable, rule } in reader.unfit_tls_files() {
                reader.wrong(variable, rule);
            }
            return Some(TlsFiles { certificate, key });
        }
        (Some(_), None) => reader.required(&TLS_KEY, "with TLS_CERTIFICATE: the file with its private key"),
        (None, Some(_)) => reader.required(&TLS_CERTIFICATE, "with TLS_KEY: the file with its certificate"),
        (None, None) => {}
    }
    None
}

#[expect(clippy::unnecessary_wraps, reason = "the reader takes parsers that may fail")]
fn path(text: &str) -> Result<Option<PathBuf>, String> {
    Ok((!text.is_empty()).then(|| text.into()))
}
