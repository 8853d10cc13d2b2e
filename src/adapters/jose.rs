//! Compact JWS (RFC 7515 §7.1): the rules that all signed tokens share, our own and those of other issuers.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use thiserror::Error;

/// The text is not a compact JWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a compact JWS")]
pub(super) struct Malformed;

/// A compact JWS, split into its parts. Nothing in it is verified.
pub(super) struct CompactJws<'t> {
    signed: &'t str,
    header: &'t str,
    payload: &'t str,
    signature: &'t str,
}

/// The header of an unverified JWS. `alg` is compared with the key's and never followed (RFC 8725 §3.1).
#[derive(Deserialize)]
pub(super) struct UnverifiedHeader {
    pub(super) alg: String,
    pub(super) kid: Option<String>,
    pub(super) typ: Option<String>,
    /// Whether there are extensions that a reader must understand (RFC 7515 §4.1.11). The gateway supports none.
    #[serde(default, deserialize_with = "present")]
    pub(super) crit: bool,
}

impl<'t> CompactJws<'t> {
    /// Splits a token. The parts may still be anything.
    pub(super) fn split(token: &'t str) -> Result<Self, Malformed> {
        let (signed, signature) = token.rsplit_once('.').ok_or(Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Malformed)?;
        Ok(Self { signed, header, payload, signature })
    }

    /// Reads the header.
    pub(super) fn header(&self) -> Result<UnverifiedHeader, Malformed> {
        let header = decoded(self.header)?;
        // serde accepts `["ES256", …]` for `{"alg": "ES256", …}`; RFC 7515 §4 does not.
        if header.trim_ascii_start().starts_with(b"[") {
            return Err(Malformed);
        }
        serde_json::from_slice(&header).map_err(|_| Malformed)
    }

    /// Decodes the payload.
    pub(super) fn payload(&self) -> Result<Vec<u8>, Malformed> {
        decoded(self.payload)
    }

    /// Checks that the signature is Base64 at all.
    pub(super) fn check_signature_form(&self) -> Result<(), Malformed> {
        decoded(self.signature).map(|_| ())
    }

    /// Whether the key has signed header and payload with the algorithm.
    pub(super) fn is_signed_by(&self, key: &DecodingKey, algorithm: Algorithm) -> bool {
        crypto::verify(self.signature, self.signed.as_bytes(), key, algorithm).unwrap_or(false)
    }
}

fn decoded(part: &str) -> Result<Vec<u8>, Malformed> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Malformed)
}

/// Whether a member exists, with any value: `null` is a value, too.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}
