use chrono::Utc;
use serde_json::json;

use super::*;
use crate::domain::gateway::{
    models::{
        token::{AccessToken, RefreshToken, Rejection, TokenFamily},
        values::{
            digest::Sha256Digest,
            id::{FamilyId, TokenId},
        },
    },
    schemas::{converted, parse_json, validated},
};

fn mistakes<T: serde::de::DeserializeOwned + Validate + std::fmt::Debug>(json: &Value) -> Vec<(String, String)> {
    let read: T = parse_json(json.to_string().as_bytes()).unwrap();
    let errors = validated(read).unwrap_err().errors;
    errors.into_iter().map(|error| (error.field, error.code)).collect()
}

fn one(field: &str, code: &str) -> Vec<(String, String)> {
    vec![(field.to_owned(), code.to_owned())]
}

#[test]
fn an_empty_object_asks_for_the_defaults() {
    let read: CreateToken = parse_json(b"{}").unwrap();
    assert_eq!(converted::<_, TokenRequest>(read).unwrap(), TokenRequest::default());
}

#[test]
fn everything_that_is_asked_for_reaches_the_model() {
    let json =
        json!({"subject": "alice", "scope": "b a", "audience": "orders", "claims": {"x": [1]}, "expires_in": 60});
    let read: CreateToken = parse_json(json.to_string().as_bytes()).unwrap();
    assert_eq!(
        converted::<_, TokenRequest>(read).unwrap(),
        TokenRequest {
            subject: Some("alice".into()),
            scope: "a b".parse().unwrap(),
            audience: Some("orders".into()),
            claims: json!({"x": [1]}).as_object().unwrap().clone(),
            access_ttl: Some(TimeDelta::seconds(60)),
        }
    );
}

#[test]
fn each_field_of_a_creation_is_checked() {
    for (json, field, code) in [
        (json!({"subject": ""}), "subject", "length"),
        (json!({"subject": "a".repeat(256)}), "subject", "length"),
        (json!({"subject": "a\nb"}), "subject", "control_character"),
        (json!({"scope": "a  b"}), "scope", "scope"),
        (json!({"scope": "a\"b"}), "scope", "scope"),
        (json!({"audience": "\u{7f}"}), "audience", "control_character"),
        (json!({"claims": {"sub": "x"}}), "claims", "reserved_claim"),
        (json!({"claims": {"x": "a".repeat(5000)}}), "claims", "length"),
        (json!({"expires_in": 0}), "expires_in", "range"),
        (json!({"expires_in": -5}), "expires_in", "range"),
        (json!({"expires_in": i64::MIN}), "expires_in", "range"),
    ] {
        assert_eq!(mistakes::<CreateToken>(&json), one(field, code), "{json}");
    }
}

#[test]
fn several_mistakes_are_told_at_once() {
    let found = mistakes::<CreateToken>(&json!({"subject": "", "expires_in": 0}));
    assert_eq!(found, [("expires_in".into(), "range".into()), ("subject".into(), "length".into())]);
}

#[test]
fn the_other_requests_are_checked_too() {
    assert_eq!(mistakes::<VerifyToken>(&json!({"token": ""})), one("token", "length"));
    assert_eq!(mistakes::<RefreshTokens>(&json!({"refresh_token": ""})), one("refresh_token", "length"));
    assert_eq!(mistakes::<RevokeToken>(&json!({"token": ""})), one("token", "length"));
    assert_eq!(mistakes::<CreateDummyToken>(&json!({"token": " "})), one("token", "blank"));
    assert_eq!(mistakes::<CreateDummyToken>(&json!({"token": "a\tb"})), one("token", "control_character"));
    let refresh_token = RefreshToken::from_random([1; 32]);
    assert_eq!(mistakes::<CreateDummyToken>(&json!({"token": refresh_token.expose()})), one("token", "refresh_token"));
    assert_eq!(mistakes::<CreateDummyToken>(&json!({"token": "a".repeat(5000)})), one("token", "length"));
}

#[test]
fn the_examples_are_valid() {
    assert!(validated(CreateToken::example()).is_ok());
    assert!(validated(VerifyToken::example()).is_ok());
    assert!(validated(RefreshTokens::example()).is_ok());
    assert!(validated(RevokeToken::example()).is_ok());
    assert!(validated(CreateDummyToken::example()).is_ok());
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 500_000_000).unwrap()
}

#[test]
fn times_go_out_with_the_offset_of_the_time_zone() {
    let tokens = IssuedTokens {
        access_token: AccessToken::new("jwt".into()),
        access_ttl: TimeDelta::minutes(15),
        refresh_token: RefreshToken::from_random([1; 32]),
        refresh_ttl: TimeDelta::days(30),
        scope: "a b".parse().unwrap(),
        created_at: at(1_800_000_000),
    };
    let pair = TokenPair::from_model(&tokens, chrono_tz::Asia::Seoul);
    assert_eq!(pair.created_at.to_rfc3339(), "2027-01-15T17:00:00+09:00");
    assert_eq!((pair.expires_in, pair.refresh_expires_in), (900, 2_592_000));
    assert_eq!((pair.token_type.as_str(), pair.scope.as_str()), ("Bearer", "a b"));
}

#[test]
fn an_inactive_token_has_a_reason_and_nothing_else() {
    use poem_openapi::types::ToJSON;
    let verification = Verification::Inactive(Rejection::Expired);
    let wire = TokenVerification::from_model(verification, "issuer", chrono_tz::UTC);
    assert_eq!(wire.to_json(), Some(json!({"active": false, "reason": "expired"})));
}

#[test]
fn a_refresh_token_and_a_dummy_token_say_what_they_are() {
    let family = TokenFamily {
        id: FamilyId::from_random([2; 16]),
        client_id: "gateway".into(),
        subject: "alice".into(),
        scope: "read".parse().unwrap(),
        audience: vec!["a".into()],
        claims: serde_json::Map::new(),
        access_ttl: TimeDelta::minutes(15),
        created_at: at(1000),
        access_expires_at: at(2000),
        revoked_at: None,
        session: None,
    };
    let refresh = Verification::Refresh { family, issued_at: at(1000), expires_at: at(5000) };
    let wire = TokenVerification::from_model(refresh, "issuer", chrono_tz::UTC);
    assert_eq!(
        (wire.active, wire.token_type.as_deref(), wire.subject.as_deref(), wire.issuer.as_deref()),
        (true, Some("refresh_token"), Some("alice"), Some("issuer"))
    );
    let dummy = crate::domain::gateway::models::token::DummyToken {
        id: TokenId::from_random([1; 16]),
        digest: Sha256Digest::of(b"hello"),
        family: FamilyId::from_random([2; 16]),
        subject: "dummy".into(),
        scope: Scope::default(),
        created_at: at(1000),
        expires_at: at(1900),
    };
    let typed = DummyText::parse("hello").unwrap();
    let issued = IssuedDummy { dummy: dummy.clone(), refresh_token: RefreshToken::from_random([1; 32]) };
    assert_eq!(DummyTokenPair::from_model(&typed, &issued).access_token, "hello");
    let wire = TokenVerification::from_model(Verification::Dummy(dummy), "issuer", chrono_tz::UTC);
    assert_eq!((wire.active, wire.token_type.as_deref()), (true, Some("dummy_token")));
}
