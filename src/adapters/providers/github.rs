//! GitHub: the token endpoint sends errors with status 200; tokens of OAuth apps never expire and have no refresh
//! token; e-mail addresses have an endpoint of their own; the webhook of a GitHub App sends many kinds of events,
//! signed with a secret of its own.

use async_trait::async_trait;
use reqwest::StatusCode;
use serde_json::{Value, json};
use url::Url;

use crate::{
    adapters::providers::{
        plain::{Plain, Quirks, Site},
        protocol::{
            error_codes::{ErrorCodes, ErrorResponse, Fault},
            flow::{ClientAuth, Flow},
            notice::{grants_revoked, verify_hex_hmac},
            response::{email, is_true, name, subject, text},
        },
    },
    domain::gateway::{
        models::{account::ProviderIdentity, oauth::ProviderTokens, provider::Endpoints, values::secret::Secret},
        services::ports::{
            Acknowledgement, NoticeBody, NoticeRefusal, ProviderError, Unacknowledged, UnverifiedNotice, VerifiedNotice,
        },
    },
};

/// The error codes of the token endpoint. `Not Found` means an unknown client id.
const CODES: ErrorCodes = ErrorCodes {
    grant: &["bad_refresh_token", "bad_verification_code"],
    client: &["incorrect_client_credentials", "Not Found"],
    provider: &[],
};

/// The event, and its action, for a person who revokes a GitHub App's authorization.
const AUTHORIZATION_EVENT: &str = "github_app_authorization";
const REVOKED: &str = "revoked";
/// The prefix of a signature.
const SIGNATURE_PREFIX: &str = "sha256=";

/// The specifics of GitHub.
pub(super) struct GitHub {
    emails: Url,
    webhook_secret: Option<Secret>,
}

/// Creates the provider. Without the webhook secret, notices cannot be verified.
pub(super) fn github(flow: Flow, endpoints: Endpoints, emails: Url, webhook_secret: Option<Secret>) -> Plain<GitHub> {
    Plain::new(flow.with_errors(error_of), endpoints, GitHub { emails, webhook_secret })
}

fn error_of(_: StatusCode, body: &Value) -> Option<ErrorResponse> {
    CODES.error(body)
}

/// The API that deletes tokens has no error codes. An unknown token is reported as not found, or as invalid.
fn deletion_error_of(status: StatusCode, _: &Value) -> Option<ErrorResponse> {
    let fault = match status {
        StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY => Fault::Grant,
        StatusCode::UNAUTHORIZED => Fault::Client,
        _ => return None,
    };
    Some(ErrorResponse::new(format!("http_{}", status.as_u16()), fault))
}

/// The primary address, if it is verified. The address in the profile may be anything.
fn verified_email(emails: &Value) -> Option<String> {
    let primary = |entry: &&Value| is_true(entry, "primary") && is_true(entry, "verified");
    email(emails.as_array()?.iter().find(primary)?, "email")
}

#[async_trait]
impl Quirks for GitHub {
    async fn identity(&self, site: &Site, access_token: &Secret) -> Result<ProviderIdentity, ProviderError> {
        let user = site.flow.get(&site.endpoints.userinfo, access_token).await?;
        // Without permission to read the addresses, the app can still identify the person.
        let emails = site.flow.if_any("e-mail", site.flow.get(&self.emails, access_token).await);
        Ok(ProviderIdentity {
            provider: site.flow.name().clone(),
            subject: subject(&user, "id")?,
            verified_email: emails.as_ref().and_then(verified_email),
            name: name(&user, "name").or_else(|| name(&user, "login")),
        })
    }

    fn login_hint_parameter(&self) -> Option<&'static str> {
        Some("login")
    }

    async fn revoke(&self, site: &Site, tokens: &ProviderTokens) -> Result<(), ProviderError> {
        let Site { flow, endpoints } = site;
        let access_token = flow.living_access_token(&endpoints.token, ClientAuth::Form, tokens).await?;
        let request = flow.http.client()?.delete(endpoints.revoke.clone());
        let request = request.header("authorization", flow.basic()?);
        let request = request.json(&json!({"access_token": access_token.expose()}));
        let secrets = [access_token.expose(), flow.settings.client_secret.expose()];
        flow.send_reading(request, &secrets, deletion_error_of).await.map(drop)
    }

    /// Events of a GitHub App (docs.github.com, Webhook events and payloads; Validating webhook deliveries). GitHub
    /// does not repeat a failed delivery, but shows it to the app's owner, who may send it again under the same id.
    async fn verify_notice(&self, _: &Site, notice: &UnverifiedNotice) -> Result<VerifiedNotice, NoticeRefusal> {
        let secret = self.webhook_secret.as_ref().ok_or(NoticeRefusal::Unsupported)?;
        let body = match &notice.body {
            NoticeBody::Json(body) => body,
            // The webhook may be set to send forms.
            NoticeBody::Parameters(_) => return Err(NoticeRefusal::Malformed),
            NoticeBody::DeletionRequest(_) | NoticeBody::SecurityEvent(_) => return Err(NoticeRefusal::Unsupported),
        };
        let header = |name: &str| notice.headers.get(name).map(String::as_str);
        let signature = header("x-hub-signature-256").and_then(|header| header.strip_prefix(SIGNATURE_PREFIX));
        verify_hex_hmac(secret.expose().as_bytes(), body, signature.ok_or(NoticeRefusal::Unverified)?)?;
        let payload: Value = serde_json::from_slice(body).map_err(|_| NoticeRefusal::Malformed)?;
        let event = header("x-github-event").ok_or(NoticeRefusal::Malformed)?;
        let is_revocation = event == AUTHORIZATION_EVENT && text(&payload, "action").as_deref() == Some(REVOKED);
        let events = if is_revocation {
            let sender = payload.get("sender").ok_or(NoticeRefusal::Malformed)?;
            grants_revoked(subject(sender, "id").map_err(|_| NoticeRefusal::Malformed)?)
        } else {
            Vec::new()
        };
        Ok(VerifiedNotice {
            events,
            id: header("x-github-delivery").map(str::to_owned),
            sent_at: None,
            issued_at: None,
            acknowledgement: Acknowledgement::Ok,
            unacknowledged: Unacknowledged::Told,
        })
    }
}
