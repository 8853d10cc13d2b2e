//! Changing a password, or setting a first one.

use std::net::IpAddr;

use thiserror::Error;

use super::{AccountControl, AccountParts, AccountService, TooManyAttempts, claiming::ClaimError, run_to_completion};
use crate::domain::gateway::{
    models::account::{PasswordChange, PasswordHash, PasswordLogin},
    repositories::{Constraint, RepositoryError},
    services::Failure,
};

/// The reason why a password was not changed.
#[derive(Debug, Error)]
pub enum PasswordError {
    /// The account does not exist any more.
    #[error("the account does not exist")]
    NoAccount,
    /// Too many e-mail enquiries or failures of the client.
    #[error(transparent)]
    TooMany(#[from] TooManyAttempts),
    /// A first password needs an e-mail to sign in with.
    #[error("the account has no e-mail to sign in with")]
    EmailMissing,
    /// The account has a different e-mail.
    #[error("the account has another e-mail")]
    OtherEmail,
    /// An account with this e-mail exists already.
    #[error("the e-mail is taken")]
    EmailTaken,
    /// The password was changed concurrently.
    #[error("the password was changed concurrently")]
    ChangedMeanwhile,
    /// An internal failure.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl From<ClaimError> for PasswordError {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Taken => Self::EmailTaken,
            ClaimError::TooMany(too_many) => Self::TooMany(too_many),
            ClaimError::Failed(failure) => Self::Failed(failure),
        }
    }
}

impl From<RepositoryError> for PasswordError {
    fn from(error: RepositoryError) -> Self {
        Self::Failed(error.into())
    }
}

impl AccountService {
    /// Sets the first password or changes it. Every other session ends, and every token that was issued for the
    /// account.
    pub async fn change_password(
        &self,
        control: AccountControl,
        change: PasswordChange,
        client: Option<IpAddr>,
    ) -> Result<(), PasswordError> {
        let AccountParts { hasher, clock, .. } = &*self.parts;
        let (account, session) = (control.account(), control.session());
        let (email, read) = match (control.login(), change.email) {
            (None, None) => return Err(PasswordError::EmailMissing),
            (None, Some(email)) => (self.claim(email, client).await?.into_email(), None),
            (Some(login), Some(email)) if email != login.email => return Err(PasswordError::OtherEmail),
            (Some(login), _) => (login.email.clone(), Some(login.hash.clone())),
        };
        let hash = hasher.hash(change.new).await.map_err(Failure::from)?;
        let login = PasswordLogin { account, email, name: None, hash, changed_at: clock.now() };
        let this = self.clone();
        run_to_completion(async move {
            let ending = this.begin_ending(account, Some(session), false).await?;
            let stored = match read {
                Some(read) => this.replace(&read, &login).await,
                None => this.add(&login).await,
            };
            match stored {
                Ok(()) => {
                    this.end_everything(&ending).await?;
                    Ok(())
                }
                // The change may have been stored.
                Err(failed @ PasswordError::Failed(_)) => Err(failed),
                Err(refused) => {
                    this.finish(&ending).await?;
                    Err(refused)
                }
            }
        })
        .await?
    }

    async fn replace(&self, read: &PasswordHash, login: &PasswordLogin) -> Result<(), PasswordError> {
        let replaced = self.parts.accounts.replace_hash(read, login).await?;
        if replaced { Ok(()) } else { Err(PasswordError::ChangedMeanwhile) }
    }

    async fn add(&self, login: &PasswordLogin) -> Result<(), PasswordError> {
        match self.parts.accounts.add_login(login).await {
            Ok(()) => Ok(()),
            Err(RepositoryError::Conflict(Constraint::Account)) => Err(PasswordError::NoAccount),
            Err(RepositoryError::Conflict(Constraint::Login)) => Err(PasswordError::ChangedMeanwhile),
            Err(RepositoryError::Conflict(Constraint::Email)) => Err(PasswordError::EmailTaken),
            Err(error) => Err(error.into()),
        }
    }
}
