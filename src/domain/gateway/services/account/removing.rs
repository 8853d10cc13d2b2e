//! Taking a provider from an account, and ending an account.

use thiserror::Error;

use super::{AccountControl, AccountParts, AccountService, TakenBack, carried_through};
use crate::domain::gateway::{
    models::{account::UnlinkOutcome, attempt::Counted, oauth::ProviderName},
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
        carried_through(async move { this.carry_out(&control).await }).await?
    }

    /// Tokens and sessions end first, since without the account nobody could ask for that again, should it fail halfway; and
    /// once more after it: whoever signs in at this very moment either sees that the account is gone, or is seen here.
    async fn carry_out(&self, control: &AccountControl) -> Result<Vec<TakenBack>, Failure> {
        let AccountParts { accounts, attempts, oauth, .. } = &*self.parts;
        let account = control.account();
        self.end_all(account, None).await?;
        let grants = accounts.remove(account).await?.unwrap_or_default();
        self.end_all(account, None).await?;
        if let Some(login) = control.login() {
            attempts.reset(&Counted::account(&login.email)).await?;
        }
        Ok(oauth.take_back(grants).await)
    }
}
