//! X: authenticates its clients by HTTP Basic alone, nests the profile in `data`, and calls a dead refresh token an invalid
//! request. It has no id token.

use async_trait::async_trait;
use reqwest::StatusCode;
use serde_json::Value;

use crate::{
    adapters::providers::{
        plain::{Plain, Quirks, Site},
        protocol::{
            answer::{email, name, text_subject},
            error_codes::{Described, ErrorResponse},
            flow::{ClientAuth, Flow, TokenTypeHint},
        },
    },
    domain::gateway::{
        models::{
            account::ProviderIdentity,
            login::scope_words,
            oauth::{ProviderTokens, Secret},
            provider::Endpoints,
        },
        services::ports::ProviderError,
    },
};

/// What it says of a refresh token, and of a code, that it does not take: the code of both, `invalid_request`, also means everything
/// else. What it says of a client id or secret that is wrong, with the code `unauthorized_client`.
const DESCRIBED: Described = Described {
    grant: &["value passed for the token was invalid", "value passed for the authorization code was invalid"],
    client: &["missing valid authorization header"],
};
/// The scope that lets the app see the e-mail address. It may be asked for by apps that X allowed it alone.
const EMAIL_SCOPE: &str = "users.email";

/// What is peculiar to X.
pub(super) struct X;

/// Makes it.
pub(super) fn x(flow: Flow, endpoints: Endpoints) -> Plain<X> {
    Plain::new(flow.with_errors(error_of), endpoints, X)
}

/// `{"error": "invalid_request"}` of the token endpoint. The API answers with problem details (RFC 9457), of which the status
/// says enough.
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
        let answer = site.flow.get(&url, access_token).await?;
        let user = answer.get("data").unwrap_or(&Value::Null);
        Ok(ProviderIdentity {
            provider: site.flow.name().clone(),
            // A number of 64 bits, written as text.
            subject: text_subject(user, "id")?,
            verified_email: email(user, "confirmed_email"),
            name: name(user, "name").or_else(|| name(user, "username")),
        })
    }

    async fn revoke(&self, site: &Site, tokens: &ProviderTokens) -> Result<(), ProviderError> {
        site.flow.revoke(&site.endpoints.revoke, ClientAuth::Basic, tokens, TokenTypeHint::Sent).await
    }
}
