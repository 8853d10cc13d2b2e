//! GitHub: errors of the token endpoint come with status 200, tokens of OAuth apps never expire and have no refresh token, and e-mail addresses
//! have an endpoint of their own.

use async_trait::async_trait;
use reqwest::StatusCode;
use serde_json::{Value, json};
use url::Url;

use super::{
    answer::{email, is_true, name, subject},
    error_codes::{ErrorCodes, ErrorResponse, Fault},
    flow::{ClientAuth, Flow},
    plain::{Plain, Quirks, Site},
};
use crate::domain::gateway::{
    models::{
        account::ProviderIdentity,
        oauth::{ProviderTokens, Secret},
        provider::Endpoints,
    },
    services::ports::ProviderError,
};

/// Those of the token endpoint. `Not Found` is what it calls a client id that it does not know.
const CODES: ErrorCodes = ErrorCodes {
    grant: &["bad_refresh_token", "bad_verification_code"],
    client: &["incorrect_client_credentials", "Not Found"],
    provider: &[],
};

/// What is peculiar to GitHub.
pub(super) struct GitHub {
    emails: Url,
}

/// Makes it.
pub(super) fn github(flow: Flow, endpoints: Endpoints, emails: Url) -> Plain<GitHub> {
    Plain::new(flow.with_errors(error_of), endpoints, GitHub { emails })
}

fn error_of(_: StatusCode, body: &Value) -> Option<ErrorResponse> {
    CODES.error(body)
}

/// The errors of the API that deletes tokens have no codes. A token that it does not know is not found, or not valid.
fn deletion_error_of(status: StatusCode, _: &Value) -> Option<ErrorResponse> {
    let fault = match status {
        StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY => Fault::Grant,
        StatusCode::UNAUTHORIZED => Fault::Client,
        _ => return None,
    };
    Some(ErrorResponse::new(format!("http_{}", status.as_u16()), fault))
}

/// The primary address, if it is verified. The one in the profile may be anything.
fn verified_email(emails: &Value) -> Option<String> {
    let primary = |entry: &&Value| is_true(entry, "primary") && is_true(entry, "verified");
    email(emails.as_array()?.iter().find(primary)?, "email")
}

#[async_trait]
impl Quirks for GitHub {
    async fn identity(&self, site: &Site, access_token: &Secret) -> Result<ProviderIdentity, ProviderError> {
        let user = site.flow.get(&site.endpoints.userinfo, access_token).await?;
        // Not allowed to see the addresses, the app still knows who it is.
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
}
