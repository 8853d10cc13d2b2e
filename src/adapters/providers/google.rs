//! Google: OpenID Connect with known endpoints. A refresh token comes only with `access_type=offline`, and a second time
//! only with `prompt=consent`; it is not rotated. `hd` in the URL is a hint that people can take away: what counts is the claim.

use reqwest::StatusCode;
use serde_json::Value;
use url::Url;

use super::{
    error_codes::{ErrorCodes, ErrorResponse},
    flow::{ClientAuth, Flow},
    oidc::{Metadata, Oidc},
};
use crate::domain::gateway::models::provider::Endpoints;

/// Its id tokens write the issuer in either form.
const ISSUERS: [&str; 2] = ["https://accounts.google.com", "accounts.google.com"];
/// Those of the app: it was deleted, or turned off. An expired or revoked token, and a session that has to be renewed
/// (`invalid_rapt`), are all `invalid_grant`.
const CODES: ErrorCodes = ErrorCodes { grant: &[], client: &["deleted_client", "disabled_client"], provider: &[] };
const OFFLINE: [(&str, &str); 2] = [("access_type", "offline"), ("prompt", "consent")];

/// Makes it.
pub(super) fn google(flow: Flow, endpoints: Endpoints, jwks: Url, hosted_domain: Option<String>) -> Oidc {
    let metadata = Metadata {
        issuers: ISSUERS.map(str::to_owned).to_vec(),
        authorize: endpoints.authorize,
        token: endpoints.token,
        token_auth: ClientAuth::Form,
        userinfo: Some(endpoints.userinfo),
        revoke: Some(endpoints.revoke),
        revoke_auth: ClientAuth::Nothing,
        jwks,
        iss_in_response: false,
    };
    Oidc::known(flow.with_errors(error_of), metadata, &OFFLINE, hosted_domain)
}

fn error_of(_: StatusCode, body: &Value) -> Option<ErrorResponse> {
    CODES.error(body)
}
