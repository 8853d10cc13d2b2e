//! OpenID Connect: any provider, with endpoints discovered at the issuer (OpenID Connect Discovery).

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use url::Url;

use crate::{
    adapters::providers::protocol::{
        cached_document::CachedDocument,
        flow::{ClientAuth, Flow, TokenTypeHint, revoked},
        id_token::{IdTokens, Issuers, Origin, SignedWith},
        response::{email, is_true, name, text, text_subject},
        security_event::SecurityEvents,
    },
    domain::gateway::{
        models::{
            account::ProviderIdentity,
            login::{LoginHint, scope_words},
            oauth::{ProviderName, ProviderTokens},
            provider::{IdTokenKey, Prompt, binding_parameters, is_loopback},
            values::secret::Secret,
        },
        services::ports::{
            AuthorizationRequest, CodeExchange, NoticeBody, NoticeRefusal, Provider, ProviderError, UnverifiedNotice,
            VerifiedNotice,
        },
    },
};

/// The metadata of a provider.
pub(super) struct Metadata {
    pub(super) issuers: Issuers,
    pub(super) authorize: Url,
    pub(super) token: Url,
    pub(super) token_auth: ClientAuth,
    pub(super) userinfo: Option<Url>,
    pub(super) revoke: Option<Url>,
    pub(super) revoke_auth: ClientAuth,
    pub(super) jwks: Url,
    /// Whether every authorization response names the issuer (RFC 9207 §3).
    pub(super) iss_in_response: bool,
}

impl Metadata {
    /// Reads the metadata of an issuer. They must name the issuer that was asked, and no endpoint may be less safe than
    /// the issuer's own URL.
    fn of(document: &Value, issuer: &str, dialect: &dyn Dialect) -> Result<Self, ProviderError> {
        let issuers = text(document, "issuer").and_then(|told| dialect.issuers(issuer, &told));
        let issuers =
            issuers.ok_or_else(|| ProviderError::BadResponse("its metadata belong to another issuer".to_owned()))?;
        let may_be_http = Url::parse(issuer).is_ok_and(|url| url.scheme() == "http" && is_loopback(&url));
        let endpoint = |field: &str| match text(document, field) {
            None => Ok(None),
            Some(url) => Url::parse(&url)
                .ok()
                .filter(|url| url.scheme() == "https" || (may_be_http && url.scheme() == "http" && is_loopback(url)))
                .map(Some)
                .ok_or_else(|| ProviderError::BadResponse(format!("its {field} is not an https address"))),
        };
        let needed = |field: &str| {
            endpoint(field)?.ok_or_else(|| ProviderError::BadResponse(format!("its metadata lack {field}")))
        };
        let token_auth = client_auth(document, "token_endpoint_auth_methods_supported");
        let authorize = needed("authorization_endpoint")?;
        if let Some(parameter) = binding_parameters(&authorize).first() {
            let flaw = format!("its authorization_endpoint sets {parameter}, which binds a request to its browser");
            return Err(ProviderError::BadResponse(flaw));
        }
        Ok(Self {
            issuers,
            authorize,
            token: needed("token_endpoint")?,
            token_auth: token_auth.unwrap_or(ClientAuth::Basic),
            userinfo: endpoint("userinfo_endpoint")?,
            revoke: endpoint("revocation_endpoint")?,
            // By the standard, Basic is the default here, too (RFC 8414 §2). But a provider that lists methods for the
            // token endpoint alone accepts the same at both.
            revoke_auth: client_auth(document, "revocation_endpoint_auth_methods_supported")
                .or(token_auth)
                .unwrap_or(ClientAuth::Basic),
            jwks: needed("jwks_uri")?,
            iss_in_response: is_true(document, "authorization_response_iss_parameter_supported"),
        })
    }
}

/// How an endpoint authenticates clients, if the metadata say so. Of several methods Basic wins, which every provider
/// must support.
fn client_auth(document: &Value, field: &str) -> Option<ClientAuth> {
    let methods = document.get(field)?.as_array()?;
    let knows = |method: &str| methods.iter().any(|it| it == method);
    Some(if !knows("client_secret_basic") && knows("client_secret_post") {
        ClientAuth::Form
    } else {
        ClientAuth::Basic
    })
}

/// The advice for a provider that sends no id token.
const REMEDY: &str =
    "make sure that openid is among the scopes, and that the app may use OpenID Connect at the provider";

/// A provider should ignore this scope, and so issue no refresh token, unless the person is asked for consent (OpenID
/// Connect Core §11). Many do not, and some refuse such a request where people may not consent. So consent is not
/// requested before it is needed.
const OFFLINE_ACCESS: &str = "offline_access";

/// The specifics of one provider; the default is the standard.
pub(super) trait Dialect: Send + Sync {
    /// The issuers of its id tokens, from the issuer that was `asked` and the one that its metadata `told`; `None` if
    /// they do not belong together.
    fn issuers(&self, asked: &str, told: &str) -> Option<Issuers> {
        (told == asked).then(|| Issuers::Named(vec![told.to_owned()]))
    }

    /// Additional parameters of the authorization request.
    fn parameters<'r>(&'r self, _request: &'r AuthorizationRequest) -> Vec<(&'static str, &'r str)> {
        Vec::new()
    }

    /// The person's subject, from verified claims.
    fn subject(&self, claims: &Value) -> Result<String, ProviderError> {
        text_subject(claims, "sub")
    }

    /// Whether the settings allow the person.
    fn admit(&self, _claims: &Value) -> Result<(), ProviderError> {
        Ok(())
    }

    /// The verdict of the id token on the person's e-mail.
    fn email(&self, claims: &Value) -> EmailVerdict {
        if text(claims, "email").is_some() && says(claims, "email_verified") {
            EmailVerdict::Judged(verified_email(claims))
        } else {
            EmailVerdict::Unsaid
        }
    }

    /// The hint by which the provider recognises a returning person.
    fn login_hint<'i>(&self, identity: &'i ProviderIdentity) -> Option<&'i String> {
        identity.verified_email.as_ref()
    }

    /// Notices about people's accounts, if the provider sends any.
    fn security_events(&self) -> Option<&SecurityEvents> {
        None
    }

    /// Whether a refresh token may require the person's consent. `is_offline` is whether [`OFFLINE_ACCESS`] is
    /// requested.
    fn takes_consent(&self, is_offline: bool) -> bool {
        is_offline
    }
}

/// The verdict of an id token on an e-mail address.
pub(super) enum EmailVerdict {
    /// The proven address, if any; no other source counts.
    Judged(Option<String>),
    /// No verdict: userinfo may give one.
    Unsaid,
}

/// The standard without changes.
pub(super) struct Standard;

impl Dialect for Standard {}

enum Source {
    Known(Arc<Metadata>),
    Discovered { issuer: String, kept: CachedDocument<Metadata> },
}

/// An OpenID Connect provider.
pub(super) struct Oidc {
    flow: Flow,
    source: Source,
    id_tokens: IdTokens,
    id_token_key: IdTokenKey,
    dialect: Box<dyn Dialect>,
}

impl Oidc {
    /// With endpoints discovered at the issuer.
    pub(super) fn discovered(
        flow: Flow,
        issuer: String,
        id_token_key: IdTokenKey,
        dialect: impl Dialect + 'static,
    ) -> Self {
        let kept = CachedDocument::new(Arc::clone(&flow.clock));
        Self::new(flow, Source::Discovered { issuer, kept }, id_token_key, dialect)
    }

    /// With known endpoints.
    pub(super) fn known(flow: Flow, metadata: Metadata, dialect: impl Dialect + 'static) -> Self {
        Self::new(flow, Source::Known(Arc::new(metadata)), IdTokenKey::Published, dialect)
    }

    fn new(flow: Flow, source: Source, id_token_key: IdTokenKey, dialect: impl Dialect + 'static) -> Self {
        let id_tokens = IdTokens::new(&flow);
        Self { flow, source, id_tokens, id_token_key, dialect: Box::new(dialect) }
    }

    fn origin<'m>(&self, metadata: &'m Metadata) -> Origin<'m> {
        let signed_with = match self.id_token_key {
            IdTokenKey::Published => SignedWith::Published(&metadata.jwks),
            IdTokenKey::ClientSecret => SignedWith::ClientSecret,
        };
        Origin { issuers: &metadata.issuers, signed_with }
    }

    async fn metadata(&self) -> Result<Arc<Metadata>, ProviderError> {
        match &self.source {
            Source::Known(metadata) => Ok(Arc::clone(metadata)),
            Source::Discovered { issuer, kept } => {
                let fetch = async {
                    let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
                    let document = self.flow.document(url).await?;
                    Metadata::of(&document, issuer, &*self.dialect)
                };
                kept.get(|_| true, fetch).await
            }
        }
    }

    /// The person's identity by the id token. The userinfo endpoint may complete it (OpenID Connect Core §5.4).
    async fn identity(
        &self,
        metadata: &Metadata,
        tokens: &ProviderTokens,
        nonce: Option<&Secret>,
    ) -> Result<ProviderIdentity, ProviderError> {
        let claims = self.id_tokens.check(&self.flow, &self.origin(metadata), tokens, nonce, REMEDY).await?;
        self.dialect.admit(&claims)?;
        let verdict = self.dialect.email(&claims);
        let judges_email = matches!(verdict, EmailVerdict::Judged(_));
        let mut identity = ProviderIdentity {
            provider: self.flow.name().clone(),
            subject: self.dialect.subject(&claims)?,
            verified_email: match verdict {
                EmailVerdict::Judged(proven) => proven,
                EmailVerdict::Unsaid => None,
            },
            name: name(&claims, "name"),
        };
        let sub = text_subject(&claims, "sub")?;
        let is_whole = identity.name.is_some() && judges_email;
        if let Some(userinfo) = metadata.userinfo.as_ref().filter(|_| !is_whole) {
            let told = self.flow.get(userinfo, &tokens.access_token).await;
            if let Some(told) = self.flow.if_any("name and e-mail", told) {
                // OpenID Connect Core §5.3.2
                if text_subject(&told, "sub")? != sub {
                    return Err(ProviderError::BadResponse("its userinfo belongs to another person".to_owned()));
                }
                if !judges_email {
                    identity.verified_email = verified_later(&claims, &told);
                }
                identity.name = identity.name.or_else(|| name(&told, "name"));
            }
        }
        Ok(identity)
    }
}

fn verified_email(claims: &Value) -> Option<String> {
    email(claims, "email").filter(|_| is_true(claims, "email_verified"))
}

/// The e-mail that userinfo prove when the id token gave no verdict: their own address, or, without one, that of the id
/// token. A flag for one address never counts for another.
fn verified_later(claims: &Value, told: &Value) -> Option<String> {
    let address = if says(told, "email") { email(told, "email") } else { email(claims, "email") };
    address.filter(|_| is_true(told, "email_verified"))
}

fn says(claims: &Value, claim: &str) -> bool {
    claims.get(claim).is_some_and(|value| !value.is_null())
}

#[async_trait]
impl Provider for Oidc {
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

    fn refresh_token_takes_consent(&self, more_scopes: &[String]) -> bool {
        let is_offline = || {
            scope_words(&self.flow.settings.scopes)
                .chain(more_scopes.iter().map(String::as_str))
                .any(|word| word == OFFLINE_ACCESS)
        };
        self.flow.settings.prompt == Prompt::WhenNeeded && self.dialect.takes_consent(is_offline())
    }

    fn login_hint_of(&self, identity: &ProviderIdentity) -> Option<LoginHint> {
        LoginHint::parse(self.dialect.login_hint(identity)?).ok()
    }

    async fn authorize_url(&self, request: &AuthorizationRequest) -> Result<String, ProviderError> {
        let metadata = self.metadata().await?;
        let nonce = request.nonce.as_ref().map(|nonce| ("nonce", nonce.expose()));
        let login_hint = request.login_hint.as_ref().map(|hint| ("login_hint", hint.expose()));
        let own = self.dialect.parameters(request);
        let more: Vec<_> = nonce.into_iter().chain(login_hint).chain(own).collect();
        Ok(self.flow.authorize_url(&metadata.authorize, request, &more))
    }

    async fn exchange(&self, exchange: &CodeExchange) -> Result<(ProviderTokens, ProviderIdentity), ProviderError> {
        let metadata = self.metadata().await?;
        let tokens = self.flow.exchange(&metadata.token, metadata.token_auth, exchange, &[]).await?;
        let identity = self.identity(&metadata, &tokens, exchange.nonce.as_ref()).await?;
        Ok((tokens, identity))
    }

    async fn refresh(&self, tokens: &ProviderTokens) -> Result<ProviderTokens, ProviderError> {
        let metadata = self.metadata().await?;
        self.flow.refresh(&metadata.token, metadata.token_auth, tokens).await
    }

    async fn revoke(&self, tokens: &ProviderTokens) -> Result<(), ProviderError> {
        let metadata = self.metadata().await?;
        let endpoint = metadata.revoke.as_ref().ok_or(ProviderError::Unsupported)?;
        revoked(self.flow.revoke(endpoint, metadata.revoke_auth, tokens, TokenTypeHint::Omitted).await)
    }

    async fn check_issuer(&self, iss: Option<&str>) -> Result<(), ProviderError> {
        let metadata = self.metadata().await?;
        self.origin(&metadata).check_response(iss, metadata.iss_in_response)
    }

    async fn verify_notice(&self, notice: &UnverifiedNotice) -> Result<VerifiedNotice, NoticeRefusal> {
        match (self.dialect.security_events(), &notice.body) {
            (Some(events), NoticeBody::SecurityEvent(token)) => events.verify(&self.flow, token).await,
            _ => Err(NoticeRefusal::Unsupported),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_an_issuer_on_loopback_has_endpoints_on_loopback_without_tls() {
        let taken = |issuer: &str, endpoint: &str| {
            let document = json!({
                "issuer": issuer, "authorization_endpoint": endpoint, "token_endpoint": endpoint, "jwks_uri": endpoint,
            });
            Metadata::of(&document, issuer, &Standard).is_ok()
        };
        for issuer in ["https://idp.example.com", "https://127.0.0.1", "http://idp.example.com", "http://127.0.0.1"] {
            assert!(taken(issuer, "https://idp.example.com/x"), "{issuer}");
            for endpoint in ["http://idp.example.com/x", "ftp://127.0.0.1/x", "//127.0.0.1/x", ""] {
                assert!(!taken(issuer, endpoint), "{issuer} {endpoint}");
            }
            assert_eq!(taken(issuer, "http://127.0.0.1/x"), issuer == "http://127.0.0.1", "{issuer}");
        }
    }
}
