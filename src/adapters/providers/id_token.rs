//! What an id token must hold before anybody believes it (OpenID Connect Core §3.1.3.7).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, crypto};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256, Sha512};

use super::{answer::number, jwks::Keys};
use crate::{
    adapters::jose::present,
    domain::gateway::{models::oauth::Secret, services::ports::ProviderError},
};

/// How long an expired token is still taken, in seconds.
const LEEWAY: i64 = 5;
/// How far the provider's clock may be ahead of ours, in seconds.
const AHEAD: i64 = 60;

/// What is expected of a token.
pub(super) struct Expected<'e> {
    /// The issuer, in every form in which it writes itself.
    pub(super) issuers: &'e [String],
    pub(super) client_id: &'e str,
    /// The nonce that was sent, if one was.
    pub(super) nonce: Option<&'e Secret>,
    /// The access token that came along.
    pub(super) access_token: &'e Secret,
    pub(super) now: DateTime<Utc>,
}

/// An id token that was taken apart, but not checked.
pub(super) struct Unchecked<'t> {
    signed: &'t str,
    signature: &'t str,
    header: Header,
    claims: Value,
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

impl<'t> Unchecked<'t> {
    pub(super) fn parse(token: &'t Secret) -> Result<Self, ProviderError> {
        let malformed = || flaw("is not a signed JWT");
        let (signed, signature) = token.expose().rsplit_once('.').ok_or_else(malformed)?;
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
    pub(super) fn kid(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// What it says it is.
    pub(super) fn typ(&self) -> Option<&str> {
        self.header.typ.as_deref()
    }

    /// Who it says has issued it.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// The claims, once everything was checked.
    pub(super) fn check(self, keys: &Keys, expected: &Expected<'_>) -> Result<Value, ProviderError> {
        // An access token or a logout token is signed with the same keys, and says what it is (RFC 8725 §3.11).
        if self.typ().is_some_and(|typ| !typ.eq_ignore_ascii_case("jwt")) {
            return Err(flaw("is another kind of token"));
        }
        let (claims, algorithm) = self.verified(keys)?;
        // A token that tells of events is none of a sign-in, though it may not say so above (RFC 8417 §4.5).
        if claims.get("events").is_some() {
            return Err(flaw("is another kind of token"));
        }
        expected.check(&claims, algorithm)?;
        Ok(claims)
    }

    /// The claims and the algorithm, once the signature was verified. All else depends on the kind of token.
    pub(super) fn verified(self, keys: &Keys) -> Result<(Value, Algorithm), ProviderError> {
        if self.header.crit {
            return Err(flaw("wants to be understood in ways that we do not know"));
        }
        let key = keys.find(self.kid()).ok_or_else(|| flaw("is signed with a key that the provider does not have"))?;
        if self.header.alg.parse() != Ok(key.algorithm) {
            return Err(flaw("is signed with another algorithm than its key's"));
        }
        let signed = crypto::verify(self.signature, self.signed.as_bytes(), &key.decoding, key.algorithm);
        if !matches!(signed, Ok(true)) {
            return Err(flaw("has a bad signature"));
        }
        Ok((self.claims, key.algorithm))
    }
}

impl Expected<'_> {
    fn check(&self, claims: &Value, algorithm: Algorithm) -> Result<(), ProviderError> {
        let text = |claim: &str| claims.get(claim).and_then(Value::as_str);
        if !text("iss").is_some_and(|iss| self.issuers.iter().any(|known| known == iss)) {
            return Err(flaw("has another iss"));
        }
        let azp = text("azp");
        match claims.get("aud") {
            Some(Value::String(aud)) if aud == self.client_id => {}
            Some(Value::Array(auds)) if auds.iter().any(|aud| aud == self.client_id) => {
                if auds.len() > 1 && azp.is_none() {
                    return Err(flaw("has more than one aud and no azp"));
                }
            }
            _ => return Err(flaw("has another aud")),
        }
        if claims.get("azp").is_some() && azp != Some(self.client_id) {
            return Err(flaw("has another azp"));
        }
        let now = self.now.timestamp();
        let exp = number(claims, "exp").ok_or_else(|| flaw("has no exp"))?;
        if now >= exp.saturating_add(LEEWAY) {
            return Err(flaw("is expired"));
        }
        let iat = number(claims, "iat").ok_or_else(|| flaw("has no iat"))?;
        if iat > now + AHEAD {
            return Err(flaw("is from the future"));
        }
        // Optional (RFC 7519 §4.1.5).
        if claims.get("nbf").is_some() && number(claims, "nbf").is_none_or(|nbf| nbf > now.saturating_add(AHEAD)) {
            return Err(flaw("is not valid yet"));
        }
        if let Some(nonce) = self.nonce
            && !text("nonce").is_some_and(|it| equal(it, nonce.expose()))
        {
            return Err(ProviderError::NonceMismatch);
        }
        match claims.get("at_hash") {
            Some(hash) if !hash.as_str().is_some_and(|hash| equal(hash, &at_hash(self.access_token, algorithm))) => {
                Err(flaw("belongs to another access token (at_hash)"))
            }
            _ => Ok(()),
        }
    }
}

/// The left half of the access token's hash (OpenID Connect Core §3.1.3.6); for Ed25519 the hash is SHA-512.
pub(super) fn at_hash(access_token: &Secret, algorithm: Algorithm) -> String {
    if algorithm == Algorithm::EdDSA {
        URL_SAFE_NO_PAD.encode(&Sha512::digest(access_token.expose())[..32])
    } else {
        URL_SAFE_NO_PAD.encode(&Sha256::digest(access_token.expose())[..16])
    }
}

fn equal(a: &str, b: &str) -> bool {
    verify_slices_are_equal(a.as_bytes(), b.as_bytes()).is_ok()
}

/// Says what is wrong, and nothing of what the token holds.
fn flaw(what: &str) -> ProviderError {
    ProviderError::BadAnswer(format!("the id token {what}"))
}
