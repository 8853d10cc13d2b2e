//! Google: OpenID Connect with known endpoints. It issues a refresh token only with `access_type=offline`, and a second
//! one only with `prompt=consent`; it does not rotate them. `hd` in the URL is a hint that people can remove: only the
//! claim counts.

use reqwest::StatusCode;
use serde_json::Value;
use url::Url;

use crate::{
    adapters::providers::{
        oidc::{Dialect, Metadata, Oidc},
        protocol::{
            error_codes::{ErrorCodes, ErrorResponse},
            flow::{ClientAuth, Flow},
            id_token::Issuers,
            response::text,
            security_event::SecurityEvents,
        },
    },
    domain::gateway::{
        models::{account::ProviderIdentity, provider::Endpoints},
        services::ports::{AdmissionRule, AuthorizationRequest, ProviderError},
    },
};

/// The two forms of the issuer in its id tokens.
const ISSUERS: [&str; 2] = ["https://accounts.google.com", "accounts.google.com"];
/// Errors of the app: deleted, or disabled. An expired or revoked token, and a session that must be renewed
/// (`invalid_rapt`), are all `invalid_grant`.
const CODES: ErrorCodes = ErrorCodes { grant: &[], client: &["deleted_client", "disabled_client"], provider: &[] };
const ACCESS_TYPE: &str = "access_type";
const OFFLINE: &str = "offline";

/// The specifics of Google.
struct Google {
    /// The one domain whose people may sign in.
    hosted_domain: Option<String>,
    /// Whether a refresh token is requested: the query of the configured authorization endpoint may say otherwise.
    is_offline: bool,
    /// Notices about people's accounts (Cross-Account Protection, RISC).
    events: SecurityEvents,
}

impl Dialect for Google {
    fn parameters<'r>(&'r self, request: &'r AuthorizationRequest) -> Vec<(&'static str, &'r str)> {
        let mut parameters = vec![(ACCESS_TYPE, OFFLINE)];
        if !request.more_scopes.is_empty() {
            // New tokens include the scopes that the person granted before.
            parameters.push(("include_granted_scopes", "true"));
        }
        parameters.extend(self.hosted_domain.as_ref().map(|domain| ("hd", domain.as_str())));
        parameters
    }

    fn admit(&self, claims: &Value) -> Result<(), ProviderError> {
        match &self.hosted_domain {
            Some(domain) if !text(claims, "hd").is_some_and(|hd| hd.eq_ignore_ascii_case(domain)) => {
                Err(ProviderError::NotAdmitted(AdmissionRule::HostedDomain))
            }
            _ => Ok(()),
        }
    }

    /// It accepts the subject, which is more exact than an address.
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

/// Creates the provider.
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
