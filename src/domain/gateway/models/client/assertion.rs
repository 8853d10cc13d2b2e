//! Client assertions, which clients sign to authenticate (RFC 7523 §3): the claims and how they are judged. Signatures
//! are verified by the implementation of the port.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::domain::gateway::models::{
    token::LEEWAY,
    values::{digest::Sha256Digest, id::ClientId},
};

/// The longest time that an assertion may still be valid. Libraries sign for one to five minutes; authlib for an hour
/// by default. The assertion's id is kept for as long.
pub const LONGEST_ASSERTION: TimeDelta = TimeDelta::hours(1);

/// The longest `jti`, in bytes.
const MAX_ID_BYTES: usize = 256;

/// The claims are not those of an assertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the claims are not those of a client assertion")]
pub struct MalformedAssertion;

/// Why an assertion is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AssertionFault {
    /// `iss` and `sub` are not both the client.
    #[error("iss and sub of the assertion must both be the client_id")]
    WrongClient,
    /// Meant for another audience.
    #[error("aud of the assertion must be this issuer or its token endpoint")]
    WrongAudience,
    /// Its `exp` has passed.
    #[error("the assertion has expired")]
    Expired,
    /// Its `exp` is too far ahead.
    #[error("the assertion must expire within an hour")]
    TooLong,
    /// Its `nbf` or `iat` is in the future.
    #[error("the assertion is not valid yet")]
    NotYetValid,
}

/// The claims of an assertion (RFC 7523 §3, RFC 7521 §4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssertionClaims {
    /// `iss`
    pub issuer: String,
    /// `sub`
    pub subject: String,
    /// `aud`
    pub audience: Vec<String>,
    /// `jti`: the assertion may be used once.
    pub id: String,
    /// `exp`
    pub expires_at: DateTime<Utc>,
    /// The later of `iat` and `nbf`, if present.
    pub valid_from: Option<DateTime<Utc>>,
}

impl AssertionClaims {
    /// Reads a claims set. `jti`, which RFC 7523 makes optional, is required: without it an assertion could be used
    /// again.
    pub fn parse(json: &[u8]) -> Result<Self, MalformedAssertion> {
        let claims: Map<String, Value> = serde_json::from_slice(json).map_err(|_| MalformedAssertion)?;
        let audience = match claims.get("aud") {
            Some(one @ Value::String(_)) => vec![text(Some(one))?],
            Some(Value::Array(many)) => many.iter().map(|one| text(Some(one))).collect::<Result<_, _>>()?,
            _ => return Err(MalformedAssertion),
        };
        let id = text(claims.get("jti"))?;
        if id.len() > MAX_ID_BYTES {
            return Err(MalformedAssertion);
        }
        Ok(Self {
            issuer: text(claims.get("iss"))?,
            subject: text(claims.get("sub"))?,
            audience,
            id,
            expires_at: time(claims.get("exp"))?.ok_or(MalformedAssertion)?,
            valid_from: time(claims.get("iat"))?.max(time(claims.get("nbf"))?),
        })
    }

    /// Judges everything but the signature and earlier use. `audiences` are our names.
    pub fn validate(&self, client: ClientId, audiences: &[String], now: DateTime<Utc>) -> Result<(), AssertionFault> {
        let client = client.to_string();
        if self.issuer != client || self.subject != client {
            return Err(AssertionFault::WrongClient);
        }
        if !self.audience.iter().any(|one| audiences.contains(one)) {
            return Err(AssertionFault::WrongAudience);
        }
        if now >= self.expires_at + LEEWAY {
            return Err(AssertionFault::Expired);
        }
        if self.expires_at > now + LONGEST_ASSERTION + LEEWAY {
            return Err(AssertionFault::TooLong);
        }
        if self.valid_from.is_some_and(|from| from > now + LEEWAY) {
            return Err(AssertionFault::NotYetValid);
        }
        Ok(())
    }

    /// The digest that a store keeps so that the assertion is used only once, and until when: after that it has
    /// expired.
    pub fn use_of(&self, client: ClientId) -> (Sha256Digest, DateTime<Utc>) {
        // A client's id always has the same length, so no two pairs give the same text.
        (Sha256Digest::of(format!("{client}{}", self.id).as_bytes()), self.expires_at + LEEWAY)
    }
}

fn text(claim: Option<&Value>) -> Result<String, MalformedAssertion> {
    match claim {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        _ => Err(MalformedAssertion),
    }
}

/// A time in seconds, possibly with a fraction (RFC 7519 §2).
fn time(claim: Option<&Value>) -> Result<Option<DateTime<Utc>>, MalformedAssertion> {
    /// The year 9999: adding leeway to later times could overflow.
    const LATEST: f64 = 253_402_300_799.0;
    match claim {
        None => Ok(None),
        Some(value) => value
            .as_f64()
            .filter(|seconds| (0.0..=LATEST).contains(seconds))
            .and_then(|seconds| {
                #[expect(clippy::cast_possible_truncation, reason = "it is in range, and the fraction is dropped")]
                let whole = seconds as i64;
                DateTime::from_timestamp(whole, 0)
            })
            .map(Some)
            .ok_or(MalformedAssertion),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn id() -> ClientId {
        ClientId::from_random([7; 16])
    }

    fn claims(changes: &Value) -> Result<AssertionClaims, MalformedAssertion> {
        let id = id().to_string();
        let mut claims = json!({"iss": id, "sub": id, "aud": "https://us", "jti": "1", "exp": NOW + 60, "iat": NOW});
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name);
            }
        }
        AssertionClaims::parse(claims.to_string().as_bytes())
    }

    fn validated(changes: &Value) -> Result<(), AssertionFault> {
        let now = DateTime::from_timestamp(NOW, 0).unwrap();
        claims(changes).unwrap().validate(id(), &["https://us".to_owned(), "https://us/token".to_owned()], now)
    }

    #[test]
    fn claims_required_by_rfc_7523_must_be_present_and_of_the_right_type() {
        for name in ["iss", "sub", "aud", "exp", "jti"] {
            for wrong in [json!(null), json!({}), json!(true), json!("")] {
                assert_eq!(claims(&json!({name: wrong})), Err(MalformedAssertion), "{name}: {wrong}");
            }
        }
        for wrong in [json!({"jti": "x".repeat(257)}), json!({"exp": -1}), json!({"exp": 1e300}), json!({"iat": "x"})] {
            assert_eq!(claims(&wrong), Err(MalformedAssertion), "{wrong}");
        }
        assert!(AssertionClaims::parse(b"[]").is_err() && AssertionClaims::parse(b"x").is_err());
        assert!(claims(&json!({"iat": null, "exp": 1_800_000_060.5})).is_ok());
        assert!(claims(&json!({"jti": "x".repeat(256)})).is_ok());
    }

    #[test]
    fn each_claim_is_judged() {
        for good in [
            json!({}),
            json!({"aud": ["https://other", "https://us/token"]}),
            json!({"exp": NOW - 4}),
            json!({"exp": NOW + 3605}),
            json!({"nbf": NOW + 5}),
        ] {
            assert_eq!(validated(&good), Ok(()), "{good}");
        }
        for (bad, fault) in [
            (json!({"iss": "another"}), AssertionFault::WrongClient),
            (json!({"sub": "another"}), AssertionFault::WrongClient),
            (json!({"aud": "https://us/"}), AssertionFault::WrongAudience),
            (json!({"aud": []}), AssertionFault::WrongAudience),
            (json!({"exp": NOW - 5}), AssertionFault::Expired),
            (json!({"exp": NOW + 3606}), AssertionFault::TooLong),
            (json!({"iat": NOW + 6}), AssertionFault::NotYetValid),
            (json!({"nbf": NOW + 6}), AssertionFault::NotYetValid),
        ] {
            assert_eq!(validated(&bad), Err(fault), "{bad}");
        }
    }

    #[test]
    fn each_client_has_its_own_assertion_ids() {
        let other = ClientId::from_random([8; 16]);
        let one = claims(&json!({})).unwrap();
        assert_eq!(one.use_of(id()), one.use_of(id()));
        assert_ne!(one.use_of(id()).0, one.use_of(other).0);
        assert_ne!(one.use_of(id()).0, claims(&json!({"jti": "2"})).unwrap().use_of(id()).0);
        assert_eq!(one.use_of(id()).1, DateTime::from_timestamp(NOW + 65, 0).unwrap());
    }
}
