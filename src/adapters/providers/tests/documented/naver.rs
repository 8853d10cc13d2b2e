//! Naver.

use serde_json::json;

use super::{
    ID_TOKEN,
    Operation::{Person, Refresh, Revoke, Token},
    Outcome::{Done, GrantEnds, OurFault, TheirFault, Unknown},
    Provided,
};
use crate::{adapters::providers::tests::fake::Reply, domain::gateway::services::ports::NoticeBody};

const API: &str = "https://developers.naver.com/docs/login/api/api.md";
const PROFILE: &str = "https://developers.naver.com/docs/login/profile/profile.md";
const GUIDE: &str = "https://developers.naver.com/docs/login/devguide/devguide.md";
/// The documentation does not cover an invalid refresh token; the tests of Naver's own SDK do.
const SDK: &str = "https://github.com/naver/naveridlogin-sdk-ios-swift (LoginRepositoryTest.swift)";
/// The documentation does not cover a wrong secret or a used code either: seen by apps that sign people in.
const BAD_SECRET: &str =
    "https://github.com/VictoriousKIM/smart_review_app/blob/main/docs/naver-auth-error-fix-summary.md";
const USED_CODE: &str = "https://developers.naver.com/forum";

/// By OpenID Connect, with the same errors by its documentation.
pub(super) fn row() -> Provided {
    let tokens = json!({
        "access_token": "s3cret-aaa", "refresh_token": "s3cret-c8c", "token_type": "bearer", "expires_in": 3600,
        "id_token": ID_TOKEN,
    });
    cases(Provided::new("NAVER", "POST /revoke").id_tokens("https://nid.naver.com", "32742776"))
        .authorization("…&scope=openid&PKCE&nonce=s3cret-nonce", GUIDE)
        .case(Token, tokens, Done, GUIDE)
}

/// By plain OAuth 2.0.
pub(super) fn plain_row() -> Provided {
    let tokens = json!({
        "access_token": "s3cret-aaa", "refresh_token": "s3cret-c8c", "token_type": "bearer", "expires_in": "3600",
    });
    cases(Provided::new("NAVER", "POST /revoke").set("NAVER_OIDC", "off"))
        .authorization("…", API)
        .case(Token, tokens, Done, API)
}

fn cases(row: Provided) -> Provided {
    let error = |code: &str, description: &str| json!({"error": code, "error_description": description});
    let unproven = || {
        let names = ["clientId", "encryptUniqueId", "timestamp", "signature"];
        NoticeBody::Parameters(names.map(|name| (name, "AAAA".to_owned())).into())
    };
    row.notice(unproven, GUIDE)
        .on_the_way("GET /userinfo", json!({"resultcode": "00", "message": "success", "response": {"id": "32742776"}}))
        .case(Person, json!({"resultcode": "00", "message": "success", "response": {"id": "32742776"}}), Done, PROFILE)
        .case(
            Person,
            (401, json!({"resultcode": "024", "message": "Authentication failed"})),
            Unknown("resultcode:024"),
            PROFILE,
        )
        .case(Person, (403, json!({"resultcode": "403", "message": "Forbidden"})), Unknown("resultcode:403"), PROFILE)
        .case(
            Person,
            (500, json!({"resultcode": "500", "message": "Internal Server Error"})),
            TheirFault("resultcode:500"),
            PROFILE,
        )
        .case(Token, error("invalid_request", "no valid data in session"), GrantEnds("invalid_request"), USED_CODE)
        .case(
            Token,
            error("invalid_request", "wrong client id / client secret pair"),
            OurFault("invalid_request"),
            BAD_SECRET,
        )
        .case(Token, error("unauthorized_client", ""), Unknown("unauthorized_client"), API)
        .case(Token, error("server_error", ""), TheirFault("server_error"), API)
        .case(Refresh, json!({"access_token": "s3cret-bbb", "token_type": "bearer", "expires_in": "3600"}), Done, API)
        .case(Refresh, error("invalid_request", "invalid refresh_token"), GrantEnds("invalid_request"), SDK)
        .case(Refresh, error("invalid_grant", ""), GrantEnds("invalid_grant"), "RFC 6749 §5.2")
        .case(
            Refresh,
            error("invalid_request", "wrong client id / client secret pair"),
            OurFault("invalid_request"),
            BAD_SECRET,
        )
        .case(Refresh, error("invalid_request", ""), Unknown("invalid_request"), API)
        .case(Refresh, error("unauthorized_client", ""), Unknown("unauthorized_client"), API)
        .case(Refresh, error("unsupported_response_type", ""), Unknown("unsupported_response_type"), API)
        .case(Refresh, error("server_error", ""), TheirFault("server_error"), API)
        .case(Refresh, (500, json!({"errorCode": "500"})), TheirFault("resultcode:500"), API)
        .case(Revoke, Reply::text(200, ""), Done, GUIDE)
        .case(Revoke, (400, error("invalid_request", "token is missing")), Unknown("invalid_request"), GUIDE)
        .case(
            Revoke,
            (401, error("unauthorized_client", "Client authentication failed.")),
            OurFault("unauthorized_client"),
            GUIDE,
        )
        .case(Revoke, (503, error("temporarily_unavailable", "")), TheirFault("temporarily_unavailable"), GUIDE)
}
