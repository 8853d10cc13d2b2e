//! GitHub: OAuth apps, and GitHub Apps, whose tokens expire.

use serde_json::{Value, json};

use super::{
    Operation::{Person, Refresh, Revoke, Token},
    Outcome::{Done, GrantEnds, OurFault, TheirFault, Unknown},
    Provided,
};
use crate::{adapters::providers::tests::fake::Reply, domain::gateway::services::ports::NoticeBody};

const CODES: &str = "https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps";
const ERRORS: &str = "https://docs.github.com/en/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors";
const REFRESHING: &str = "https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/refreshing-user-access-tokens";
/// The code for an invalid refresh token is not on its list of errors: seen by apps that refresh.
const BAD_REFRESH_TOKEN: &str = "https://github.com/orgs/community/discussions/24745";
/// The error for an unknown client id is not listed either.
const NOT_FOUND: &str = "https://github.com/octokit/auth-oauth-user.js/issues/239";
const USER: &str = "https://docs.github.com/en/rest/users/users#get-the-authenticated-user";
const DELETING: &str = "https://docs.github.com/en/rest/apps/oauth-applications#delete-an-app-token";
const LIMITS: &str = "https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api";
const STATUSES: &str = "https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api";

pub(super) fn row() -> Provided {
    let error = |code: &str| json!({"error": code, "error_description": "d", "error_uri": "u"});
    let message = |text: &str| json!({"message": text, "documentation_url": "u"});
    let limited = |body: Value| Reply::from((403, body)).header("x-ratelimit-remaining", "0");
    Provided::new("GITHUB", "DELETE /revoke")
        .authorization("…&scope=read%3Auser+user%3Aemail&PKCE", CODES)
        .set("GITHUB_WEBHOOK_SECRET", "s3cret-webhook")
        .notice(
            || NoticeBody::Json(br#"{"action": "revoked", "sender": {"id": 583231}}"#.to_vec()),
            "https://docs.github.com/en/webhooks/webhook-events-and-payloads#github_app_authorization",
        )
        .on_the_way("GET /userinfo", json!({"login": "mina", "id": 583_231}))
        .on_the_way("GET /emails", json!([]))
        .case(
            Token,
            json!({"access_token": "s3cret-gho", "scope": "read:user,user:email", "token_type": "bearer"}),
            Done,
            CODES,
        )
        .case(Token, error("bad_verification_code"), GrantEnds("bad_verification_code"), ERRORS)
        .case(Token, error("incorrect_client_credentials"), OurFault("incorrect_client_credentials"), ERRORS)
        .case(Token, error("redirect_uri_mismatch"), Unknown("redirect_uri_mismatch"), ERRORS)
        .case(Token, error("unverified_user_email"), Unknown("unverified_user_email"), ERRORS)
        .case(Person, json!({"login": "mina", "id": 583_231, "name": "Mina"}), Done, USER)
        .case(Person, (401, message("Bad credentials")), Unknown("http_401"), USER)
        .case(Person, limited(message("API rate limit exceeded")), TheirFault("http_403"), LIMITS)
        .case(
            Refresh,
            json!({
                "access_token": "s3cret-ghu", "expires_in": 28800, "refresh_token": "s3cret-ghr",
                "refresh_token_expires_in": 15_897_600, "scope": "", "token_type": "bearer",
            }),
            Done,
            REFRESHING,
        )
        .case(Refresh, error("bad_refresh_token"), GrantEnds("bad_refresh_token"), BAD_REFRESH_TOKEN)
        .case(Refresh, error("incorrect_client_credentials"), OurFault("incorrect_client_credentials"), ERRORS)
        .case(Refresh, (404, json!({"error": "Not Found"})), OurFault("Not_Found"), NOT_FOUND)
        .case(Refresh, error("unsupported_grant_type"), Unknown("unsupported_grant_type"), REFRESHING)
        .case(Refresh, limited(message("API rate limit exceeded")), TheirFault("http_403"), LIMITS)
        .case(Refresh, (429, message("Too many requests")), TheirFault("http_429"), LIMITS)
        .case(Revoke, Reply::text(204, ""), Done, DELETING)
        .case(Revoke, (404, message("Not Found")), Done, DELETING)
        .case(Revoke, (422, message("Validation Failed")), Done, DELETING)
        .case(Revoke, (401, message("Bad credentials")), OurFault("http_401"), STATUSES)
        .case(Revoke, limited(message("API rate limit exceeded")), TheirFault("http_403"), LIMITS)
}
