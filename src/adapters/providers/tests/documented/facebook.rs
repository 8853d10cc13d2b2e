//! Facebook.

use serde_json::{Value, json};

use super::{
    Operation::{Person, Refresh, Revoke, Token},
    Outcome::{Done, GrantEnds, OurFault, TheirFault, Unknown},
    Provided,
};
use crate::domain::gateway::services::ports::NoticeBody;

const LOGIN: &str = "https://developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow";
const LONG_LIVED: &str = "https://developers.facebook.com/docs/facebook-login/guides/access-tokens/get-long-lived";
const ERRORS: &str = "https://developers.facebook.com/docs/graph-api/guides/error-handling";
const PERMISSIONS: &str = "https://developers.facebook.com/docs/facebook-login/guides/permissions/request-revoke";
const LIMITS: &str = "https://developers.facebook.com/docs/graph-api/overview/rate-limiting";
/// Code 1 is documented as an unknown error: seen when the secret is wrong.
const BAD_SECRET: &str = "https://github.com/facebookarchive/php-graph-sdk/issues/538";
/// Code 101 is that of the older list: the app's id, or its key.
const BAD_APP: &str = "https://www.cnblogs.com/cosnis/archive/2011/01/06/1927545.html";

fn error(code: i64, message: &str) -> (u16, Value) {
    (400, json!({"error": {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "t"}}))
}

pub(super) fn row() -> Provided {
    Provided::new("FACEBOOK", "DELETE /revoke")
        .authorization("…&scope=email%2Cpublic_profile", LOGIN)
        .notice(
            || NoticeBody::Parameters([("signed_request", "AAAA.e30".to_owned())].into()),
            "https://developers.facebook.com/docs/facebook-login/guides/advanced/deauth-callback",
        )
        .on_the_way("GET /userinfo", json!({"id": "10158", "name": "Mina"}))
        .case(
            Token,
            json!({"access_token": "s3cret-eaa", "token_type": "bearer", "expires_in": 5_183_944}),
            Done,
            LOGIN,
        )
        .case(Token, error(100, "This authorization code has been used."), Unknown("OAuthException:100"), LOGIN)
        .case(Token, error(101, "Error validating application."), OurFault("OAuthException:101"), BAD_APP)
        .case(Person, json!({"id": "10158", "name": "Mina"}), Done, LOGIN)
        .case(Person, error(190, "Error validating access token"), GrantEnds("OAuthException:190"), ERRORS)
        .case(Person, error(4, "Application request limit reached"), TheirFault("OAuthException:4"), ERRORS)
        .case(
            Refresh,
            json!({"access_token": "s3cret-eab", "token_type": "bearer", "expires_in": 5_183_944}),
            Done,
            LONG_LIVED,
        )
        .case(Refresh, error(190, "Session has expired"), GrantEnds("OAuthException:190"), ERRORS)
        .case(
            Refresh,
            (400, json!({"error": {"message": "m", "type": "OAuthException", "code": 190, "error_subcode": 458}})),
            GrantEnds("OAuthException:190"),
            ERRORS,
        )
        .case(Refresh, error(1, "Error validating client secret."), OurFault("OAuthException:1"), BAD_SECRET)
        .case(Refresh, error(101, "Error validating application."), OurFault("OAuthException:101"), BAD_APP)
        .case(Refresh, error(1, "An unknown error occurred"), TheirFault("OAuthException:1"), ERRORS)
        .case(Refresh, error(2, "Service temporarily unavailable"), TheirFault("OAuthException:2"), ERRORS)
        .case(Refresh, error(4, "Application request limit reached"), TheirFault("OAuthException:4"), ERRORS)
        .case(Refresh, error(17, "User request limit reached"), TheirFault("OAuthException:17"), ERRORS)
        .case(Refresh, error(32, "Page request limit reached"), TheirFault("OAuthException:32"), LIMITS)
        .case(Refresh, error(341, "Application limit reached"), TheirFault("OAuthException:341"), ERRORS)
        .case(Refresh, error(368, "Temporarily blocked"), TheirFault("OAuthException:368"), ERRORS)
        .case(Refresh, error(613, "Calls exceeded the rate limit"), TheirFault("OAuthException:613"), LIMITS)
        .case(
            Refresh,
            (400, json!({"error": {"message": "m", "type": "OAuthException", "code": 9, "is_transient": true}})),
            TheirFault("OAuthException:9"),
            ERRORS,
        )
        .case(Refresh, error(3, "Unknown method"), Unknown("OAuthException:3"), ERRORS)
        .case(Refresh, error(10, "Permission denied"), Unknown("OAuthException:10"), ERRORS)
        .case(Refresh, error(100, "Invalid parameter"), Unknown("OAuthException:100"), ERRORS)
        .case(Refresh, error(102, "API session"), Unknown("OAuthException:102"), ERRORS)
        .case(Refresh, error(200, "Permission error"), Unknown("OAuthException:200"), ERRORS)
        .case(Refresh, error(299, "Permission error"), Unknown("OAuthException:299"), ERRORS)
        .case(Revoke, json!({"success": true}), Done, PERMISSIONS)
        .case(Revoke, error(190, "The user has not authorized application"), Done, ERRORS)
        .case(Revoke, error(100, "Invalid appsecret_proof"), Unknown("OAuthException:100"), ERRORS)
        .case(Revoke, error(2, "Service temporarily unavailable"), TheirFault("OAuthException:2"), ERRORS)
}
