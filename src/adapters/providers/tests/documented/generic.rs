//! Any OpenID Connect provider, as the standards have it.

use serde_json::json;

use super::{
    ID_TOKEN,
    Operation::{Person, Refresh, Revoke, Token},
    Outcome::{Done, GrantEnds, OurFault, TheirFault, Unknown},
    Provided,
};
use crate::adapters::providers::tests::fake::Reply;

const ERRORS: &str = "RFC 6749 §5.2";
const USERINFO: &str = "https://openid.net/specs/openid-connect-core-1_0.html#UserInfo";
/// Not an error of the token endpoint by the standard, but used as one.
const PASSING: &str = "RFC 6749 §4.1.2.1";
const REVOKING: &str = "RFC 7009 §2.2";

pub(super) fn row() -> Provided {
    let error = |code: &str| (400, json!({ "error": code }));
    Provided::new("OIDC_MY_IDP", "POST /revoke")
        .authorization(
            "…&scope=openid+email+profile&PKCE&nonce=s3cret-nonce",
            "https://openid.net/specs/openid-connect-core-1_0.html#AuthRequest",
        )
        .case(Person, json!({"sub": "u-1"}), Done, USERINFO)
        .case(Person, (401, json!({"error": "invalid_token"})), Done, USERINFO)
        .case(
            Token,
            json!({"access_token": "s3cret-access", "token_type": "Bearer", "expires_in": 3600, "id_token": ID_TOKEN}),
            Done,
            "https://openid.net/specs/openid-connect-core-1_0.html#TokenResponse",
        )
        .case(Token, error("invalid_grant"), GrantEnds("invalid_grant"), ERRORS)
        .case(Token, (401, json!({"error": "invalid_client"})), OurFault("invalid_client"), ERRORS)
        .case(Token, error("unauthorized_client"), Unknown("unauthorized_client"), ERRORS)
        .case(Refresh, json!({"access_token": "s3cret-new", "token_type": "Bearer"}), Done, "RFC 6749 §6")
        .case(Refresh, error("invalid_grant"), GrantEnds("invalid_grant"), ERRORS)
        .case(Refresh, (401, json!({"error": "invalid_client"})), OurFault("invalid_client"), ERRORS)
        .case(Refresh, error("invalid_request"), Unknown("invalid_request"), ERRORS)
        .case(Refresh, error("unauthorized_client"), Unknown("unauthorized_client"), ERRORS)
        .case(Refresh, error("unsupported_grant_type"), Unknown("unsupported_grant_type"), ERRORS)
        .case(Refresh, error("invalid_scope"), Unknown("invalid_scope"), ERRORS)
        .case(Refresh, error("access_denied"), Unknown("access_denied"), PASSING)
        .case(Refresh, error("server_error"), TheirFault("server_error"), PASSING)
        .case(Refresh, error("temporarily_unavailable"), TheirFault("temporarily_unavailable"), PASSING)
        .case(Refresh, error("slow_down"), TheirFault("slow_down"), "RFC 8628 §3.5")
        .case(Refresh, Reply::text(401, ""), Unknown("http_401"), "RFC 9110 §15.5.2")
        .case(Refresh, Reply::text(429, ""), TheirFault("http_429"), "RFC 6585 §4")
        .case(Refresh, Reply::text(503, ""), TheirFault("http_503"), "RFC 9110 §15.6.4")
        .case(Revoke, Reply::text(200, ""), Done, REVOKING)
        .case(Revoke, error("invalid_token"), Done, REVOKING)
        .case(Revoke, error("unsupported_token_type"), Unknown("unsupported_token_type"), "RFC 7009 §2.2.1")
        .case(Revoke, Reply::text(503, ""), TheirFault("http_503"), "RFC 7009 §2.2.1")
}
