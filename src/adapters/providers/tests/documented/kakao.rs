//! Kakao.

use serde_json::{Value, json};

use super::{
    ID_TOKEN,
    Operation::{Person, Refresh, Revoke, Token},
    Outcome::{Done, GrantEnds, OurFault, TheirFault, Unknown},
    Provided,
};
use crate::domain::gateway::services::ports::NoticeBody;

const REST: &str = "https://developers.kakao.com/docs/latest/ko/kakaologin/rest-api";
const LOGIN_ERRORS: &str = "https://developers.kakao.com/docs/latest/ko/kakaologin/trouble-shooting";
const API_ERRORS: &str = "https://developers.kakao.com/docs/latest/ko/rest-api/error-code";
const DEAD: &str = "https://devtalk.kakao.com/t/koe322-expired-or-invalid-refresh-token/126899";

fn error(word: &str, number: &str) -> (u16, Value) {
    (400, json!({"error": word, "error_description": "d", "error_code": number}))
}

fn api_error(status: u16, code: i64) -> (u16, Value) {
    (status, json!({"code": code, "msg": "m"}))
}

fn tokens() -> Value {
    json!({
        "token_type": "bearer", "access_token": "s3cret-aaa", "expires_in": 43199,
        "refresh_token": "s3cret-rrr", "refresh_token_expires_in": 5_184_000, "scope": "profile_nickname",
    })
}

/// By OpenID Connect.
pub(super) fn row() -> Provided {
    let mut tokens = tokens();
    tokens["id_token"] = json!(ID_TOKEN);
    cases(Provided::new("KAKAO", "POST /revoke").id_tokens("https://kauth.kakao.com", "123456789"))
        .authorization("…&scope=openid%2Caccount_email%2Cprofile_nickname&PKCE&nonce=s3cret-nonce", REST)
        .case(Token, tokens, Done, REST)
}

/// By plain OAuth 2.0.
pub(super) fn plain_row() -> Provided {
    cases(Provided::new("KAKAO", "POST /revoke").set("KAKAO_OIDC", "off"))
        .authorization("…&scope=account_email%2Cprofile_nickname&PKCE", REST)
        .case(Token, tokens(), Done, REST)
}

fn cases(row: Provided) -> Provided {
    let unproven = || NoticeBody::Parameters([("user_id", "123456789".to_owned())].into());
    let row = row
        .set("KAKAO_ADMIN_KEY", "s3cret-admin-key")
        .notice(unproven, "https://developers.kakao.com/docs/latest/ko/kakaologin/callback");
    row.on_the_way("GET /userinfo", json!({"id": 123_456_789_u64, "kakao_account": {}}))
        .case(Person, json!({"id": 123_456_789_u64, "kakao_account": {}}), Done, REST)
        .case(Person, api_error(401, -401), GrantEnds("code:-401"), API_ERRORS)
        .case(Person, api_error(400, -2), Unknown("code:-2"), API_ERRORS)
        .case(Person, api_error(400, -10), TheirFault("code:-10"), API_ERRORS)
        .case(Token, error("invalid_grant", "KOE303"), GrantEnds("KOE303"), LOGIN_ERRORS)
        .case(Token, error("invalid_grant", "KOE320"), GrantEnds("KOE320"), LOGIN_ERRORS)
        .case(Token, error("invalid_client", "KOE010"), OurFault("KOE010"), LOGIN_ERRORS)
        .case(Token, error("invalid_client", "KOE101"), OurFault("KOE101"), LOGIN_ERRORS)
        .case(Token, error("invalid_request", "KOE237"), TheirFault("KOE237"), LOGIN_ERRORS)
        .case(Refresh, json!({"access_token": "s3cret-bbb", "token_type": "bearer", "expires_in": 43199}), Done, REST)
        .case(Refresh, error("invalid_grant", "KOE319"), GrantEnds("KOE319"), LOGIN_ERRORS)
        .case(Refresh, error("invalid_grant", "KOE322"), GrantEnds("KOE322"), DEAD)
        .case(Refresh, (400, json!({"error": "invalid_grant"})), GrantEnds("invalid_grant"), "RFC 6749 §5.2")
        .case(Refresh, error("access_denied", "KOE004"), OurFault("KOE004"), LOGIN_ERRORS)
        .case(Refresh, error("misconfigured", "KOE009"), OurFault("KOE009"), LOGIN_ERRORS)
        .case(Refresh, error("invalid_client", "KOE010"), OurFault("KOE010"), LOGIN_ERRORS)
        .case(Refresh, error("invalid_client", "KOE101"), OurFault("KOE101"), LOGIN_ERRORS)
        .case(Refresh, error("invalid_request", "KOE003"), TheirFault("KOE003"), LOGIN_ERRORS)
        .case(Refresh, error("invalid_request", "KOE237"), TheirFault("KOE237"), LOGIN_ERRORS)
        .case(Refresh, error("invalid_request", "KOE001"), Unknown("KOE001"), LOGIN_ERRORS)
        .case(Refresh, error("unsupported_grant_type", "KOE310"), Unknown("KOE310"), LOGIN_ERRORS)
        .case(Revoke, json!({"id": 123_456_789_u64}), Done, REST)
        .case(Revoke, api_error(400, -101), Done, LOGIN_ERRORS)
        .case(Revoke, api_error(401, -401), Done, API_ERRORS)
        .case(Revoke, api_error(400, -103), Unknown("code:-103"), LOGIN_ERRORS)
        .case(Revoke, api_error(403, -3), Unknown("code:-3"), API_ERRORS)
        .case(Revoke, api_error(400, -1), TheirFault("code:-1"), API_ERRORS)
        .case(Revoke, api_error(400, -7), TheirFault("code:-7"), API_ERRORS)
        .case(Revoke, api_error(400, -10), TheirFault("code:-10"), API_ERRORS)
        .case(Revoke, api_error(400, -603), TheirFault("code:-603"), API_ERRORS)
        .case(Revoke, api_error(503, -9798), TheirFault("code:-9798"), API_ERRORS)
}
