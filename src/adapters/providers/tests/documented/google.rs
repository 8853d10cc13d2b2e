//! Google.

use serde_json::json;

use super::{
    ID_TOKEN,
    Operation::{Person, Refresh, Revoke, Token},
    Outcome::{Done, GrantEnds, OurFault, TheirFault, Unknown},
    Provided,
};
use crate::domain::gateway::{models::values::secret::Secret, services::ports::NoticeBody};

const WEB_SERVER: &str = "https://developers.google.com/identity/protocols/oauth2/web-server";
const OPEN_ID: &str = "https://developers.google.com/identity/openid-connect/openid-connect#obtainuserinfo";
const EXPIRATION: &str = "https://developers.google.com/identity/protocols/oauth2#expiration";
/// Not on Google's list: seen when a client is turned off.
const DISABLED: &str = "https://github.com/openpubkey/opkssh/issues/617";
const RFC_ERRORS: &str = "RFC 6749 §5.2";

pub(super) fn row() -> Provided {
    let error = |code: &str, description: &str| json!({"error": code, "error_description": description});
    Provided::new("GOOGLE", "POST /revoke")
        .id_tokens("https://accounts.google.com", "u-1")
        .notice(
            || NoticeBody::SecurityEvent(Secret::new("a.b.c")),
            "https://developers.google.com/identity/protocols/risc",
        )
        .authorization("…&scope=openid+email+profile&PKCE&nonce=s3cret-nonce&access_type=offline", WEB_SERVER)
        .case(Person, json!({"sub": "u-1", "name": "Mina"}), Done, OPEN_ID)
        .case(Person, (401, json!({"error": "invalid_request"})), Done, OPEN_ID)
        .case(
            Token,
            json!({
                "access_token": "s3cret-access", "expires_in": 3599, "refresh_token": "s3cret-refresh",
                "scope": "openid email profile", "token_type": "Bearer", "id_token": ID_TOKEN,
            }),
            Done,
            WEB_SERVER,
        )
        .case(Token, (400, error("invalid_grant", "Malformed auth code.")), GrantEnds("invalid_grant"), WEB_SERVER)
        .case(Token, (401, error("invalid_client", "Unauthorized")), OurFault("invalid_client"), WEB_SERVER)
        .case(Token, (400, error("redirect_uri_mismatch", "Bad Request")), Unknown("redirect_uri_mismatch"), WEB_SERVER)
        .case(
            Refresh,
            json!({"access_token": "s3cret-new", "expires_in": 3599, "scope": "openid", "token_type": "Bearer"}),
            Done,
            WEB_SERVER,
        )
        .case(
            Refresh,
            (400, error("invalid_grant", "Token has been expired or revoked.")),
            GrantEnds("invalid_grant"),
            EXPIRATION,
        )
        .case(
            Refresh,
            (400, json!({"error": "invalid_grant", "error_subtype": "invalid_rapt"})),
            GrantEnds("invalid_grant"),
            EXPIRATION,
        )
        .case(Refresh, (401, error("invalid_client", "Unauthorized")), OurFault("invalid_client"), WEB_SERVER)
        .case(
            Refresh,
            (401, error("deleted_client", "The OAuth client was deleted.")),
            OurFault("deleted_client"),
            WEB_SERVER,
        )
        .case(
            Refresh,
            (401, error("disabled_client", "The OAuth client was disabled.")),
            OurFault("disabled_client"),
            DISABLED,
        )
        .case(Refresh, (400, json!({"error": "admin_policy_enforced"})), Unknown("admin_policy_enforced"), WEB_SERVER)
        .case(Refresh, (403, json!({"error": "org_internal"})), Unknown("org_internal"), WEB_SERVER)
        .case(Refresh, (401, error("unauthorized_client", "Unauthorized")), Unknown("unauthorized_client"), RFC_ERRORS)
        .case(
            Refresh,
            (400, error("invalid_request", "Missing required parameter")),
            Unknown("invalid_request"),
            WEB_SERVER,
        )
        .case(Refresh, (400, error("invalid_scope", "Bad Request")), Unknown("invalid_scope"), RFC_ERRORS)
        .case(Refresh, (500, json!({"error": "internal_failure"})), TheirFault("http_500"), "RFC 9110 §15.6.1")
        .case(Revoke, json!({}), Done, WEB_SERVER)
        .case(Revoke, (400, error("invalid_token", "Token expired or revoked")), Done, WEB_SERVER)
        .case(Revoke, (400, error("invalid_request", "Bad Request")), Unknown("invalid_request"), WEB_SERVER)
        .case(Revoke, (503, json!({})), TheirFault("http_503"), "RFC 7009 §2.2.1")
}
