//! Parts that the notices of several providers share.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};

use crate::domain::gateway::{
    models::notice::NoticeKind,
    services::ports::{NoticeBody, NoticeEvent, NoticeRefusal, UnverifiedNotice},
};

/// A required parameter.
pub(in crate::adapters::providers) fn parameter<'n>(
    notice: &'n UnverifiedNotice,
    name: &str,
) -> Result<&'n str, NoticeRefusal> {
    match &notice.body {
        NoticeBody::Parameters(parameters) => named(parameters, name),
        NoticeBody::Json(_) => Err(NoticeRefusal::Malformed),
        NoticeBody::DeletionRequest(_) | NoticeBody::SecurityEvent(_) => Err(NoticeRefusal::Unsupported),
    }
}

/// A required parameter of a form.
pub(in crate::adapters::providers) fn named<'n>(
    parameters: &'n BTreeMap<&str, String>,
    name: &str,
) -> Result<&'n str, NoticeRefusal> {
    parameters.get(name).map(String::as_str).filter(|value| !value.is_empty()).ok_or(NoticeRefusal::Malformed)
}

/// This person revoked their grants.
pub(in crate::adapters::providers) fn grants_revoked(subject: String) -> Vec<NoticeEvent> {
    vec![NoticeEvent { subject, kind: NoticeKind::GrantsRevoked }]
}

/// The time in a notice, in seconds since 1970.
pub(in crate::adapters::providers) fn time(seconds: i64) -> Result<DateTime<Utc>, NoticeRefusal> {
    /// The year 9999: later times could overflow in additions.
    const LATEST: i64 = 253_402_300_799;
    let seconds = Some(seconds).filter(|seconds| (0..=LATEST).contains(seconds));
    seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0)).ok_or(NoticeRefusal::Malformed)
}

/// Decodes base64 of either alphabet, padded or not, as PHP and Java do: the providers write their examples in these.
pub(in crate::adapters::providers) fn base64(text: &str) -> Result<Vec<u8>, NoticeRefusal> {
    let url_safe = text.trim_end_matches('=').replace('+', "-").replace('/', "_");
    URL_SAFE_NO_PAD.decode(url_safe).map_err(|_| NoticeRefusal::Malformed)
}

/// Whether `signature`, in base64, is the HMAC-SHA256 of `signed`; compared in constant time.
pub(in crate::adapters::providers) fn verify_hmac(
    key: &[u8],
    signed: &str,
    signature: &str,
) -> Result<(), NoticeRefusal> {
    let signature = base64(signature).map_err(|_| NoticeRefusal::Unverified)?;
    verify(key, signed.as_bytes(), &signature)
}

/// As above, with the signature in hexadecimal digits.
pub(in crate::adapters::providers) fn verify_hex_hmac(
    key: &[u8],
    signed: &[u8],
    signature: &str,
) -> Result<(), NoticeRefusal> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = signature.as_bytes().as_chunks::<2>();
    let bytes: Option<Vec<u8>> = pairs.iter().map(|[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect();
    let signature = bytes.filter(|_| rest.is_empty()).ok_or(NoticeRefusal::Unverified)?;
    verify(key, signed, &signature)
}

fn verify(key: &[u8], signed: &[u8], signature: &[u8]) -> Result<(), NoticeRefusal> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::verify(&key, signed, signature).map_err(|_| NoticeRefusal::Unverified)
}
