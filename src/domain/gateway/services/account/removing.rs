//! Unlinking a provider from an account, and deleting an account.

use thiserror::Error;

use super::{AccountControl, AccountParts, AccountService, TakenBack, run_to_completion};
use crate::domain::gateway::{
    models::{account::UnlinkOutcome, oauth::ProviderName},
    services::Failure,
};

/// The reason why a provider was not unlinked.
#[derive(Debug, Error)]
pub enum UnlinkError {
    /// The account has no identity there.
    #[error("the account has no identity at this provider")]
    NotLinked,
    /// It is the account's only way to sign in.
    #[error("the provider is the account's only way to sign in")]
    LastWayIn,
    /// An internal failure.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl AccountService {
    /// Unlinks a provider from an account: its identities and grants there, which are then revoked at the provider.
    pub async fn unlink(&self, control: AccountControl, provider: &str) -> Result<Vec<TakenBack>, UnlinkError> {
        let provider: ProviderName = provider.parse().map_err(|_| UnlinkError::NotLinked)?;
        let this = self.clone();
        run_to_completion(async move {
            let AccountParts { accounts, oauth, .. } = &*this.parts;
            match accounts.unlink(control.account(), &provider).await.map_err(Failure::from)? {
                UnlinkOutcome::Unlinked(grants) => Ok(oauth.take_back(grants).await),
                UnlinkOutcome::NotLinked => Err(UnlinkError::NotLinked),
                UnlinkOutcome::LastWayIn => Err(UnlinkError::LastWayIn),
            }
        })
        .await?
    }

    /// Deletes an account and everything that belongs to it, here and on every replica, and revokes its grants at the
    /// providers.
    pub async fn remove(&self, control: AccountControl) -> Result<Vec<TakenBack>, Failure> {
        let this = self.clone();
        run_to_completion(async move {
            let ending = this.begin_ending(control.account(), None, true).await?;
            this.end_everything(&ending).await
        })
        .await?
    }
}
