//! Keeps what a provider gave for a code. Some providers give a refresh token once, and never again unless the person is asked for
//! their consent. So one that is held stays: the new access token is put beside it under the lease that a refresh takes, since a
//! refresh that is under way may leave another refresh token behind.

use tokio::time::{Instant, sleep};
use tracing::warn;

use super::{
    OAuthService, OpenGrant,
    refreshing::{LOOK_EVERY, PATIENCE},
};
use crate::domain::gateway::{
    models::{
        account::ProviderIdentity,
        id::{AccountId, GrantId},
        oauth::{Grant, GrantStatus, LeaseOutcome, ProviderTokens, PutOutcome, RefreshLease},
    },
    repositories::RepositoryError,
    services::{Failure, ports::Provider},
};

/// Why a grant was not kept.
pub(super) enum KeepError {
    /// The account ended, or the identity was taken from it.
    AccountEnded,
    /// The store or the vault failed.
    Failed(Failure),
}

impl From<RepositoryError> for KeepError {
    fn from(error: RepositoryError) -> Self {
        match error {
            RepositoryError::Conflict => Self::AccountEnded,
            RepositoryError::Unavailable(_) | RepositoryError::Corrupt(_) => Self::Failed(error.into()),
        }
    }
}

impl From<Failure> for KeepError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl OAuthService {
    /// Keeps a grant. If that cannot be any more, what the provider gave out is taken back there.
    pub(super) async fn keep(
        &self,
        provider: &dyn Provider,
        tokens: ProviderTokens,
        identity: &ProviderIdentity,
        account: AccountId,
    ) -> Result<OpenGrant, KeepError> {
        let now = self.clock.now();
        let grant = Grant {
            id: GrantId::from_random(self.entropy.bytes()),
            account,
            provider: identity.provider.clone(),
            provider_subject: identity.subject.clone(),
            status: GrantStatus::Active,
            sealed_tokens: Vec::new(),
            expires_at: None,
            refreshable: false,
            created_at: now,
            updated_at: now,
        };
        let grant = self.sealed(grant, provider, &tokens)?;
        let kept = if grant.refreshable {
            self.store
                .put_grant(&grant)
                .await
                .map(|grant| OpenGrant { grant, tokens: tokens.clone() })
                .map_err(Into::into)
        } else {
            self.keep_unrenewable(provider, &grant, &tokens).await
        };
        match kept {
            Ok(_) => self.grants_changed(account),
            Err(KeepError::AccountEnded) => self.take_back_orphan(provider, &grant, &tokens).await,
            Err(KeepError::Failed(_)) => {}
        }
        kept
    }

    /// Keeps a grant that cannot be renewed by itself: beside the refresh token that is held for the same identity, if one is.
    async fn keep_unrenewable(
        &self,
        provider: &dyn Provider,
        grant: &Grant,
        tokens: &ProviderTokens,
    ) -> Result<OpenGrant, KeepError> {
        let give_up_at = Instant::now() + PATIENCE;
        loop {
            let held = match self.store.put_grant_unless_renewable(grant).await? {
                PutOutcome::Stored(grant) => return Ok(OpenGrant { grant, tokens: tokens.clone() }),
                PutOutcome::Renewable(held) => held,
            };
            let _turn = self.turns.wait_for(held.id).await;
            let lease = self.lease(held.id);
            match self.store.acquire_lease(&lease, self.clock.now()).await? {
                LeaseOutcome::Acquired(current) if current.status == GrantStatus::Active && current.refreshable => {
                    if let Some(kept) = self.join(provider, &lease, current, tokens).await? {
                        return Ok(kept);
                    }
                }
                // The refresh token is no longer valid, or was taken back: none is held.
                LeaseOutcome::Acquired(_) => self.store.release_lease(&lease).await?,
                LeaseOutcome::Gone => {}
                LeaseOutcome::Held { .. } if Instant::now() >= give_up_at => {
                    return Err(Failure::Unavailable("the grant is being refreshed for too long".to_owned()).into());
                }
                LeaseOutcome::Held { .. } => sleep(LOOK_EVERY).await,
            }
        }
    }

    /// Puts an access token in place of the one that a grant has, while holding its lease. `None` if the lease was lost.
    async fn join(
        &self,
        provider: &dyn Provider,
        lease: &RefreshLease,
        current: Grant,
        tokens: &ProviderTokens,
    ) -> Result<Option<OpenGrant>, KeepError> {
        let held = self.opened(&current).inspect_err(|error| {
            warn!(%error, "a sign-in replaces tokens that cannot be read");
        });
        let tokens = match held {
            Ok(held) => tokens.clone().or_refresh_token_of(held),
            Err(_) => tokens.clone(),
        };
        let joined = Grant { updated_at: self.clock.now(), ..current };
        let joined = self.sealed(joined, provider, &tokens)?;
        let is_stored = self.store.finish_refresh(lease, &joined).await?;
        Ok(is_stored.then_some(OpenGrant { grant: joined, tokens }))
    }
}
