//! Google: OpenID Connect with known endpoints. A refresh token comes only with `access_type=offline`, and a second time
//! only with `prompt=consent`; it is not rotated. `hd` in the URL is a hint that people can take away: what counts is the claim.

use url::Url;

use super::{
    flow::{ClientAuth, Flow},
    oidc::{Metadata, Oidc},
};
use crate::domain::gateway::models::provider::Endpoints;

/// Its id tokens write the issuer in either form.
const ISSUERS: [&str; 2] = ["https://accounts.google.com", "accounts.google.com"];
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
    Oidc::known(flow, metadata, &OFFLINE, hosted_domain)
}
