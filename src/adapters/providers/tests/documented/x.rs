//! X.

use serde_json::json;

use super::{
    Operation::{Person, Refresh, Revoke, Token},
    Outcome::{Done, GrantEnds, OurFault, TheirFault, Unknown},
    Provided,
};

const OAUTH: &str = "https://docs.x.com/fundamentals/authentication/oauth-2-0/user-access-token";
const PKCE: &str = "https://docs.x.com/fundamentals/authentication/oauth-2-0/authorization-code";
const USER: &str = "https://docs.x.com/x-api/users/get-my-user";
const ERRORS: &str = "https://docs.x.com/x-api/fundamentals/response-codes-and-errors";
/// The documentation does not cover a used code, an invalid refresh token or a wrong secret: seen by apps that sign
/// people in.
const USED_CODE: &str = "https://github.com/plhery/node-twitter-api-v2/issues/496";
const DEAD: &str = "https://github.com/transitive-bullshit/chatgpt-twitter-bot (src/twitter.ts)";
const BAD_CLIENT: &str = "https://github.com/unasuke/omniauth-twitter2/issues/4";

pub(super) fn row() -> Provided {
    let error = |code: &str, description: &str| (400, json!({"error": code, "error_description": description}));
    let unauthorized =
        (401, json!({"error": "unauthorized_client", "error_description": "Missing valid authorization header"}));
    let problem = |status: u16, title: &str| (status, json!({"title": title, "status": status, "type": "about:blank"}));
    let user = json!({"data": {"id": "2244994945", "name": "Mina", "username": "mina"}});
    let tokens = json!({
        "token_type": "bearer", "expires_in": 7200, "access_token": "s3cret-Q0p2", "refresh_token": "s3cret-bWRW",
        "scope": "users.read tweet.read offline.access",
    });
    Provided::new("X", "POST /revoke")
        .authorization("…&scope=users.read+tweet.read+offline.access&PKCE", PKCE)
        .on_the_way("GET /userinfo", user.clone())
        .case(Token, tokens.clone(), Done, OAUTH)
        .case(
            Token,
            error("invalid_request", "Value passed for the authorization code was invalid."),
            GrantEnds("invalid_request"),
            USED_CODE,
        )
        .case(Token, unauthorized.clone(), OurFault("unauthorized_client"), BAD_CLIENT)
        .case(Person, user, Done, USER)
        .case(Person, problem(401, "Unauthorized"), Unknown("http_401"), ERRORS)
        .case(Person, problem(403, "Forbidden"), Unknown("http_403"), ERRORS)
        .case(Person, problem(429, "Too Many Requests"), TheirFault("http_429"), ERRORS)
        .case(Refresh, tokens, Done, PKCE)
        .case(
            Refresh,
            error("invalid_request", "Value passed for the token was invalid."),
            GrantEnds("invalid_request"),
            DEAD,
        )
        .case(Refresh, error("invalid_grant", ""), GrantEnds("invalid_grant"), "RFC 6749 §5.2")
        .case(Refresh, unauthorized.clone(), OurFault("unauthorized_client"), BAD_CLIENT)
        .case(
            Refresh,
            error("invalid_request", "Missing required parameter [grant_type]."),
            Unknown("invalid_request"),
            OAUTH,
        )
        .case(Refresh, problem(503, "Service Unavailable"), TheirFault("http_503"), ERRORS)
        .case(Revoke, json!({"revoked": true}), Done, OAUTH)
        .case(Revoke, unauthorized, OurFault("unauthorized_client"), BAD_CLIENT)
        .case(Revoke, problem(503, "Service Unavailable"), TheirFault("http_503"), ERRORS)
}
