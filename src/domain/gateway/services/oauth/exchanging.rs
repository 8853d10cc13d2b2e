//! Exchanges codes that callers bring, and stores the grants.
//!
//! The caller's own front end made the authorization request of such a code: with its own redirect URI, and a `state`
//! that the front end checks. The caller sends the other values that bind the code to the browser: the nonce (OpenID
//! Connect) and the code verifier (PKCE), if the provider supports them.
//!
//! A code of a sign-in at `/login` is not exchanged here, and that does not depend on the provider's comparisons: its
//! nonce and verifier are secrets of the gateway. So a provider with neither is refused, unless the operator relies on
//! its comparison of redirect URIs.

use std::net::IpAddr;

use chrono::TimeDelta;
use thiserror::Error;

use super::{EnabledProvider, KeepError, LinkError, OAuthService, OpenGrant};
use crate::domain::gateway::{
    models::{
        account::ProviderIdentity,
        login::LoginState,
        oauth::{ProviderName, ProviderTokens},
        throttle::{ThrottleDecision, ThrottleKey},
        token::IssuedTokens,
        values::{id::AccountId, secret::Secret},
    },
    repositories::RepositoryError,
    services::{
        Failure,
        oauth::link_permit::LinkPermit,
        ports::{CodeExchange, Provider, ProviderError},
        throttle::TooManyAttempts,
    },
};

/// A request to exchange a code.
#[derive(Debug, Clone)]
pub struct ExchangeRequest {
    /// The provider that issued the code.
    pub provider: String,
    /// The code.
    pub code: Secret,
    /// The redirect URI that it was sent to; may be omitted if only one is registered.
    pub redirect_uri: Option<String>,
    /// PKCE.
    pub code_verifier: Option<Secret>,
    /// The nonce that the id token must contain.
    pub nonce: Option<Secret>,
    /// The `state` of the authorization request, for a provider that requires it with the code. It proves nothing: only
    /// the front end knows whether it is the browser's.
    pub state: Option<Secret>,
    /// The client's address, if it is known.
    pub client: Option<IpAddr>,
}

/// The purpose of an exchange.
#[derive(Debug, Clone, Copy)]
pub enum ExchangePurpose {
    /// To sign in: the account is found by the identity, or created.
    SignIn,
    /// To store the grant for an account that has the identity already. A token is enough for this, and for no more.
    KeepGrant(AccountId),
    /// To link the identity to an account.
    Link(LinkPermit),
}

/// The result of an exchange.
#[derive(Debug)]
pub struct Exchanged {
    /// The grant.
    pub open: OpenGrant,
    /// Our own tokens, if the exchange was a sign-in.
    pub signed_in: Option<IssuedTokens>,
}

/// The reason why a code was not exchanged.
#[derive(Debug, Error)]
pub enum ExchangeError {
    /// The provider is not enabled.
    #[error("the provider is unknown or not enabled")]
    UnknownProvider,
    /// No redirect URI is registered here.
    #[error("no redirect URI is registered here")]
    NoRedirectUris,
    /// The provider has neither a nonce nor PKCE, so a code of `/login` cannot be distinguished from the caller's.
    #[error("the codes of this provider are not bound to a browser")]
    Unbound,
    /// The redirect URI is not on the list, or it is omitted and the list does not have exactly one.
    #[error("the redirect URI is not registered here")]
    RedirectUri,
    /// The provider issues id tokens, and the nonce is missing.
    #[error("the nonce is missing")]
    NonceMissing,
    /// The provider supports PKCE, and the code verifier is missing.
    #[error("the code verifier is missing")]
    VerifierMissing,
    /// The identity does not belong to the account, and the caller may not link it.
    #[error("the identity does not belong to the account")]
    NotLinked,
    /// The identity belongs to another account.
    #[error("this identity belongs to another account")]
    LinkedElsewhere,
    /// The account ended, or the provider was unlinked from it, in the meantime.
    #[error("the account ended during the sign-in")]
    AccountEnded,
    /// Too many failed exchanges of this client.
    #[error(transparent)]
    TooMany(#[from] TooManyAttempts),
    /// The provider failed.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The store or the keys failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl From<KeepError> for ExchangeError {
    fn from(error: KeepError) -> Self {
        match error {
            KeepError::AccountEnded => Self::AccountEnded,
            KeepError::Failed(failure) => Self::Failed(failure),
        }
    }
}

impl From<LinkError> for ExchangeError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Elsewhere => Self::LinkedElsewhere,
            LinkError::AccountEnded => Self::AccountEnded,
            LinkError::Failed(failure) => Self::Failed(failure),
        }
    }
}

impl From<RepositoryError> for ExchangeError {
    fn from(error: RepositoryError) -> Self {
        Self::Failed(error.into())
    }
}

impl OAuthService {
    /// Exchanges a code and stores the grant. A sign-in finds or creates the account by (provider, subject), and gets
    /// tokens of ours.
    pub async fn exchange(
        &self,
        request: ExchangeRequest,
        purpose: ExchangePurpose,
    ) -> Result<Exchanged, ExchangeError> {
        let name: ProviderName = request.provider.parse().map_err(|_| ExchangeError::UnknownProvider)?;
        let enabled_provider = self.providers.get(&name).ok_or(ExchangeError::UnknownProvider)?;
        let provider = &*enabled_provider.provider;
        let client = request.client;
        let any_state = LoginState::from_random(self.entropy.bytes());
        let exchange = bound(enabled_provider, request, &any_state)?;
        let (tokens, identity) = self.counted::<ExchangeError>(client, provider, &exchange).await?;
        let account = match purpose {
            ExchangePurpose::SignIn => self.account_of(&identity).await?,
            ExchangePurpose::KeepGrant(account) => self.owner(&identity, account).await?,
            ExchangePurpose::Link(permit) => self.linked(&identity, permit).await?,
        };
        let open = self.keep(provider, tokens, &identity, account).await?.open;
        let ExchangePurpose::SignIn = purpose else { return Ok(Exchanged { open, signed_in: None }) };
        let signed_in = self.tokens.sign_in(account, identity.verified_email.as_deref()).await?;
        if !self.account_exists(account).await? {
            self.tokens.end_all_of(account).await?;
            return Err(ExchangeError::AccountEnded);
        }
        Ok(Exchanged { open, signed_in: Some(signed_in) })
    }

    /// The account, if the identity already belongs to it.
    async fn owner(&self, identity: &ProviderIdentity, account: AccountId) -> Result<AccountId, ExchangeError> {
        let is_the_same =
            |known: &ProviderIdentity| known.provider == identity.provider && known.subject == identity.subject;
        let known = self.accounts.identities_of(account).await?.iter().any(is_the_same);
        if known { Ok(account) } else { Err(ExchangeError::NotLinked) }
    }

    /// Calls the provider. A code that it refuses counts for the client's address, so that a client cannot try codes,
    /// or keep the provider busy, without delay. An exchange after which the provider limits our rate counts, too. A
    /// provider that is unreachable, or does not accept our credentials, is not the client's fault.
    pub(super) async fn counted<E: From<TooManyAttempts> + From<Failure> + From<ProviderError>>(
        &self,
        client: Option<IpAddr>,
        provider: &dyn Provider,
        exchange: &CodeExchange,
    ) -> Result<(ProviderTokens, ProviderIdentity), E> {
        let counted: Vec<_> = client.map(ThrottleKey::exchanges_of).into_iter().collect();
        let admission = self.attempts.admit(&counted, &|| self.clock.now()).await.map_err(Failure::from)?;
        if let ThrottleDecision::NotBefore(until) = admission {
            return Err(TooManyAttempts { wait: (until - self.clock.now()).max(TimeDelta::zero()) }.into());
        }
        let outcome = self.exchanged(provider, exchange).await;
        if matches!(outcome, Ok(_) | Err(ProviderError::Unavailable(_) | ProviderError::Misconfigured { .. })) {
            for counted in &counted {
                self.attempts.forgive(counted).await.map_err(Failure::from)?;
            }
        }
        Ok(outcome?)
    }

    /// Has the provider exchange a code, and records the provider's health.
    async fn exchanged(
        &self,
        provider: &dyn Provider,
        exchange: &CodeExchange,
    ) -> Result<(ProviderTokens, ProviderIdentity), ProviderError> {
        let outcome = provider.exchange(exchange).await;
        self.healths.note_exchange(provider.name(), &outcome);
        outcome
    }
}

/// The exchange, with all values that bind the code to its browser. A request without a state gets `any_state`: a
/// provider that requires one accepts any.
fn bound(
    enabled_provider: &EnabledProvider,
    request: ExchangeRequest,
    any_state: &LoginState,
) -> Result<CodeExchange, ExchangeError> {
    let EnabledProvider { provider, callback, redirect_uris, takes_unbound_codes, .. } = enabled_provider;
    if !(provider.uses_nonce() || provider.uses_pkce() || *takes_unbound_codes) {
        return Err(ExchangeError::Unbound);
    }
    let mut own = redirect_uris.iter().filter(|uri| *uri != callback).peekable();
    if own.peek().is_none() {
        return Err(ExchangeError::NoRedirectUris);
    }
    let redirect_uri = match &request.redirect_uri {
        Some(named) => own.find(|uri| *uri == named),
        None => own.next().filter(|_| own.next().is_none()),
    };
    let redirect_uri = redirect_uri.ok_or(ExchangeError::RedirectUri)?.clone();
    if provider.uses_nonce() && request.nonce.is_none() {
        return Err(ExchangeError::NonceMissing);
    }
    if provider.uses_pkce() && request.code_verifier.is_none() {
        return Err(ExchangeError::VerifierMissing);
    }
    let ExchangeRequest { code, code_verifier, nonce, state, .. } = request;
    let state = state.unwrap_or_else(|| Secret::new(any_state.expose()));
    Ok(CodeExchange { code, redirect_uri, code_verifier, nonce, state, name: None })
}
