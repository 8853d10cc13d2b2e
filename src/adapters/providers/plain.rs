//! What all providers of plain OAuth 2.0 have in common: who the person is, one has to ask with the access token.

use async_trait::async_trait;

use super::flow::{ClientAuth, Flow, revoked};
use crate::domain::gateway::{
    models::{
        account::ProviderIdentity,
        login::LoginHint,
        oauth::{ProviderName, ProviderTokens, Secret},
        provider::Endpoints,
    },
    services::ports::{
        AuthorizationRequest, CodeExchange, NoticeRefusal, Provider, ProviderError, UnverifiedNotice, VerifiedNotice,
    },
};

/// Our registration at a provider, and where the provider answers.
pub(super) struct Site {
    pub(super) flow: Flow,
    pub(super) endpoints: Endpoints,
}

/// What is peculiar to one provider.
#[async_trait]
pub(super) trait Quirks: Send + Sync {
    /// Who the person is whose access token this is.
    async fn identity(&self, site: &Site, access_token: &Secret) -> Result<ProviderIdentity, ProviderError>;

    /// Takes a grant back. An error about the grant is as good: there is nothing left to take back.
    async fn revoke(&self, site: &Site, tokens: &ProviderTokens) -> Result<(), ProviderError>;

    /// What `auth_type` of an authorization request may be.
    fn auth_types(&self) -> &'static [&'static str] {
        &[]
    }

    /// The parameter that says who is likely to sign in, if it has one.
    fn login_hint_parameter(&self) -> Option<&'static str> {
        None
    }

    /// What only this provider wants to know in exchange for a code.
    fn exchange_parameters<'e>(&self, _exchange: &'e CodeExchange) -> Vec<(&'static str, &'e str)> {
        Vec::new()
    }

    /// Gets the next access token.
    async fn refresh(&self, site: &Site, tokens: &ProviderTokens) -> Result<ProviderTokens, ProviderError> {
        site.flow.refresh(&site.endpoints.token, ClientAuth::Form, tokens).await
    }

    /// Whether a token without a refresh token can be exchanged for the next one while it is good.
    fn renews_living_tokens(&self) -> bool {
        false
    }

    /// Verifies a notice, and says what happened to whom.
    async fn verify_notice(&self, _site: &Site, _notice: &UnverifiedNotice) -> Result<VerifiedNotice, NoticeRefusal> {
        Err(NoticeRefusal::Unsupported)
    }
}

/// A provider of plain OAuth 2.0.
pub(super) struct Plain<Q> {
    site: Site,
    quirks: Q,
}

impl<Q: Quirks> Plain<Q> {
    pub(super) fn new(flow: Flow, endpoints: Endpoints, quirks: Q) -> Self {
        Self { site: Site { flow, endpoints }, quirks }
    }
}

#[async_trait]
impl<Q: Quirks> Provider for Plain<Q> {
    fn name(&self) -> &ProviderName {
        self.site.flow.name()
    }

    fn display_name(&self) -> &str {
        &self.site.flow.settings.display_name
    }

    fn uses_pkce(&self) -> bool {
        self.site.flow.settings.pkce
    }

    fn renews_living_tokens(&self) -> bool {
        self.quirks.renews_living_tokens()
    }

    fn auth_types(&self) -> &'static [&'static str] {
        self.quirks.auth_types()
    }

    async fn authorize_url(&self, request: &AuthorizationRequest) -> Result<String, ProviderError> {
        let login_hint = self.quirks.login_hint_parameter().zip(request.login_hint.as_ref().map(LoginHint::expose));
        Ok(self.site.flow.authorize_url(&self.site.endpoints.authorize, request, login_hint.as_slice()))
    }

    async fn exchange(&self, exchange: &CodeExchange) -> Result<(ProviderTokens, ProviderIdentity), ProviderError> {
        let Site { flow, endpoints } = &self.site;
        let more = self.quirks.exchange_parameters(exchange);
        let tokens = flow.exchange(&endpoints.token, ClientAuth::Form, exchange, &more).await?;
        let identity = self.quirks.identity(&self.site, &tokens.access_token).await?;
        Ok((tokens, identity))
    }

    async fn refresh(&self, tokens: &ProviderTokens) -> Result<ProviderTokens, ProviderError> {
        self.quirks.refresh(&self.site, tokens).await
    }

    async fn revoke(&self, tokens: &ProviderTokens) -> Result<(), ProviderError> {
        revoked(self.quirks.revoke(&self.site, tokens).await)
    }

    async fn verify_notice(&self, notice: &UnverifiedNotice) -> Result<VerifiedNotice, NoticeRefusal> {
        self.quirks.verify_notice(&self.site, notice).await
    }
}
