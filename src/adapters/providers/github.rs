//! GitHub: errors come with status 200, tokens of OAuth apps never expire and have no refresh token, and e-mail addresses
//! have an endpoint of their own.

use async_trait::async_trait;
use serde_json::{Value, json};
use url::Url;

use super::{
    answer::{email, is_true, name, subject},
    flow::{ClientAuth, Flow},
};
use crate::domain::gateway::{
    models::{
        account::ProviderIdentity,
        oauth::{ProviderName, ProviderTokens, Secret},
        provider::Endpoints,
    },
    services::ports::{AuthorizationRequest, CodeExchange, Provider, ProviderError},
};

/// GitHub.
pub(super) struct GitHub {
    flow: Flow,
    endpoints: Endpoints,
    emails: Url,
}

impl GitHub {
    pub(super) fn new(flow: Flow, endpoints: Endpoints, emails: Url) -> Self {
        Self { flow, endpoints, emails }
    }

    async fn identity(&self, access_token: &Secret) -> Result<ProviderIdentity, ProviderError> {
        let user = self.flow.get(&self.endpoints.userinfo, access_token).await?;
        // Not allowed to see the addresses, the app still knows who it is.
        let emails = self.flow.if_any("e-mail", self.flow.get(&self.emails, access_token).await);
        Ok(ProviderIdentity {
            provider: self.flow.name().clone(),
            subject: subject(&user, "id")?,
            verified_email: emails.as_ref().and_then(verified_email),
            name: name(&user, "name").or_else(|| name(&user, "login")),
        })
    }
}

/// The primary address, if it is verified. The one in the profile may be anything.
fn verified_email(emails: &Value) -> Option<String> {
    let primary = |entry: &&Value| is_true(entry, "primary") && is_true(entry, "verified");
    email(emails.as_array()?.iter().find(primary)?, "email")
}

#[async_trait]
impl Provider for GitHub {
    fn name(&self) -> &ProviderName {
        self.flow.name()
    }

    fn display_name(&self) -> &str {
        &self.flow.settings.display_name
    }

    fn uses_pkce(&self) -> bool {
        self.flow.settings.pkce
    }

    async fn authorize_url(&self, request: &AuthorizationRequest) -> Result<String, ProviderError> {
        Ok(self.flow.authorize_url(&self.endpoints.authorize, request, &[]))
    }

    async fn exchange(&self, exchange: &CodeExchange) -> Result<(ProviderTokens, ProviderIdentity), ProviderError> {
        let tokens = self.flow.exchange(&self.endpoints.token, ClientAuth::Form, exchange, &[]).await?;
        let identity = self.identity(&tokens.access_token).await?;
        Ok((tokens, identity))
    }

    async fn refresh(&self, tokens: &ProviderTokens) -> Result<ProviderTokens, ProviderError> {
        self.flow.refresh(&self.endpoints.token, ClientAuth::Form, tokens).await
    }

    async fn revoke(&self, tokens: &ProviderTokens) -> Result<(), ProviderError> {
        let access_token = self.flow.living_access_token(&self.endpoints.token, ClientAuth::Form, tokens).await?;
        let request = self.flow.http.client().delete(self.endpoints.revoke.clone());
        let request = request.header("authorization", self.flow.basic()?);
        let request = request.json(&json!({"access_token": access_token.expose()}));
        let secrets = [access_token.expose(), self.flow.settings.client_secret.expose()];
        self.flow.send(request, &secrets).await.map(drop)
    }
}
