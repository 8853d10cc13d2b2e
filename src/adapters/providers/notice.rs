//! What the notices of several providers have in common.

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::domain::gateway::services::ports::{UnlinkError, UnlinkNotice};

/// A parameter that has to be there.
pub(super) fn parameter<'n>(notice: &'n UnlinkNotice, name: &str) -> Result<&'n str, UnlinkError> {
    notice.parameters.get(name).map(String::as_str).filter(|value| !value.is_empty()).ok_or(UnlinkError::Malformed)
}

/// Base64, whether or not it is the kind for URLs and padded: PHP and Java, in which the providers write their examples,
/// read either.
pub(super) fn base64(text: &str) -> Result<Vec<u8>, UnlinkError> {
    let url_safe = text.trim_end_matches('=').replace('+', "-").replace('/', "_");
    URL_SAFE_NO_PAD.decode(url_safe).map_err(|_| UnlinkError::Malformed)
}

/// Whether `signature`, in base64, is the HMAC-SHA256 of `signed`; compared in constant time.
pub(super) fn verify_hmac(key: &[u8], signed: &str, signature: &str) -> Result<(), UnlinkError> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let signature = base64(signature).map_err(|_| UnlinkError::Unverified)?;
    hmac::verify(&key, signed.as_bytes(), &signature).map_err(|_| UnlinkError::Unverified)
}
