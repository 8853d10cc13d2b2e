//! A JWT that a provider signed (RFC 7515, 7519): parses it, and verifies it with one of the provider's keys. The
//! caller checks the claims: see `id_token`.

use jsonwebtoken::Algorithm;
use serde_json::Value;
use thiserror::Error;

use super::jwks::Key;
use crate::adapters::jose::{CompactJws, Malformed, UnverifiedHeader};

/// Why a token is invalid. The text contains nothing of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0}")]
pub(in crate::adapters::providers) struct Flaw(pub(in crate::adapters::providers) &'static str);

/// A parsed token. Nothing in it is verified.
pub(in crate::adapters::providers) struct Jws<'t> {
    compact: CompactJws<'t>,
    header: UnverifiedHeader,
    claims: Value,
}

/// A token whose signature was verified.
pub(in crate::adapters::providers) struct Verified {
    pub(in crate::adapters::providers) claims: Value,
    /// The algorithm of the key.
    pub(in crate::adapters::providers) algorithm: Algorithm,
    /// The only issuer, or issuer template, that the key is published for.
    pub(in crate::adapters::providers) key_issuer: Option<String>,
}

impl<'t> Jws<'t> {
    pub(in crate::adapters::providers) fn parse(token: &'t str) -> Result<Self, Flaw> {
        let malformed = |_| Flaw("is not a signed JWT");
        let compact = CompactJws::split(token).map_err(malformed)?;
        let header = compact.header().map_err(malformed)?;
        let claims = serde_json::from_slice(&compact.payload().map_err(malformed)?);
        Ok(Self { compact, header, claims: claims.map_err(|_| malformed(Malformed))? })
    }

    /// The id of the key.
    pub(in crate::adapters::providers) fn kid(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// The token's type by its own header (RFC 8725 §3.11).
    pub(in crate::adapters::providers) fn typ(&self) -> Option<&str> {
        self.header.typ.as_deref()
    }

    /// The issuer by the unverified claims.
    pub(in crate::adapters::providers) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// Verifies the signature and returns the claims. `None` stands for a key that the provider does not have. The
    /// algorithm is the key's, and the header must agree: a public key is never taken for a shared secret (RFC 8725
    /// §3.1).
    pub(in crate::adapters::providers) fn verify(self, key: Option<&Key>) -> Result<Verified, Flaw> {
        if self.header.crit {
            return Err(Flaw("requires unsupported extensions (crit)"));
        }
        let key = key.ok_or(Flaw("is signed with a key that the provider does not publish"))?;
        if self.header.alg.parse() != Ok(key.algorithm) {
            return Err(Flaw("is not signed with the algorithm of its key"));
        }
        if !self.compact.is_signed_by(&key.decoding, key.algorithm) {
            return Err(Flaw("has an invalid signature"));
        }
        Ok(Verified { claims: self.claims, algorithm: key.algorithm, key_issuer: key.issuer.clone() })
    }
}
