//! Taking a provider from an account, and ending an account.

use thiserror::Error;

use super::{AccountParts, AccountService, Proof, ProofError, TakenBack, carried_through};
use crate::domain::gateway::{
    models::{account::UnlinkOutcome, id::AccountId, oauth::ProviderName},
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
        let ended = carried_through(async move {
            let ending = this.begin_ending(account, None, true).await?;
            this.carry_out(&ending).await
        });
        Ok(ended.await??)
    }
}
