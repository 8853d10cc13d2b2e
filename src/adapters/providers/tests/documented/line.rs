//! LINE.

use serde_json::json;

use super::{
    ID_TOKEN,
    Operation::{Person, Refresh, Revoke, Token},
    Outcome::{Done, GrantEnds, OurFault, TheirFault, Unknown},
    Provided,
};
use crate::adapters::providers::tests::fake::Reply;

const WEB: &str = "https://developers.line.biz/en/docs/line-login/integrate-line-login/";
const REFERENCE: &str = "https://developers.line.biz/en/reference/line-login/";
/// Its documentation does not list the errors of the token endpoint.
const RFC_ERRORS: &str = "RFC 6749 §5.2";

pub(super) fn row() -> Provided {
    let error = |code: &str| (400, json!({"error": code, "error_description": "d"}));
    let tokens = json!({
        "access_token": "s3cret-bNl4", "expires_in": 2_592_000, "refresh_token": "s3cret-Aa1F",
        "scope": "profile openid", "token_type": "Bearer", "id_token": ID_TOKEN,
    });
    Provided::new("LINE", "POST /revoke")
        .id_tokens_by_secret("https://access.line.me", "U1234567890abcdef1234567890abcdef")
        .authorization("…&scope=openid+profile&PKCE&nonce=s3cret-nonce", WEB)
        .on_the_way("GET /userinfo", json!({"sub": "U1234567890abcdef1234567890abcdef", "name": "Mina"}))
        .case(Token, tokens, Done, REFERENCE)
        .case(Token, error("invalid_grant"), GrantEnds("invalid_grant"), RFC_ERRORS)
        .case(Token, (401, json!({"error": "invalid_client"})), OurFault("invalid_client"), RFC_ERRORS)
        .case(
            Person,
            json!({"sub": "U1234567890abcdef1234567890abcdef", "name": "Mina", "picture": "https://profile.line-scdn.net/0"}),
            Done,
            REFERENCE,
        )
        .case(Person, (400, json!({"message": "The request was invalid"})), Unknown("http_400"), REFERENCE)
        .case(Person, (401, json!({"message": "Authentication failed"})), Unknown("http_401"), REFERENCE)
        .case(Person, (429, json!({"message": "Too many requests"})), TheirFault("http_429"), REFERENCE)
        .case(
            Refresh,
            json!({
                "token_type": "Bearer", "scope": "profile", "access_token": "s3cret-new", "expires_in": 2_591_977,
                "refresh_token": "s3cret-Aa1F",
            }),
            Done,
            REFERENCE,
        )
        .case(Refresh, error("invalid_grant"), GrantEnds("invalid_grant"), RFC_ERRORS)
        .case(Refresh, (401, json!({"error": "invalid_client"})), OurFault("invalid_client"), RFC_ERRORS)
        .case(Refresh, error("invalid_request"), Unknown("invalid_request"), RFC_ERRORS)
        .case(Refresh, Reply::text(500, ""), TheirFault("http_500"), REFERENCE)
        .case(Revoke, Reply::text(200, ""), Done, REFERENCE)
        .case(Revoke, error("invalid_request"), Unknown("invalid_request"), REFERENCE)
        .case(Revoke, Reply::text(500, ""), TheirFault("http_500"), REFERENCE)
}
