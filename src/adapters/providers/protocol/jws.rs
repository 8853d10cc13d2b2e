//! A JWT that a provider signed (RFC 7515, 7519): taken apart, and verified with one of its keys. What its claims must hold is for
//! the reader: see `id_token`.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, crypto};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::jwks::Key;
use crate::adapters::jose::present;

/// What is wrong with a token. It says nothing of what the token holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0}")]
pub(in crate::adapters::providers) struct Flaw(pub(in crate::adapters::providers) &'static str);

/// A token that was taken apart. Nothing in it is verified.
pub(in crate::adapters::providers) struct Jws<'t> {
    signed: &'t str,
    signature: &'t str,
    header: Header,
    claims: Value,
}

/// A token whose signature is that of a key.
pub(in crate::adapters::providers) struct Verified {
    pub(in crate::adapters::providers) claims: Value,
    /// That of the key.
    pub(in crate::adapters::providers) algorithm: Algorithm,
    /// The one issuer, or the template of one, for which the key is said to be.
    pub(in crate::adapters::providers) key_issuer: Option<String>,
}

/// `alg` is compared with the key's and never followed.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    #[serde(default, deserialize_with = "present")]
    crit: bool,
}

impl<'t> Jws<'t> {
    pub(in crate::adapters::providers) fn parse(token: &'t str) -> Result<Self, Flaw> {
        let malformed = || Flaw("is not a signed JWT");
        let (signed, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
        let (header, claims) = signed.split_once('.').ok_or_else(malformed)?;
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed());
        Ok(Self {
            signed,
            signature,
            header: serde_json::from_slice(&decoded(header)?).map_err(|_| malformed())?,
            claims: serde_json::from_slice(&decoded(claims)?).map_err(|_| malformed())?,
        })
    }

    /// Which key to look for.
    pub(in crate::adapters::providers) fn kid(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// What kind of token it says that it is (RFC 8725 §3.11).
    pub(in crate::adapters::providers) fn typ(&self) -> Option<&str> {
        self.header.typ.as_deref()
    }

    /// Who it says has issued it.
    pub(in crate::adapters::providers) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// The claims, if the signature is the key's. `None` is a key that the provider does not have. The algorithm is the key's, and
    /// the header must agree: a public key is never taken for a shared secret (RFC 8725 §3.1).
    pub(in crate::adapters::providers) fn verify(self, key: Option<&Key>) -> Result<Verified, Flaw> {
        if self.header.crit {
            return Err(Flaw("wants to be understood in ways that we do not know"));
        }
        let key = key.ok_or(Flaw("is signed with a key that the provider does not have"))?;
        if self.header.alg.parse() != Ok(key.algorithm) {
            return Err(Flaw("is signed with another algorithm than its key's"));
        }
        let signed = crypto::verify(self.signature, self.signed.as_bytes(), &key.decoding, key.algorithm);
        if !matches!(signed, Ok(true)) {
            return Err(Flaw("has a bad signature"));
        }
        Ok(Verified { claims: self.claims, algorithm: key.algorithm, key_issuer: key.issuer.clone() })
    }
}
