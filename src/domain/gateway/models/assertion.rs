//! Caller assertions: signed statements of who calls, which a service verifies with our JWKS (RFC 7519).

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use super::{
    service::ServiceName,
    values::{id::TokenId, identity::Identity},
};

/// The lifetime of an assertion. It is made for a request that is about to be sent.
const LIFE: TimeDelta = TimeDelta::seconds(60);

/// How long an assertion is reused, so that one that arrives is still valid for a while.
const SENT_FOR: TimeDelta = TimeDelta::seconds(30);

/// The content of an assertion: the caller, and the service that may rely on it.
#[derive(Debug, Clone, PartialEq)]
pub struct CallerAssertion {
    /// `iss`: this gateway.
    pub issuer: String,
    /// `aud`: the one service that it is for.
    pub service: ServiceName,
    /// `jti`
    pub id: TokenId,
    /// `iat`, in whole seconds
    pub issued_at: DateTime<Utc>,
    /// The caller.
    pub caller: Identity,
}

/// An assertion as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedAssertion {
    /// The JWT.
    pub text: String,
    /// The `kid` of the key that has signed it.
    pub key: String,
    /// Until when it may be reused for the same caller.
    pub sent_until: DateTime<Utc>,
}

impl CallerAssertion {
    /// `exp`: not later than that of the credential that the caller presented.
    pub fn expires_at(&self) -> DateTime<Utc> {
        self.caller.expires_at.min(self.issued_at + LIFE)
    }

    /// Until when it may be reused.
    pub fn sent_until(&self) -> DateTime<Utc> {
        self.issued_at + SENT_FOR
    }

    /// The claims set as it is signed: `iss`, `aud`, `sub`, `iat`, `exp`, `jti`, `scope` if there is any, and the
    /// caller's other claims.
    pub fn to_json(&self) -> Value {
        let mut claims: Map<String, Value> = self.caller.claims.clone();
        claims.insert("iss".into(), self.issuer.clone().into());
        claims.insert("aud".into(), self.service.as_str().into());
        claims.insert("sub".into(), self.caller.subject.clone().into());
        claims.insert("iat".into(), self.issued_at.timestamp().into());
        claims.insert("exp".into(), self.expires_at().timestamp().into());
        claims.insert("jti".into(), self.id.to_string().into());
        if !self.caller.scope.is_empty() {
            claims.insert("scope".into(), self.caller.scope.to_string().into());
        }
        Value::Object(claims)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::values::{id::FamilyId, identity::email_claim};
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn assertion(expires_at: i64) -> CallerAssertion {
        CallerAssertion {
            issuer: "https://www.jinmini.com".into(),
            service: "auth".parse().unwrap(),
            id: TokenId::from_random([3; 16]),
            issued_at: at(1_000),
            caller: Identity {
                subject: "u1".into(),
                scope: "write read".parse().unwrap(),
                token_id: TokenId::from_random([1; 16]),
                family: FamilyId::from_random([2; 16]),
                expires_at: at(expires_at),
                claims: email_claim(Some("mina@example.com")),
            },
        }
    }

    #[test]
    fn it_names_the_caller_and_the_service() {
        assert_eq!(
            assertion(5_000).to_json(),
            json!({
                "iss": "https://www.jinmini.com", "aud": "auth", "sub": "u1", "iat": 1_000, "exp": 1_060,
                "jti": TokenId::from_random([3; 16]).to_string(), "scope": "read write", "email": "mina@example.com",
            })
        );
    }

    #[test]
    fn it_does_not_outlive_the_credential() {
        assert_eq!(assertion(1_020).expires_at(), at(1_020));
        assert_eq!((assertion(5_000).expires_at(), assertion(5_000).sent_until()), (at(1_060), at(1_030)));
    }

    #[test]
    fn a_claim_of_the_caller_changes_none_of_ours() {
        let mut assertion = assertion(5_000);
        assertion.caller.claims.insert("aud".into(), "everybody".into());
        assertion.caller.claims.insert("exp".into(), 9_999_999.into());
        let claims = assertion.to_json();
        assert_eq!((&claims["aud"], &claims["exp"]), (&json!("auth"), &json!(1_060)));
    }
}
