//! Discord.

use serde_json::json;

use super::{
    ID_TOKEN,
    Operation::{Person, Refresh, Revoke, Token},
    Outcome::{Done, GrantEnds, OurFault, TheirFault, Unknown},
    Provided,
};

const OAUTH: &str = "https://discord.com/developers/docs/topics/oauth2";
const USER: &str = "https://discord.com/developers/docs/resources/user#get-current-user";
const LIMITS: &str = "https://discord.com/developers/docs/topics/rate-limits";
/// The documentation names no errors of the token endpoint: seen by apps that sign people in and refresh.
const BAD_CODE: &str = "https://github.com/discord/discord-api-docs/issues/5579";
const DEAD: &str = "https://github.com/discord/discord-api-docs/issues/1650";
const USED: &str = "https://github.com/member-gentei/member-gentei/issues/18";

pub(super) fn row() -> Provided {
    let error = |code: &str, description: &str| (400, json!({"error": code, "error_description": description}));
    let tokens = json!({
        "access_token": "s3cret-6qrZ", "token_type": "Bearer", "expires_in": 604_800, "refresh_token": "s3cret-D43f",
        "scope": "openid identify email", "id_token": ID_TOKEN,
    });
    let user = json!({"id": "80351110224678912", "username": "mina", "global_name": "Mina", "verified": true});
    Provided::new("DISCORD", "POST /revoke")
        .id_tokens("https://discord.com", "80351110224678912")
        .authorization("…&scope=openid+identify+email&PKCE&nonce=s3cret-nonce", OAUTH)
        .on_the_way("GET /userinfo", user.clone())
        .case(Token, tokens, Done, OAUTH)
        .case(Token, error("invalid_grant", "Invalid \"code\" in request."), GrantEnds("invalid_grant"), BAD_CODE)
        .case(Token, (401, json!({"error": "invalid_client"})), OurFault("invalid_client"), "RFC 6749 §5.2")
        .case(Person, user, Done, USER)
        .case(Person, (401, json!({"message": "401: Unauthorized", "code": 0})), Unknown("http_401"), USER)
        .case(
            Person,
            (429, json!({"message": "You are being rate limited.", "retry_after": 1.3})),
            TheirFault("http_429"),
            LIMITS,
        )
        .case(
            Refresh,
            json!({
                "access_token": "s3cret-new", "token_type": "Bearer", "expires_in": 604_800,
                "refresh_token": "s3cret-next", "scope": "openid identify email",
            }),
            Done,
            OAUTH,
        )
        .case(Refresh, (400, json!({"error": "invalid_grant"})), GrantEnds("invalid_grant"), DEAD)
        .case(
            Refresh,
            error("invalid_request", "Invalid \"refresh_token\" in request."),
            GrantEnds("invalid_request"),
            USED,
        )
        .case(Refresh, (401, json!({"error": "invalid_client"})), OurFault("invalid_client"), "RFC 6749 §5.2")
        .case(Refresh, error("invalid_request", "d"), Unknown("invalid_request"), "RFC 6749 §5.2")
        .case(Refresh, (429, json!({"message": "You are being rate limited."})), TheirFault("http_429"), LIMITS)
        .case(Revoke, json!({}), Done, OAUTH)
        .case(Revoke, (401, json!({"error": "invalid_client"})), OurFault("invalid_client"), "RFC 7009 §2.2.1")
        .case(Revoke, (429, json!({"message": "You are being rate limited."})), TheirFault("http_429"), LIMITS)
}
