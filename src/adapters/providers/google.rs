//! Google: OpenID Connect with known endpoints. A refresh token comes only with `access_type=offline`, and a second time
//! only with `prompt=consent`; it is not rotated. `hd` in the URL is a hint that people can take away: what counts is the claim.

use reqwest::StatusCode;
use serde_json::Value;
use url::Url;

use crate::{
    adapters::providers::{
        oidc::{Dialect, Metadata, Oidc},
        protocol::{
            answer::text,
            error_codes::{ErrorCodes, ErrorResponse},
            flow::{ClientAuth, Flow},
            id_token::Issuers,
            security_event::SecurityEvents,
        },
    },
    domain::gateway::{
        models::{account::ProviderIdentity, provider::Endpoints},
        services::ports::{AdmissionRule, AuthorizationRequest, ProviderError},
    },
};

/// Its id tokens write the issuer in either form.
const ISSUERS: [&str; 2] = ["https://accounts.google.com", "accounts.google.com"];
/// Those of the app: it was deleted, or turned off. An expired or revoked token, and a session that has to be renewed
/// (`invalid_rapt`), are all `invalid_grant`.
const CODES: ErrorCodes = ErrorCodes { grant: &[], client: &["deleted_client", "disabled_client"], provider: &[] };
const ACCESS_TYPE: &str = "access_type";
const OFFLINE: &str = "offline";

/// What is peculiar to Google.
struct Google {
    /// The one domain whose people may sign in.
    hosted_domain: Option<String>,
    /// Whether it is asked for a refresh token: the authorization endpoint as it is set may say otherwise.
    is_offline: bool,
    /// What it tells of people's accounts (Cross-Account Protection, RISC).
    events: SecurityEvents,
}

impl Dialect for Google {
    fn parameters<'r>(&'r self, request: &'r AuthorizationRequest) -> Vec<(&'static str, &'r str)> {
        let mut parameters = vec![(ACCESS_TYPE, OFFLINE)];
        if !request.more_scopes.is_empty() {
            // What the person allowed before stays allowed by the tokens that come.
            parameters.push(("include_granted_scopes", "true"));
        }
        parameters.extend(self.hosted_domain.as_ref().map(|domain| ("hd", domain.as_str())));
        parameters
    }

    fn admit(&self, claims: &Value) -> Result<(), ProviderError> {
        match &self.hosted_domain {
            Some(domain) if !text(claims, "hd").is_some_and(|hd| hd.eq_ignore_ascii_case(domain)) => {
                tracing::warn!("somebody who wanted to sign in is not of the domain GOOGLE_HOSTED_DOMAIN");
                Err(ProviderError::NotAdmitted(AdmissionRule::HostedDomain))
            }
            _ => Ok(()),
        }
    }

    /// It takes the subject, which is more exact than an address.
    fn login_hint<'i>(&self, identity: &'i ProviderIdentity) -> Option<&'i String> {
        Some(&identity.subject)
    }

    fn security_events(&self) -> Option<&SecurityEvents> {
        Some(&self.events)
    }

    fn takes_consent(&self, _: bool) -> bool {
        self.is_offline
    }
}

/// Makes it.
pub(super) fn google(flow: Flow, endpoints: Endpoints, jwks: Url, events: Url, hosted_domain: Option<String>) -> Oidc {
    let events = SecurityEvents::new(events, &flow.clock);
    let is_offline = endpoints.authorize.query_pairs().all(|(name, value)| name != ACCESS_TYPE || value == OFFLINE);
    let metadata = Metadata {
        issuers: Issuers::Named(ISSUERS.map(str::to_owned).to_vec()),
        authorize: endpoints.authorize,
        token: endpoints.token,
        token_auth: ClientAuth::Form,
        userinfo: Some(endpoints.userinfo),
        revoke: Some(endpoints.revoke),
        revoke_auth: ClientAuth::Nothing,
        jwks,
        iss_in_response: false,
    };
    Oidc::known(flow.with_errors(error_of), metadata, Google { hosted_domain, is_offline, events })
}

fn error_of(_: StatusCode, body: &Value) -> Option<ErrorResponse> {
    CODES.error(body)
}
