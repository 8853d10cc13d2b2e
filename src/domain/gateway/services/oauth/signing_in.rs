//! The vault's part of a sign-in in the browser: where the browser goes, and what its return gives.

use thiserror::Error;

use super::{KeepError, LinkError, OAuthService, SwitchedOn};
use crate::domain::gateway::{
    models::{
        id::AccountId,
        login::{LoginAttempt, LoginState},
        oauth::Secret,
    },
    services::{
        Failure,
        account::LinkPermit,
        ports::{AuthorizationRequest, CodeExchange, ProviderError},
    },
};

/// Why nobody was signed in.
#[derive(Debug, Error)]
pub enum SignInError {
    /// The provider does not do it.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The identity was to be added to an account, and is another's.
    #[error("this identity belongs to another account")]
    LinkedElsewhere,
    /// The account ended, or the provider was taken from it, while this was under way.
    #[error("the account ended while somebody signed in to it")]
    AccountEnded,
    /// Something of ours failed.
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
            LinkError::Failed(failure) => Self::Failed(failure),
        }
    }
}

impl OAuthService {
    /// Where to send the browser for an attempt.
    pub async fn authorize_url(&self, attempt: &LoginAttempt, state: &LoginState) -> Result<Secret, ProviderError> {
        let SwitchedOn { provider, callback, .. } = self.switched_on(attempt)?;
        let request = AuthorizationRequest {
            redirect_uri: attempt.callback.as_ref().unwrap_or(callback).clone(),
            state: Secret::new(state.expose()),
            code_verifier: attempt.code_verifier.clone(),
            nonce: Some(attempt.nonce.clone()),
        };
        provider.authorize_url(&request).await.map(Secret::new)
    }

    /// Exchanges the code that an attempt ended with, keeps the grant, and says whose account it is in. With a `permit` the
    /// identity is added to that account.
    pub async fn sign_in(
        &self,
        attempt: &LoginAttempt,
        state: &LoginState,
        code: Secret,
        issuer: Option<&str>,
        permit: Option<LinkPermit>,
    ) -> Result<AccountId, SignInError> {
        let SwitchedOn { provider, callback, .. } = self.switched_on(attempt)?;
        provider.check_issuer(issuer).await?;
        let exchange = CodeExchange {
            code,
            redirect_uri: attempt.callback.as_ref().unwrap_or(callback).clone(),
            code_verifier: attempt.code_verifier.clone(),
            nonce: Some(attempt.nonce.clone()),
            state: Some(Secret::new(state.expose())),
        };
        let (tokens, identity) = self.exchanged(&**provider, &exchange).await?;
        let account = match permit {
            Some(permit) => self.linked(&identity, permit).await?,
            None => self.account_of(&identity).await?,
        };
        self.keep(&**provider, tokens, &identity, account).await?;
        Ok(account)
    }

    /// The provider of an attempt. It was on when the attempt began, on this replica or another.
    fn switched_on(&self, attempt: &LoginAttempt) -> Result<&SwitchedOn, ProviderError> {
        let switched_off = || ProviderError::Unavailable("the provider is switched off".to_owned());
        self.providers.get(&attempt.provider).ok_or_else(switched_off)
    }
}
