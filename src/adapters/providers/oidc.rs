//! OpenID Connect: any provider, its endpoints found at the issuer (OpenID Connect Discovery).

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use url::Url;

use super::{
    answer::{email, is_true, name, text, text_subject},
    flow::{ClientAuth, Flow, TokenTypeHint, revoked},
    google::Google,
    id_token::{Expected, Unchecked},
    jwks::Jwks,
    kept::Kept,
};
use crate::domain::gateway::{
    models::{
        account::ProviderIdentity,
        login::{LoginHint, scope_words},
        oauth::{ProviderName, ProviderTokens, Secret},
        provider::{Prompt, binding_parameter, is_loopback},
    },
    services::ports::{
        AuthorizationRequest, CodeExchange, NoticeBody, NoticeRefusal, Provider, ProviderError, UnverifiedNotice,
        VerifiedNotice,
    },
};

/// What has to be known of a provider.
pub(super) struct Metadata {
    /// The issuer, in every form in which its id tokens write it.
    pub(super) issuers: Vec<String>,
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
    /// Reads what the issuer says about itself. It must be the issuer that was asked, and no endpoint may be less safe
    /// than it is.
    fn of(document: &Value, issuer: &str) -> Result<Self, ProviderError> {
        if text(document, "issuer").as_deref() != Some(issuer) {
            return Err(ProviderError::BadAnswer("its metadata are those of another issuer".to_owned()));
        }
        let may_be_http = Url::parse(issuer).is_ok_and(|url| url.scheme() == "http" && is_loopback(&url));
        let endpoint = |field: &str| match text(document, field) {
            None => Ok(None),
            Some(url) => Url::parse(&url)
                .ok()
                .filter(|url| url.scheme() == "https" || (may_be_http && url.scheme() == "http" && is_loopback(url)))
                .map(Some)
                .ok_or_else(|| ProviderError::BadAnswer(format!("its {field} is not an https address"))),
        };
        let needed = |field: &str| {
            endpoint(field)?.ok_or_else(|| ProviderError::BadAnswer(format!("its metadata have no {field}")))
        };
        let authorize = needed("authorization_endpoint")?;
        if let Some(parameter) = binding_parameter(&authorize) {
            let flaw = format!("its authorization_endpoint sets {parameter}, which binds a request to its browser");
            return Err(ProviderError::BadAnswer(flaw));
        }
        Ok(Self {
            issuers: vec![issuer.to_owned()],
            authorize,
            token: needed("token_endpoint")?,
            token_auth: client_auth(document, "token_endpoint_auth_methods_supported"),
            userinfo: endpoint("userinfo_endpoint")?,
            revoke: endpoint("revocation_endpoint")?,
            revoke_auth: client_auth(document, "revocation_endpoint_auth_methods_supported"),
            jwks: needed("jwks_uri")?,
            iss_in_response: is_true(document, "authorization_response_iss_parameter_supported"),
        })
    }
}

/// Basic is what everybody must know and what counts if nothing is said (RFC 8414 §2).
fn client_auth(document: &Value, field: &str) -> ClientAuth {
    let methods = document.get(field).and_then(Value::as_array);
    let knows = |method: &str| methods.is_some_and(|methods| methods.iter().any(|it| it == method));
    if !knows("client_secret_basic") && knows("client_secret_post") { ClientAuth::Form } else { ClientAuth::Basic }
}

/// A provider is to pass over this scope, and so give no refresh token, unless the person is asked for their consent (OpenID Connect
/// Core §11). Many do not, and some refuse such a request where people may not consent, so it is not asked for before it is needed.
const OFFLINE_ACCESS: &str = "offline_access";

enum Source {
    Known(Arc<Metadata>),
    Discovered { issuer: String, kept: Kept<Metadata> },
}

/// A provider that speaks OpenID Connect.
pub(super) struct Oidc {
    flow: Flow,
    source: Source,
    jwks: Jwks,
    /// If it is Google.
    google: Option<Google>,
}

impl Oidc {
    /// One whose endpoints are found at the issuer.
    pub(super) fn discovered(flow: Flow, issuer: String) -> Self {
        let kept = Kept::new(Arc::clone(&flow.clock));
        Self::new(flow, Source::Discovered { issuer, kept }, None)
    }

    /// Google, whose endpoints are known.
    pub(super) fn known(flow: Flow, metadata: Metadata, google: Google) -> Self {
        Self::new(flow, Source::Known(Arc::new(metadata)), Some(google))
    }

    fn new(flow: Flow, source: Source, google: Option<Google>) -> Self {
        let jwks = Jwks::new(Arc::clone(&flow.clock));
        Self { flow, source, jwks, google }
    }

    async fn metadata(&self) -> Result<Arc<Metadata>, ProviderError> {
        match &self.source {
            Source::Known(metadata) => Ok(Arc::clone(metadata)),
            Source::Discovered { issuer, kept } => {
                let fetch = async {
                    let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
                    let document = self.flow.document(url).await?;
                    Metadata::of(&document, issuer)
                };
                kept.get(|_| true, fetch).await
            }
        }
    }

    /// Who the person is, as the id token says. What it does not say the userinfo endpoint may (OpenID Connect Core §5.4).
    async fn identity(
        &self,
        metadata: &Metadata,
        tokens: &ProviderTokens,
        nonce: Option<&Secret>,
    ) -> Result<ProviderIdentity, ProviderError> {
        let id_token = tokens.id_token.as_ref();
        let id_token = id_token.ok_or_else(|| ProviderError::BadAnswer("it holds no id token".to_owned()))?;
        let id_token = Unchecked::parse(id_token)?;
        let keys = self.jwks.get(&self.flow, &metadata.jwks, id_token.kid()).await?;
        let expected = Expected {
            issuers: &metadata.issuers,
            client_id: &self.flow.settings.client_id,
            nonce,
            access_token: &tokens.access_token,
            now: self.flow.clock.now(),
        };
        let claims = id_token.check(&keys, &expected)?;
        if let Some(domain) = self.google.as_ref().and_then(|google| google.hosted_domain.as_ref())
            && !text(&claims, "hd").is_some_and(|hd| hd.eq_ignore_ascii_case(domain))
        {
            return Err(ProviderError::Refused { code: "hosted_domain_required".to_owned() });
        }
        let mut identity = ProviderIdentity {
            provider: self.flow.name().clone(),
            subject: text_subject(&claims, "sub")?,
            verified_email: verified_email(&claims),
            name: name(&claims, "name"),
        };
        let judges_email = text(&claims, "email").is_some() && says(&claims, "email_verified");
        let is_whole = identity.name.is_some() && judges_email;
        if let Some(userinfo) = metadata.userinfo.as_ref().filter(|_| !is_whole) {
            let told = self.flow.get(userinfo, &tokens.access_token).await;
            if let Some(told) = self.flow.if_any("name and e-mail", told) {
                // OpenID Connect Core §5.3.2
                if text_subject(&told, "sub")? != identity.subject {
                    return Err(ProviderError::BadAnswer("its userinfo are those of another person".to_owned()));
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

/// The e-mail that userinfo vouch for, when the id token did not judge one: their own, or, where they name none, the one of
/// the id token. An address is never joined to what was said of another.
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
        self.flow.settings.prompt == Prompt::WhenNeeded
            && self.google.as_ref().map_or_else(is_offline, |google| google.is_offline)
    }

    fn login_hint_of(&self, identity: &ProviderIdentity) -> Option<LoginHint> {
        // Google takes the subject, which is the more exact.
        let name = if self.google.is_some() { Some(&identity.subject) } else { identity.verified_email.as_ref() };
        LoginHint::parse(name?).ok()
    }

    async fn authorize_url(&self, request: &AuthorizationRequest) -> Result<String, ProviderError> {
        let metadata = self.metadata().await?;
        let nonce = request.nonce.as_ref().map(|nonce| ("nonce", nonce.expose()));
        let login_hint = request.login_hint.as_ref().map(|hint| ("login_hint", hint.expose()));
        let google = self.google.iter().flat_map(|google| google.parameters(request));
        let more: Vec<_> = nonce.into_iter().chain(login_hint).chain(google).collect();
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
        match iss {
            Some(iss) if metadata.issuers.iter().any(|known| known == iss) => Ok(()),
            Some(_) => Err(ProviderError::BadAnswer("the authorization response is another issuer's".to_owned())),
            None if metadata.iss_in_response => {
                Err(ProviderError::BadAnswer("the authorization response does not name its issuer".to_owned()))
            }
            None => Ok(()),
        }
    }

    async fn verify_notice(&self, notice: &UnverifiedNotice) -> Result<VerifiedNotice, NoticeRefusal> {
        match (&self.google, &notice.body) {
            (Some(google), NoticeBody::SecurityEvent(token)) => google.events.verify(&self.flow, token).await,
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
            Metadata::of(&document, issuer).is_ok()
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
