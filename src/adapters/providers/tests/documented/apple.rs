//! Apple.

use serde_json::json;

use super::{
    ID_TOKEN,
    Operation::{Refresh, Revoke, Token},
    Outcome::{Done, GrantEnds, OurFault, TheirFault, Unknown},
    Provided,
};
use crate::{
    adapters::providers::tests::{
        apple::{CLIENT, ISSUER},
        fake::Reply,
    },
    domain::gateway::services::ports::NoticeBody,
};

const TOKENS: &str = "https://developer.apple.com/documentation/signinwithapplerestapi/generate-and-validate-tokens";
const REVOKING: &str = "https://developer.apple.com/documentation/signinwithapplerestapi/revoke-tokens";
const ERRORS: &str = "https://developer.apple.com/documentation/signinwithapplerestapi/errorresponse";
/// The causes of the errors.
const CAUSES: &str =
    "https://developer.apple.com/documentation/technotes/tn3107-resolving-sign-in-with-apple-response-errors";
/// Not documented: seen after the person had revoked the grant.
const TAKEN_BACK: &str = "https://developer.apple.com/forums/thread/123909";

pub(super) fn row() -> Provided {
    let error = |code: &str| (400, json!({ "error": code }));
    Provided::new("APPLE", "POST /revoke")
        .id_tokens(ISSUER, "001234.abcd.0123")
        .audience(CLIENT)
        .notice(
            || NoticeBody::Json(br#"{"payload": "a.b.c"}"#.to_vec()),
            "https://developer.apple.com/documentation/signinwithapple/processing-changes-for-sign-in-with-apple-accounts",
        )
        .only_by_id_token()
        .authorization(
            "…&scope=name+email&PKCE&response_mode=form_post&nonce=s3cret-nonce",
            "https://developer.apple.com/documentation/signinwithapple/incorporating-sign-in-with-apple-into-other-platforms",
        )
        .case(
            Token,
            json!({
                "access_token": "s3cret-access", "token_type": "Bearer", "expires_in": 3600,
                "refresh_token": "s3cret-refresh", "id_token": ID_TOKEN,
            }),
            Done,
            TOKENS,
        )
        .case(Token, error("invalid_grant"), GrantEnds("invalid_grant"), ERRORS)
        .case(
            Token,
            (
                400,
                json!({
                    "error": "invalid_grant", "error_description": "The code has expired or has been revoked."
                }),
            ),
            GrantEnds("invalid_grant"),
            CAUSES,
        )
        .case(Token, error("invalid_client"), OurFault("invalid_client"), ERRORS)
        .case(Token, error("invalid_request"), Unknown("invalid_request"), ERRORS)
        .case(Token, error("unauthorized_client"), Unknown("unauthorized_client"), ERRORS)
        .case(Token, error("unsupported_grant_type"), Unknown("unsupported_grant_type"), ERRORS)
        .case(Token, error("invalid_scope"), Unknown("invalid_scope"), ERRORS)
        .case(
            Refresh,
            json!({"access_token": "s3cret-new", "token_type": "Bearer", "expires_in": 3600, "id_token": "a.b.c"}),
            Done,
            TOKENS,
        )
        .case(Refresh, error("invalid_grant"), GrantEnds("invalid_grant"), ERRORS)
        .case(Refresh, error("invalid_client"), OurFault("invalid_client"), ERRORS)
        .case(Refresh, error("invalid_request"), Unknown("invalid_request"), TAKEN_BACK)
        .case(Refresh, (429, json!({})), TheirFault("http_429"), "RFC 6585 §4")
        .case(Refresh, (500, json!({})), TheirFault("http_500"), "RFC 9110 §15.6.1")
        .case(Revoke, Reply::text(200, ""), Done, REVOKING)
        .case(Revoke, error("invalid_client"), OurFault("invalid_client"), REVOKING)
        .case(Revoke, error("invalid_request"), Unknown("invalid_request"), REVOKING)
        .case(Revoke, error("invalid_grant"), Done, ERRORS)
        .case(Revoke, (503, json!({})), TheirFault("http_503"), "RFC 7009 §2.2.1")
}
