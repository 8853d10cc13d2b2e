//! Apple: OpenID Connect without userinfo. The client secret is a JWT of our own, made for each request
//! (`client_secret`). If name or e-mail is requested, the browser returns with a form, and only that form contains the
//! name, the first time. Notices are signed with the keys of the id tokens (`notices`).

mod notices;

use async_trait::async_trait;

use crate::{
    adapters::providers::protocol::{
        client_secret::{APPLE, ClientSecrets},
        flow::{ClientAuth, Flow, TokenTypeHint, revoked},
        id_token::{IdTokens, Issuers, Origin, SignedWith},
        jwks::Jwks,
        response::{email, is_true, text_subject},
    },
    domain::gateway::{
        models::{
            account::ProviderIdentity,
            login::scope_words,
            oauth::{ProviderName, ProviderTokens},
            provider::{AppleRegistration, ProviderSettings},
        },
        services::ports::{
            AuthorizationRequest, CodeExchange, NoticeRefusal, Provider, ProviderError, UnverifiedNotice,
            VerifiedNotice,
        },
    },
};

const REMEDY: &str = "make sure that APPLE_TOKEN_URL is the endpoint of Sign in with Apple, which always gives one";
/// With one of these scopes Apple accepts no other response mode than `form_post`.
const SCOPES_BY_FORM: [&str; 2] = ["name", "email"];

/// Sign in with Apple.
pub(super) struct Apple {
    flow: Flow,
    registration: AppleRegistration,
    id_tokens: IdTokens,
    /// The keys of the id tokens, fetched separately: a notice with an unknown key can come from any sender, and must
    /// not make sign-ins wait for keys.
    notice_keys: Jwks,
    issuers: Issuers,
    /// The audiences that a notice may have.
    audiences: Vec<String>,
}

impl Apple {
    pub(super) fn new(flow: Flow, registration: AppleRegistration) -> Self {
        let ProviderSettings { client_id, client_secret, .. } = &flow.settings;
        let secrets = ClientSecrets::new(client_secret, &registration, client_id);
        let audiences = registration.app_id.iter().chain([client_id]).cloned().collect();
        let (id_tokens, issuers) = (IdTokens::new(&flow), Issuers::Named(vec![APPLE.to_owned()]));
        let notice_keys = Jwks::new(flow.clock.clone());
        // All error codes in its documentation are registered ones (RFC 6749 §5.2).
        let flow = flow.with_client_secrets(secrets);
        Self { flow, registration, id_tokens, notice_keys, issuers, audiences }
    }

    fn origin(&self) -> Origin<'_> {
        Origin { issuers: &self.issuers, signed_with: SignedWith::Published(&self.registration.jwks) }
    }

    /// Reads the person's identity. The id token contains no name.
    async fn identity(
        &self,
        tokens: &ProviderTokens,
        exchange: &CodeExchange,
    ) -> Result<ProviderIdentity, ProviderError> {
        let nonce = exchange.nonce.as_ref();
        let claims = self.id_tokens.check(&self.flow, &self.origin(), tokens, nonce, REMEDY).await?;
        Ok(ProviderIdentity {
            provider: self.flow.name().clone(),
            subject: text_subject(&claims, "sub")?,
            // Apple may write `"true"`. A private relay address is as good: Apple forwards mail sent there.
            verified_email: email(&claims, "email").filter(|_| is_true(&claims, "email_verified")),
            name: exchange.name.clone(),
        })
    }
}

#[async_trait]
impl Provider for Apple {
    fn name(&self) -> &ProviderName {
        self.flow.name()
    }

    fn display_name(&self) -> &str {
        &self.flow.settings.display_name
    }

    fn uses_pkce(&self) -> bool {
        self.flow.settings.pkce
    }

    fn uses_nonce(&self) -> bool {
        true
    }

    fn responds_by_form(&self, more_scopes: &[String]) -> bool {
        scope_words(&self.flow.settings.scopes)
            .chain(more_scopes.iter().map(String::as_str))
            .any(|word| SCOPES_BY_FORM.contains(&word))
    }

    /// Its access tokens open nothing, and Apple wants a refresh token to be checked once a day at most.
    fn is_refreshed_ahead(&self) -> bool {
        false
    }

    async fn check_issuer(&self, iss: Option<&str>) -> Result<(), ProviderError> {
        // Its documentation does not promise `iss` in responses.
        self.origin().check_response(iss, false)
    }

    async fn authorize_url(&self, request: &AuthorizationRequest) -> Result<String, ProviderError> {
        let response_mode = if self.responds_by_form(&request.more_scopes) { "form_post" } else { "query" };
        let nonce = request.nonce.as_ref().map(|nonce| ("nonce", nonce.expose()));
        let more: Vec<_> = [("response_mode", response_mode)].into_iter().chain(nonce).collect();
        Ok(self.flow.authorize_url(&self.registration.authorize, request, &more))
    }

    async fn exchange(&self, exchange: &CodeExchange) -> Result<(ProviderTokens, ProviderIdentity), ProviderError> {
        let tokens = self.flow.exchange(&self.registration.token, ClientAuth::Form, exchange, &[]).await?;
        let identity = self.identity(&tokens, exchange).await?;
        Ok((tokens, identity))
    }

    async fn refresh(&self, tokens: &ProviderTokens) -> Result<ProviderTokens, ProviderError> {
        self.flow.refresh(&self.registration.token, ClientAuth::Form, tokens).await
    }

    async fn revoke(&self, tokens: &ProviderTokens) -> Result<(), ProviderError> {
        revoked(self.flow.revoke(&self.registration.revoke, ClientAuth::Form, tokens, TokenTypeHint::Sent).await)
    }

    async fn verify_notice(&self, notice: &UnverifiedNotice) -> Result<VerifiedNotice, NoticeRefusal> {
        self.read_notice(notice).await
    }
}
