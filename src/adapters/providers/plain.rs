//! Providers that identify people by an API of their own, called with the access token. Some issue an id token as well,
//! which proves by its nonce that the code was requested here, and by whom and for whom.

use async_trait::async_trait;
use serde_json::Value;
use url::Url;

use crate::{
    adapters::providers::protocol::{
        flow::{ClientAuth, Flow, revoked},
        id_token::{IdTokens, Issuers, Origin, SignedWith},
        response::text_subject,
    },
    domain::gateway::{
        models::{
            account::ProviderIdentity,
            login::LoginHint,
            oauth::{ProviderName, ProviderTokens},
            provider::Endpoints,
            values::secret::Secret,
        },
        services::ports::{
            AuthorizationRequest, CodeExchange, NoticeRefusal, Provider, ProviderError, UnverifiedNotice,
            VerifiedNotice,
        },
    },
};

/// Our registration at a provider, and its endpoints.
pub(super) struct Site {
    pub(super) flow: Flow,
    pub(super) endpoints: Endpoints,
}

/// The specifics of one provider.
#[async_trait]
pub(super) trait Quirks: Send + Sync {
    /// How the token endpoint authenticates clients.
    fn client_auth(&self) -> ClientAuth {
        ClientAuth::Form
    }

    /// Identifies the owner of an access token.
    async fn identity(&self, site: &Site, access_token: &Secret) -> Result<ProviderIdentity, ProviderError>;

    /// Checks that the person of the API is the person of the id token (OpenID Connect Core §5.3.2).
    fn compare(&self, claims: &Value, identity: &ProviderIdentity) -> Result<(), ProviderError> {
        if text_subject(claims, "sub")? == identity.subject {
            Ok(())
        } else {
            Err(ProviderError::BadResponse("its userinfo belongs to another person".to_owned()))
        }
    }

    /// Revokes a grant. An error about the grant counts as success: nothing is left to revoke.
    async fn revoke(&self, site: &Site, tokens: &ProviderTokens) -> Result<(), ProviderError>;

    /// The valid values of `auth_type` in an authorization request.
    fn auth_types(&self) -> &'static [&'static str] {
        &[]
    }

    /// The parameter that names the person who is likely to sign in, if there is one.
    fn login_hint_parameter(&self) -> Option<&'static str> {
        None
    }

    /// Additional parameters of the code exchange.
    fn exchange_parameters<'e>(&self, _exchange: &'e CodeExchange) -> Vec<(&'static str, &'e str)> {
        Vec::new()
    }

    /// Obtains the next access token.
    async fn refresh(&self, site: &Site, tokens: &ProviderTokens) -> Result<ProviderTokens, ProviderError> {
        site.flow.refresh(&site.endpoints.token, self.client_auth(), tokens).await
    }

    /// Whether an access token without a refresh token can be exchanged for the next one while it is valid.
    fn renews_living_tokens(&self) -> bool {
        false
    }

    /// Verifies a notice and reads its events.
    async fn verify_notice(&self, _site: &Site, _notice: &UnverifiedNotice) -> Result<VerifiedNotice, NoticeRefusal> {
        Err(NoticeRefusal::Unsupported)
    }
}

/// A provider that identifies people by an API of its own.
pub(super) struct Plain<Q> {
    site: Site,
    open_id: Option<OpenId>,
    quirks: Q,
}

/// The id tokens of such a provider.
struct OpenId {
    issuers: Issuers,
    /// The URL of the signing keys; without it, the client secret signs.
    jwks: Option<Url>,
    id_tokens: IdTokens,
    remedy: &'static str,
}

impl OpenId {
    fn origin(&self) -> Origin<'_> {
        let signed_with = self.jwks.as_ref().map_or(SignedWith::ClientSecret, SignedWith::Published);
        Origin { issuers: &self.issuers, signed_with }
    }
}

impl<Q: Quirks> Plain<Q> {
    pub(super) fn new(flow: Flow, endpoints: Endpoints, quirks: Q) -> Self {
        Self { site: Site { flow, endpoints }, open_id: None, quirks }
    }

    /// Adds id tokens of this issuer, if `jwks` is set. `remedy` tells the operator what to do if none comes.
    pub(super) fn with_id_tokens(self, issuer: &str, jwks: Option<Url>, remedy: &'static str) -> Self {
        match jwks {
            Some(jwks) => self.with_open_id(issuer, Some(jwks), remedy),
            None => self,
        }
    }

    /// Adds id tokens of this issuer that are signed with the client secret.
    pub(super) fn with_id_tokens_by_secret(self, issuer: &str, remedy: &'static str) -> Self {
        self.with_open_id(issuer, None, remedy)
    }

    fn with_open_id(self, issuer: &str, jwks: Option<Url>, remedy: &'static str) -> Self {
        let (issuers, id_tokens) = (Issuers::Named(vec![issuer.to_owned()]), IdTokens::new(&self.site.flow));
        Self { open_id: Some(OpenId { issuers, jwks, id_tokens, remedy }), ..self }
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

    fn uses_nonce(&self) -> bool {
        self.open_id.is_some()
    }

    fn renews_living_tokens(&self) -> bool {
        self.quirks.renews_living_tokens()
    }

    fn auth_types(&self) -> &'static [&'static str] {
        self.quirks.auth_types()
    }

    async fn authorize_url(&self, request: &AuthorizationRequest) -> Result<String, ProviderError> {
        let login_hint = self.quirks.login_hint_parameter().zip(request.login_hint.as_ref().map(LoginHint::expose));
        let nonce = request.nonce.as_ref().filter(|_| self.uses_nonce()).map(|nonce| ("nonce", nonce.expose()));
        let more: Vec<_> = nonce.into_iter().chain(login_hint).collect();
        Ok(self.site.flow.authorize_url(&self.site.endpoints.authorize, request, &more))
    }

    async fn exchange(&self, exchange: &CodeExchange) -> Result<(ProviderTokens, ProviderIdentity), ProviderError> {
        let Site { flow, endpoints } = &self.site;
        let more = self.quirks.exchange_parameters(exchange);
        let tokens = flow.exchange(&endpoints.token, self.quirks.client_auth(), exchange, &more).await?;
        let Some(open_id) = &self.open_id else {
            let identity = self.quirks.identity(&self.site, &tokens.access_token).await?;
            return Ok((tokens, identity));
        };
        let OpenId { id_tokens, remedy, .. } = open_id;
        let claims = id_tokens.check(flow, &open_id.origin(), &tokens, exchange.nonce.as_ref(), remedy).await?;
        let identity = self.quirks.identity(&self.site, &tokens.access_token).await?;
        self.quirks.compare(&claims, &identity)?;
        Ok((tokens, identity))
    }

    async fn refresh(&self, tokens: &ProviderTokens) -> Result<ProviderTokens, ProviderError> {
        self.quirks.refresh(&self.site, tokens).await
    }

    async fn revoke(&self, tokens: &ProviderTokens) -> Result<(), ProviderError> {
        revoked(self.quirks.revoke(&self.site, tokens).await)
    }

    async fn check_issuer(&self, iss: Option<&str>) -> Result<(), ProviderError> {
        // None of these providers announces `iss` in its responses.
        self.open_id.as_ref().map_or(Ok(()), |open_id| open_id.origin().check_response(iss, false))
    }

    async fn verify_notice(&self, notice: &UnverifiedNotice) -> Result<VerifiedNotice, NoticeRefusal> {
        self.quirks.verify_notice(&self.site, notice).await
    }
}
