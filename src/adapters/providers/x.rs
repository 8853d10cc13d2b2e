//! X: authenticates its clients by HTTP Basic alone, nests the profile in `data`, and calls a dead refresh token an
//! invalid request. It has no id token.

use async_trait::async_trait;
use reqwest::StatusCode;
use serde_json::Value;

use crate::{
    adapters::providers::{
        plain::{Plain, Quirks, Site},
        protocol::{
            error_codes::{Described, ErrorResponse},
            flow::{ClientAuth, Flow, TokenTypeHint},
            response::{email, name, text_subject},
        },
    },
    domain::gateway::{
        models::{
            account::ProviderIdentity, login::scope_words, oauth::ProviderTokens, provider::Endpoints,
            values::secret::Secret,
        },
        services::ports::ProviderError,
    },
};

/// Messages for a refresh token and for a code that is invalid: their code, `invalid_request`, also means everything
/// else. The messages for a wrong client id or secret, with the code `unauthorized_client`.
const DESCRIBED: Described = Described {
    grant: &["value passed for the token was invalid", "value passed for the authorization code was invalid"],
    client: &["missing valid authorization header"],
};
/// The scope for the e-mail address. X grants it to approved apps only.
const EMAIL_SCOPE: &str = "users.email";

/// The specifics of X.
pub(super) struct X;

/// Creates the provider.
pub(super) fn x(flow: Flow, endpoints: Endpoints) -> Plain<X> {
    Plain::new(flow.with_errors(error_of), endpoints, X)
}

/// Reads `{"error": "invalid_request"}` of the token endpoint. The API sends problem details (RFC 9457), of which the
/// status is enough.
fn error_of(status: StatusCode, body: &Value) -> Option<ErrorResponse> {
    DESCRIBED.error(status, body)
}

#[async_trait]
impl Quirks for X {
    fn client_auth(&self) -> ClientAuth {
        ClientAuth::Basic
    }

    async fn identity(&self, site: &Site, access_token: &Secret) -> Result<ProviderIdentity, ProviderError> {
        let mut url = site.endpoints.userinfo.clone();
        if scope_words(&site.flow.settings.scopes).any(|word| word == EMAIL_SCOPE) {
            url.query_pairs_mut().append_pair("user.fields", "confirmed_email");
        }
        let response = site.flow.get(&url, access_token).await?;
        let user = response.get("data").unwrap_or(&Value::Null);
        Ok(ProviderIdentity {
            provider: site.flow.name().clone(),
            // A 64-bit number, written as text.
            subject: text_subject(user, "id")?,
            verified_email: email(user, "confirmed_email"),
            name: name(user, "name").or_else(|| name(user, "username")),
        })
    }

    async fn revoke(&self, site: &Site, tokens: &ProviderTokens) -> Result<(), ProviderError> {
        site.flow.revoke(&site.endpoints.revoke, ClientAuth::Basic, tokens, TokenTypeHint::Sent).await
    }
}
