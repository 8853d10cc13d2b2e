use chrono::{DateTime, TimeDelta};
use poem_openapi::types::ToJSON;
use serde_json::json;

use super::*;
use crate::domain::gateway::models::{
    token::{AccessToken, RefreshToken, Rejection, TokenFamily},
    values::id::FamilyId,
};

fn read(pairs: &[(&str, &str)]) -> Result<ClientForm, OAuthError> {
    ClientForm::read(Ok(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()))
}

#[test]
fn what_is_empty_is_left_out_and_nothing_is_there_twice() {
    let mut form = read(&[("scope", ""), ("scope", "a b"), ("x", "1"), ("token", "")]).unwrap();
    assert_eq!(form.scope(), Ok(Some("a b".parse().unwrap())));
    assert_eq!(form.scope(), Ok(None));
    let missing = form.require("token").unwrap_err();
    assert_eq!((missing.code, &*missing.description), ("invalid_request", "token is missing"));
    for (name, code) in [("scope", "invalid_request"), ("unknown", "invalid_request"), ("resource", "invalid_target")] {
        let refused = read(&[(name, "a"), (name, "a")]).err().unwrap();
        assert_eq!((refused.status.as_u16(), refused.code), (400, code), "{name}");
    }
    let mut form = read(&[("scope", "a  b")]).unwrap();
    assert_eq!(form.scope().unwrap_err().code, "invalid_scope");
}

/// RFC 6749 §5.2: `error_description` has no quote, no backslash and nothing but ASCII.
#[test]
fn descriptions_are_of_the_characters_that_the_standard_allows() {
    let invalid_scope = read(&[("scope", "a  b")]).unwrap().scope().unwrap_err();
    for error in [
        invalid_scope,
        OAuthError::unsupported_grant_type(),
        OAuthError::unavailable(),
        OAuthError::internal(),
        read(&[("resource", "a"), ("resource", "a")]).err().unwrap(),
    ] {
        let allowed = |c: u8| matches!(c, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        assert!(error.description.bytes().all(allowed), "{}", error.description);
    }
}

#[test]
fn nothing_is_said_of_a_scope_that_is_empty_and_a_refresh_token_that_is_none() {
    let issued = |scope: &str, refresh_token| IssuedToClient {
        access_token: AccessToken::new("a".into()),
        access_ttl: TimeDelta::minutes(15),
        scope: scope.parse().unwrap(),
        refresh_token,
    };
    assert_eq!(
        ClientTokens::from(issued("", None)).to_json(),
        Some(json!({"access_token": "a", "token_type": "Bearer", "expires_in": 900}))
    );
    let refresh_token = RefreshToken::from_random([7; 32]);
    let whole = ClientTokens::from(issued("a b", Some(refresh_token.clone()))).to_json().unwrap();
    assert_eq!((&whole["scope"], &whole["refresh_token"]), (&json!("a b"), &json!(refresh_token.expose())));
}

#[test]
fn an_inactive_token_is_told_by_one_member() {
    for why in Rejection::ALL {
        let told = Introspection::from_model(Verification::Inactive(why), "https://us").to_json();
        assert_eq!(told, Some(json!({"active": false})), "{why}");
    }
}

#[test]
fn a_refresh_token_has_no_token_type() {
    let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
    let family = TokenFamily {
        session: None,
        id: FamilyId::from_random([1; 16]),
        client_id: "gateway".into(),
        subject: "alice".into(),
        scope: "a".parse().unwrap(),
        audience: vec!["https://us".into()],
        claims: serde_json::Map::new(),
        access_ttl: TimeDelta::minutes(1),
        created_at: at(1),
        access_expires_at: at(2),
        revoked_at: None,
    };
    let told =
        Introspection::from_model(Verification::Refresh { family, issued_at: at(5), expires_at: at(9) }, "https://us");
    assert_eq!(
        told.to_json(),
        Some(json!({
            "active": true, "scope": "a", "client_id": "gateway", "sub": "alice", "iss": "https://us", "iat": 5, "exp": 9
        }))
    );
}

#[test]
fn the_metadata_names_the_issuer_and_what_lies_under_it() {
    let metadata = ServerMetadata::new("https://us", "https://us/e");
    assert_eq!(metadata.issuer, "https://us");
    assert_eq!(metadata.token_endpoint, "https://us/e/oauth2/token");
    assert_eq!(metadata.audiences(), ["https://us", "https://us/e/oauth2/token", "https://us/oauth2/token"]);
}

#[test]
fn the_path_of_an_issuer_stands_behind_the_well_known_one() {
    for (issuer, path) in [
        ("https://us", ""),
        ("http://localhost:8080", ""),
        ("https://us/e", "/e"),
        ("http://[::1]:8080/e", "/e"),
        ("https://us:8443/a/b", "/a/b"),
    ] {
        let metadata = ServerMetadata::new(issuer, issuer);
        assert_eq!(metadata.path_by_issuer(), format!("/.well-known/oauth-authorization-server{path}"), "{issuer}");
    }
}
