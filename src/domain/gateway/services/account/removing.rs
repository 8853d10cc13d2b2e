//! Taking a provider from an account, and ending an account.

use thiserror::Error;

use super::{AccountParts, AccountService, Proof, ProofError, TakenBack, carried_through};
use crate::domain::gateway::{
    models::{
        account::{Profile, UnlinkOutcome},
        attempt::Counted,
        id::AccountId,
        oauth::ProviderName,
    },
    services::Failure,
};

/// Why an account is still there.
#[derive(Debug, Error)]
pub enum RemoveError {
    /// It was gone before.
    #[error("there is no such account")]
    NoAccount,
    /// It is not proven that the person wants it.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// Something of ours failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

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
    pub async fn unlink(&self, account: AccountId, provider: &str) -> Result<Vec<TakenBack>, UnlinkError> {
        let provider: ProviderName = provider.parse().map_err(|_| UnlinkError::NotLinked)?;
        let this = self.clone();
        carried_through(async move {
            let AccountParts { accounts, oauth, .. } = &*this.parts;
            match accounts.unlink(account, &provider).await.map_err(Failure::from)? {
                UnlinkOutcome::Unlinked(grants) => Ok(oauth.take_back(grants).await),
                UnlinkOutcome::NotLinked => Err(UnlinkError::NotLinked),
                UnlinkOutcome::LastWayIn => Err(UnlinkError::LastWayIn),
            }
        })
        .await?
    }

    /// Ends an account and everything that it had, here and on every replica, and takes its grants back at the providers.
    pub async fn remove(&self, account: AccountId, proof: Proof) -> Result<Vec<TakenBack>, RemoveError> {
        let profile = self.parts.accounts.profile(account).await.map_err(Failure::from)?;
        let profile = profile.ok_or(RemoveError::NoAccount)?;
        self.prove(&profile, proof).await?;
        let this = self.clone();
        Ok(carried_through(async move { this.carry_out(&profile).await }).await??)
    }

    /// Tokens and sessions end first, since without the account nobody could ask for that again, should it fail halfway; and
    /// once more after it: whoever signs in at this very moment either sees that the account is gone, or is seen here.
    async fn carry_out(&self, profile: &Profile) -> Result<Vec<TakenBack>, Failure> {
        let AccountParts { accounts, attempts, oauth, .. } = &*self.parts;
        let account = profile.account.id;
        self.end_all(account, None).await?;
        let grants = accounts.remove(account).await?.unwrap_or_default();
        self.end_all(account, None).await?;
        if let Some(login) = &profile.login {
            attempts.reset(&Counted::account(&login.email)).await?;
            attempts.reset(&Counted::first_attempts(&login.email)).await?;
        }
        Ok(oauth.take_back(grants).await)
    }
}
