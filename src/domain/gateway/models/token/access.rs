//! Access tokens: JWTs by RFC 9068. This module holds the claims and how they are judged; signatures are verified by
//! the implementations of [`SignatureVerifier`].

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use thiserror::Error;

use super::CLOCKS_APART;
use crate::domain::gateway::models::values::{
    id::{ClientId, FamilyId, TokenId},
    identity::{CLIENT_ID_CLAIM, Identity},
    scope::Scope,
};

/// The clock difference that is tolerated when a time claim is judged. RFC 8725 allows "a few minutes" at most; with
/// every second more, an expired token works for a second longer. The deny-list keeps a revocation this much longer
/// than the token lives.
pub const LEEWAY: TimeDelta = TimeDelta::seconds(5);

/// Claims that only the gateway writes; a caller's own claims may not use these names.
pub const RESERVED_CLAIMS: [&str; 12] =
    ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "client_id", "scope", "cnf", "act"];

/// Whether only the gateway writes a claim of this name.
pub fn is_reserved_claim(name: &str) -> bool {
    RESERVED_CLAIMS.contains(&name)
}

/// Why a token is not accepted. The codes are part of the HTTP contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum Rejection {
    /// Not in the form of our tokens: not three parts, not JSON, a claim missing or of the wrong type, the wrong `typ`.
    #[error("the token is malformed")]
    Malformed,
    /// The signature does not match, or the algorithm is not that of the key.
    #[error("the token's signature is not valid")]
    BadSignature,
    /// None of our keys has this `kid`.
    #[error("the token was signed with an unknown key")]
    UnknownKey,
    /// Its `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// Its `nbf` or `iat` is in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Issued by another issuer.
    #[error("the token was issued by another issuer")]
    WrongIssuer,
    /// Meant for another audience.
    #[error("the token is meant for another audience")]
    WrongAudience,
    /// The token or its family was revoked.
    #[error("the token was revoked")]
    Revoked,
    /// An opaque token that is not known here.
    #[error("the token is unknown")]
    Unknown,
}

impl Rejection {
    /// Every reason, in the order of the contract.
    pub const ALL: [Self; 9] = [
        Self::Malformed,
        Self::BadSignature,
        Self::UnknownKey,
        Self::Expired,
        Self::NotYetValid,
        Self::WrongIssuer,
        Self::WrongAudience,
        Self::Revoked,
        Self::Unknown,
    ];

    /// The stable, machine-readable name.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::BadSignature => "bad_signature",
            Self::UnknownKey => "unknown_key",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::WrongIssuer => "wrong_issuer",
            Self::WrongAudience => "wrong_audience",
            Self::Revoked => "revoked",
            Self::Unknown => "unknown",
        }
    }
}

/// The claims set is not one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the claims are not those of an access token")]
pub struct MalformedClaims;

/// The claims of an access token (RFC 9068 §2.2), and `sid`, the family that it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessClaims {
    /// `iss`
    pub issuer: String,
    /// `sub`
    pub subject: String,
    /// `aud`
    pub audience: Vec<String>,
    /// `client_id`
    pub client_id: String,
    /// `scope`
    pub scope: Scope,
    /// `jti`
    pub token_id: TokenId,
    /// `sid`
    pub family: FamilyId,
    /// `iat`, in whole seconds
    pub issued_at: DateTime<Utc>,
    /// `nbf`, in whole seconds
    pub not_before: Option<DateTime<Utc>>,
    /// `exp`, in whole seconds
    pub expires_at: DateTime<Utc>,
    /// The caller's own claims; none of the reserved names is among them.
    pub extra: Map<String, Value>,
}

impl AccessClaims {
    /// Reads a claims set. Every claim that RFC 9068 requires must be present and of the right type (RFC 8725 §3.11).
    pub fn parse(json: &[u8]) -> Result<Self, MalformedClaims> {
        let mut claims: Map<String, Value> = serde_json::from_slice(json).map_err(|_| MalformedClaims)?;
        let audience = match claims.remove("aud") {
            Some(one @ Value::String(_)) => vec![into_text(one)?],
            Some(Value::Array(many)) => many.into_iter().map(into_text).collect::<Result<_, _>>()?,
            _ => return Err(MalformedClaims),
        };
        let parsed = Self {
            issuer: text(&mut claims, "iss")?,
            subject: text(&mut claims, "sub")?,
            audience,
            client_id: text(&mut claims, "client_id")?,
            scope: match claims.remove("scope") {
                None => Scope::default(),
                Some(scope) => into_text(scope)?.parse().map_err(|_| MalformedClaims)?,
            },
            token_id: text(&mut claims, "jti")?.parse().map_err(|_| MalformedClaims)?,
            family: text(&mut claims, "sid")?.parse().map_err(|_| MalformedClaims)?,
            issued_at: time(&mut claims, "iat")?.ok_or(MalformedClaims)?,
            not_before: time(&mut claims, "nbf")?,
            expires_at: time(&mut claims, "exp")?.ok_or(MalformedClaims)?,
            extra: Map::new(),
        };
        claims.retain(|name, _| !is_reserved_claim(name));
        Ok(Self { extra: claims, ..parsed })
    }

    /// The claims set as it is signed.
    pub fn to_json(&self) -> Value {
        let mut claims = self.extra.clone();
        claims.insert("iss".into(), self.issuer.clone().into());
        claims.insert("sub".into(), self.subject.clone().into());
        let audience = match self.audience.as_slice() {
            [one] => one.clone().into(),
            many => many.to_vec().into(),
        };
        claims.insert("aud".into(), audience);
        claims.insert("client_id".into(), self.client_id.clone().into());
        if !self.scope.is_empty() {
            claims.insert("scope".into(), self.scope.to_string().into());
        }
        claims.insert("jti".into(), self.token_id.to_string().into());
        claims.insert("sid".into(), self.family.to_string().into());
        claims.insert("iat".into(), self.issued_at.timestamp().into());
        if let Some(not_before) = self.not_before {
            claims.insert("nbf".into(), not_before.timestamp().into());
        }
        claims.insert("exp".into(), self.expires_at.timestamp().into());
        Value::Object(claims)
    }

    /// Judges everything but the signature and revocation.
    pub fn validate(&self, expected: &Expectations, now: DateTime<Utc>) -> Result<(), Rejection> {
        if self.issuer != expected.issuer {
            return Err(Rejection::WrongIssuer);
        }
        if !self.audience.contains(&expected.audience) {
            return Err(Rejection::WrongAudience);
        }
        self.validate_times(now)
    }

    /// Judges the issuer and the times, for any audience.
    pub fn validate_as_issuer(&self, issuer: &str, now: DateTime<Utc>) -> Result<(), Rejection> {
        if self.issuer != issuer {
            return Err(Rejection::WrongIssuer);
        }
        self.validate_times(now)
    }

    /// Whether it may still be valid on any replica, as their clocks may differ.
    pub fn may_be_live(&self, now: DateTime<Utc>) -> bool {
        now < self.expires_at + LEEWAY + CLOCKS_APART
    }

    fn validate_times(&self, now: DateTime<Utc>) -> Result<(), Rejection> {
        if now >= self.expires_at + LEEWAY {
            return Err(Rejection::Expired);
        }
        if self.issued_at > now + LEEWAY || self.not_before.is_some_and(|at| at > now + LEEWAY) {
            return Err(Rejection::NotYetValid);
        }
        Ok(())
    }

    /// The machine client that it was issued to, if any.
    pub fn client(&self) -> Option<ClientId> {
        self.client_id.parse().ok()
    }

    /// The caller that these claims describe.
    pub fn identity(&self) -> Identity {
        let mut claims = self.extra.clone();
        claims.insert(CLIENT_ID_CLAIM.to_owned(), self.client_id.clone().into());
        Identity {
            subject: self.subject.clone(),
            scope: self.scope.clone(),
            token_id: self.token_id,
            family: self.family,
            expires_at: self.expires_at + LEEWAY,
            claims,
        }
    }
}

fn into_text(value: Value) -> Result<String, MalformedClaims> {
    match value {
        Value::String(text) if !text.is_empty() => Ok(text),
        _ => Err(MalformedClaims),
    }
}

fn text(claims: &mut Map<String, Value>, name: &str) -> Result<String, MalformedClaims> {
    claims.remove(name).ok_or(MalformedClaims).and_then(into_text)
}

fn time(claims: &mut Map<String, Value>, name: &str) -> Result<Option<DateTime<Utc>>, MalformedClaims> {
    /// The year 9999: later times cannot be written as RFC 3339, and adding leeway to them could overflow.
    const LATEST: i64 = 253_402_300_799;
    match claims.remove(name) {
        None => Ok(None),
        Some(value) => value
            .as_i64()
            .filter(|seconds| (0..=LATEST).contains(seconds))
            .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
            .map(Some)
            .ok_or(MalformedClaims),
    }
}

/// The values that an accepted token must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectations {
    /// The issuer: this gateway.
    pub issuer: String,
    /// The audience that the token's must contain.
    pub audience: String,
}

/// Checks a token's form and signature with the keys that are valid at `now`. The returned claims are authentic, but
/// not yet validated: see [`AccessClaims::validate`].
pub trait SignatureVerifier: Send + Sync {
    /// The authentic claims of `token`.
    ///
    /// # Errors
    /// `Malformed`, `UnknownKey` or `BadSignature`.
    fn verify(&self, token: &str) -> Result<AccessClaims, Rejection>;

    /// Whether the key `kid` is one of the valid ones.
    fn knows(&self, kid: &str) -> bool;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims() -> Value {
        json!({
            "iss": "https://www.jinmini.com", "sub": "u1", "aud": "https://www.jinmini.com", "client_id": "gateway",
            "scope": "read write", "jti": TokenId::from_random([1; 16]).to_string(),
            "sid": FamilyId::from_random([2; 16]).to_string(), "iat": 1000, "exp": 2000, "team": "blue",
        })
    }

    fn parse(claims: &Value) -> Result<AccessClaims, MalformedClaims> {
        AccessClaims::parse(claims.to_string().as_bytes())
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn expected() -> Expectations {
        Expectations { issuer: "https://www.jinmini.com".into(), audience: "https://www.jinmini.com".into() }
    }

    #[test]
    fn claims_are_read_and_written_the_same() {
        let parsed = parse(&claims()).unwrap();
        assert_eq!(parsed.to_json(), claims());
        assert_eq!(parsed.extra, json!({"team": "blue"}).as_object().unwrap().clone());
    }

    #[test]
    fn a_claim_of_the_gateway_is_none_of_the_callers_own() {
        let mut with = claims();
        for name in ["cnf", "act"] {
            with[name] = json!({"sub": "u2"});
        }
        assert_eq!(parse(&with), parse(&claims()));
        assert!(RESERVED_CLAIMS.into_iter().all(is_reserved_claim) && !is_reserved_claim("team"));
    }

    #[test]
    fn every_required_claim_must_be_present_and_of_its_type() {
        for name in ["iss", "sub", "aud", "client_id", "jti", "sid", "iat", "exp"] {
            let mut without = claims();
            without.as_object_mut().unwrap().remove(name);
            assert_eq!(parse(&without), Err(MalformedClaims), "without {name}");
            for wrong in [json!(null), json!(true), json!({}), json!("")] {
                let mut with = claims();
                with[name] = wrong.clone();
                assert_eq!(parse(&with), Err(MalformedClaims), "{name} = {wrong}");
            }
        }
        for (name, wrong) in [
            ("exp", json!(1.5)),
            ("exp", json!("2000")),
            ("exp", json!(-1)),
            ("iat", json!(i64::MAX)),
            ("nbf", json!("1")),
        ] {
            let mut with = claims();
            with[name] = wrong.clone();
            assert_eq!(parse(&with), Err(MalformedClaims), "{name} = {wrong}");
        }
    }

    #[test]
    fn a_token_is_valid_until_its_expiry_and_the_leeway_and_no_longer() {
        let claims = parse(&claims()).unwrap();
        assert_eq!(claims.validate(&expected(), at(2004)), Ok(()));
        assert_eq!(claims.validate(&expected(), at(2005)), Err(Rejection::Expired));
        assert_eq!(claims.validate(&expected(), at(995)), Ok(()));
        assert_eq!(claims.validate(&expected(), at(994)), Err(Rejection::NotYetValid));
        let identity = claims.identity();
        assert!(identity.is_live(at(2004)) && !identity.is_live(at(2005)));
    }

    #[test]
    fn a_later_start_is_honoured() {
        let mut with = claims();
        with["nbf"] = json!(1500);
        let claims = parse(&with).unwrap();
        assert_eq!(claims.validate(&expected(), at(1494)), Err(Rejection::NotYetValid));
        assert_eq!(claims.validate(&expected(), at(1495)), Ok(()));
        assert_eq!(claims.to_json(), with);
    }

    #[test]
    fn another_issuer_or_audience_is_refused() {
        let mut other = claims();
        other["iss"] = json!("https://www.jinmini.com/");
        assert_eq!(parse(&other).unwrap().validate(&expected(), at(1500)), Err(Rejection::WrongIssuer));
        let mut other = claims();
        other["aud"] = json!(["a", "b"]);
        assert_eq!(parse(&other).unwrap().validate(&expected(), at(1500)), Err(Rejection::WrongAudience));
        let mut one_of = claims();
        one_of["aud"] = json!(["a", "https://www.jinmini.com"]);
        assert_eq!(parse(&one_of).unwrap().validate(&expected(), at(1500)), Ok(()));
    }

    #[test]
    fn the_issuer_judges_a_token_for_any_audience() {
        let mut for_another = claims();
        for_another["aud"] = json!("orders");
        let claims = parse(&for_another).unwrap();
        let validated = |issuer: &str, seconds: i64| claims.validate_as_issuer(issuer, at(seconds));
        assert_eq!(validated("https://www.jinmini.com", 2004), Ok(()));
        assert_eq!(validated("https://www.jinmini.com", 2005), Err(Rejection::Expired));
        assert_eq!(validated("https://www.jinmini.com", 994), Err(Rejection::NotYetValid));
        assert_eq!(validated("https://example.com", 1500), Err(Rejection::WrongIssuer));
    }

    #[test]
    fn a_token_may_be_live_elsewhere_for_five_minutes_more() {
        let claims = parse(&claims()).unwrap();
        assert!([0, 1500, 2005, 2304].into_iter().all(|seconds| claims.may_be_live(at(seconds))));
        assert!([2305, 2306, 9000].into_iter().all(|seconds| !claims.may_be_live(at(seconds))));
    }

    #[test]
    fn a_token_names_the_machine_client_it_was_issued_to() {
        let client = ClientId::from_random([3; 16]);
        let mut of_machine = claims();
        of_machine["client_id"] = json!(client.to_string());
        assert_eq!(parse(&of_machine).unwrap().client(), Some(client));
        assert_eq!(parse(&claims()).unwrap().client(), None);
    }

    #[test]
    fn every_reason_has_its_own_code() {
        let codes: std::collections::BTreeSet<_> = Rejection::ALL.into_iter().map(Rejection::code).collect();
        assert_eq!(codes.len(), Rejection::ALL.len());
    }
}
