//! The vault's part of a sign-in in the browser: the authorization URL, and the exchange at the return.

use std::net::IpAddr;

use thiserror::Error;
use tracing::warn;

use super::{EnabledProvider, KeepError, LinkError, OAuthService};
use crate::domain::gateway::{
    models::{
        login::{LoginAttempt, LoginHint, LoginState},
        oauth::ProviderName,
        values::{id::AccountId, secret::Secret},
    },
    services::{
        Failure,
        oauth::link_permit::LinkPermit,
        ports::{AuthorizationRequest, CodeExchange, ProviderError},
        throttle::TooManyAttempts,
    },
};

/// A provider's response for a person who has agreed.
pub struct Agreed<'r> {
    /// The state of the attempt.
    pub state: &'r LoginState,
    /// The code.
    pub code: Secret,
    /// The person's name, if it was sent. It is not signed.
    pub name: Option<String>,
    /// The client's address, if it is known.
    pub client: Option<IpAddr>,
}

/// The result of a sign-in at a provider.
#[derive(Debug)]
pub struct SignedIn {
    /// The account of the identity.
    pub account: AccountId,
    /// The request for consent to make next, if only consent may bring a refresh token.
    pub needs_consent: Option<ConsentRequest>,
}

/// A request to send the person to the provider once more and ask for consent.
#[derive(Debug)]
pub struct ConsentRequest {
    /// The person, in the provider's terms.
    pub login_hint: Option<LoginHint>,
}

/// The reason why a sign-in failed.
#[derive(Debug, Error)]
pub enum SignInError {
    /// The provider failed.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The identity that was to be linked belongs to another account.
    #[error("this identity belongs to another account")]
    LinkedElsewhere,
    /// The account ended, or the provider was unlinked from it, in the meantime.
    #[error("the account ended during the sign-in")]
    AccountEnded,
    /// Too many failed exchanges of this client.
    #[error(transparent)]
    TooMany(#[from] TooManyAttempts),
    /// An internal failure.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl From<KeepError> for SignInError {
    fn from(error: KeepError) -> Self {
        match error {
            KeepError::AccountEnded => Self::AccountEnded,
            KeepError::Failed(failure) => Self::Failed(failure),
        }
    }
}

impl From<LinkError> for SignInError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Elsewhere => Self::LinkedElsewhere,
            LinkError::AccountEnded => Self::AccountEnded,
            LinkError::Failed(failure) => Self::Failed(failure),
        }
    }
}

impl OAuthService {
    /// The URL to send the browser to for an attempt.
    pub async fn authorize_url(
        &self,
        attempt: &LoginAttempt,
        state: &LoginState,
        login_hint: Option<LoginHint>,
        auth_type: Option<&'static str>,
    ) -> Result<Secret, ProviderError> {
        let EnabledProvider { provider, callback, .. } = self.enabled_provider(attempt)?;
        let request = AuthorizationRequest {
            redirect_uri: attempt.callback.as_ref().unwrap_or(callback).clone(),
            state: Secret::new(state.expose()),
            code_verifier: attempt.code_verifier.clone(),
            nonce: Some(attempt.nonce.clone()),
            more_scopes: attempt.more_scopes.clone(),
            consent: attempt.consent,
            login_hint,
            auth_type,
        };
        let url = provider.authorize_url(&request).await;
        self.healths.note_departure(provider.name(), &url);
        url.map(Secret::new)
    }

    /// Whether an authorization response is from the attempt's provider, as far as its `iss` shows (RFC 9207 §2.4). To
    /// be checked before anything else in it is used, including an error.
    pub async fn check_issuer(&self, attempt: &LoginAttempt, issuer: Option<&str>) -> Result<(), ProviderError> {
        self.enabled_provider(attempt)?.provider.check_issuer(issuer).await
    }

    /// Exchanges the code of an attempt, stores the grant, and returns the account, and whether a refresh token is
    /// missing that the person's consent might bring. With a `permit` the identity is linked to that account.
    pub async fn sign_in(
        &self,
        attempt: &LoginAttempt,
        agreed: Agreed<'_>,
        permit: Option<LinkPermit>,
    ) -> Result<SignedIn, SignInError> {
        let Agreed { state, code, name, client } = agreed;
        let EnabledProvider { provider, callback, .. } = self.enabled_provider(attempt)?;
        let exchange = CodeExchange {
            code,
            redirect_uri: attempt.callback.as_ref().unwrap_or(callback).clone(),
            code_verifier: attempt.code_verifier.clone(),
            nonce: Some(attempt.nonce.clone()),
            state: Secret::new(state.expose()),
            name,
        };
        let (tokens, identity) = self.counted::<SignInError>(client, &**provider, &exchange).await?;
        let account = match permit {
            Some(permit) => self.linked(&identity, permit).await?,
            None => self.account_of(&identity).await?,
        };
        let kept = self.keep(&**provider, tokens, &identity, account).await?;
        let lacks_refresh_token = kept.lacks_refresh_token_for(&attempt.more_scopes)
            && provider.refresh_token_takes_consent(&attempt.more_scopes);
        if lacks_refresh_token && attempt.consent {
            warn!(
                provider = %attempt.provider,
                "the provider returned no refresh token although the request asked for consent; set <PROVIDER>_PROMPT=never or \
                 OIDC_<NAME>_PROMPT=never so that people are not sent there twice at each sign-in"
            );
        }
        let asks_again = lacks_refresh_token && !attempt.consent;
        let needs_consent = asks_again.then(|| ConsentRequest { login_hint: provider.login_hint_of(&identity) });
        Ok(SignedIn { account, needs_consent })
    }

    /// The scopes that one sign-in may request in addition.
    pub fn more_scopes(&self, provider: &ProviderName) -> &[String] {
        self.providers.get(provider).map_or(&[], |one| &one.more_scopes)
    }

    /// The provider of an attempt. It was enabled when the attempt began, on this replica or another.
    fn enabled_provider(&self, attempt: &LoginAttempt) -> Result<&EnabledProvider, ProviderError> {
        let not_enabled = || ProviderError::Unavailable("the provider is not enabled".to_owned());
        self.providers.get(&attempt.provider).ok_or_else(not_enabled)
    }
}
