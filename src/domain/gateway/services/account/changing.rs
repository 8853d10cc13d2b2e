//! Another password, or a first one.

use std::net::IpAddr;

use thiserror::Error;

use super::{AccountControl, AccountParts, AccountService, TooManyAttempts, carried_through, claiming::ClaimError};
use crate::domain::gateway::{
    models::account::{Email, Password, PasswordHash, PasswordLogin, Profile},
    repositories::RepositoryError,
    services::Failure,
};

/// The wish to have another password, or a first one.
#[derive(Debug)]
pub struct PasswordChange {
    /// The new password.
    pub new: Password,
    /// What to sign in with, for an account that had no password yet.
    pub email: Option<Email>,
}

/// Why a password was not changed.
#[derive(Debug, Error)]
pub enum PasswordError {
    /// The account is gone.
    #[error("there is no such account")]
    NoAccount,
    /// The client asked for e-mails, or failed, too often.
    #[error(transparent)]
    TooMany(#[from] TooManyAttempts),
    /// A first password needs an e-mail to sign in with.
    #[error("there is no e-mail to sign in with")]
    EmailMissing,
    /// The account has another e-mail.
    #[error("the account has another e-mail")]
    OtherEmail,
    /// Somebody signed up with this e-mail before.
    #[error("the e-mail is taken")]
    EmailTaken,
    /// It was changed while this was under way.
    #[error("the password was changed meanwhile")]
    ChangedMeanwhile,
    /// Something of ours failed.
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
    /// Sets a password, the first or another. Every other session ends, and every token that was issued for the account.
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
        carried_through(async move {
            let ending = this.begin_ending(account, Some(session), false).await?;
            let stored = match read {
                Some(read) => this.replace(&read, &login).await,
                None => this.add(&login).await,
            };
            match stored {
                Ok(()) => {
                    this.carry_out(&ending).await?;
                    Ok(())
                }
                // It may have been stored.
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
        let accounts = &self.parts.accounts;
        match accounts.add_login(login).await {
            Ok(()) => Ok(()),
            Err(RepositoryError::Conflict) => match accounts.profile(login.account).await? {
                None => Err(PasswordError::NoAccount),
                Some(Profile { login: Some(_), .. }) => Err(PasswordError::ChangedMeanwhile),
                Some(Profile { login: None, .. }) => Err(PasswordError::EmailTaken),
            },
            Err(error @ (RepositoryError::Unavailable(_) | RepositoryError::Corrupt(_))) => Err(error.into()),
        }
    }
}
