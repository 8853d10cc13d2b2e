//! Taking a provider from an account, and ending an account.

use thiserror::Error;

use super::{AccountControl, AccountParts, AccountService, TakenBack, carried_through};
use crate::domain::gateway::{
    models::{account::UnlinkOutcome, oauth::ProviderName},
    services::Failure,
};

/// Why a provider was not taken from an account.
#[derive(Debug, Error)]
pub enum UnlinkError {
    /// The account has no identity there.
    #[error("the account has no identity at this provider")]
    NotLinked,
    /// Nobody could sign in any more.
    #[error("it is the only way to sign in")]
    LastWayIn,
    /// Something of ours failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl AccountService {
    /// Takes a provider from an account: its identities and grants there, which are then taken back at the provider.
    pub async fn unlink(&self, control: AccountControl, provider: &str) -> Result<Vec<TakenBack>, UnlinkError> {
        let provider: ProviderName = provider.parse().map_err(|_| UnlinkError::NotLinked)?;
        let this = self.clone();
        carried_through(async move {
            let AccountParts { accounts, oauth, .. } = &*this.parts;
            match accounts.unlink(control.account(), &provider).await.map_err(Failure::from)? {
                UnlinkOutcome::Unlinked(grants) => Ok(oauth.take_back(grants).await),
                UnlinkOutcome::NotLinked => Err(UnlinkError::NotLinked),
                UnlinkOutcome::LastWayIn => Err(UnlinkError::LastWayIn),
            }
        })
        .await?
    }

    /// Ends an account and everything that it had, here and on every replica, and takes its grants back at the providers.
    pub async fn remove(&self, control: AccountControl) -> Result<Vec<TakenBack>, Failure> {
        let this = self.clone();
        carried_through(async move {
            let ending = this.begin_ending(control.account(), None, true).await?;
            this.carry_out(&ending).await
        })
        .await?
    }
}
