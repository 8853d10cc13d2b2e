//! One refresh at a time per grant: in this process by a lock, over all replicas by a lease in the store that ends by
//! itself if its holder vanishes. Losers wait and read the winner's result.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Mutex as Turn, OwnedMutexGuard},
    task::spawn,
    time::{Instant, interval_at, sleep},
};
use tracing::{debug, info, warn};

use super::{EnabledProvider, GrantError, OAuthService, OpenGrant, can_renew};
use crate::domain::gateway::{
    models::{
        oauth::{Grant, GrantStatus, LEASE_TIME, LeaseOutcome, ProviderTokens, RefreshLease},
        values::id::{GrantId, LeaseId},
    },
    repositories::RepositoryError,
    services::{
        Failure,
        ports::{Provider, ProviderError},
    },
};

/// How often a lease is renewed while the provider is working; three tries fit into one lease.
const RENEW_EVERY: Duration = Duration::from_secs(2);
/// How long the tokens that a provider issued are retried on an unreachable store.
const STORE_PATIENCE: Duration = Duration::from_mins(2);
/// The interval of these tries.
const STORE_AGAIN_EVERY: Duration = Duration::from_secs(1);
/// How often a loser checks whether the winner is done.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a loser waits: longer than a provider may take (10 s) plus the end of a lost lease.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

impl OAuthService {
    /// The grant with an access token that is valid for a while.
    pub(super) async fn fresh(&self, grant: Grant) -> Result<OpenGrant, GrantError> {
        if grant.status == GrantStatus::Active && grant.is_fresh(self.clock.now()) {
            return self.opened_grant(grant);
        }
        let _turn = self.turns.wait_for(grant.id).await;
        self.refreshed_once(grant, Wanted::FreshToken).await
    }

    /// The grant with a new access token, however valid the old one is.
    pub(super) async fn refreshed(&self, grant: Grant) -> Result<OpenGrant, GrantError> {
        let _turn = self.turns.wait_for(grant.id).await;
        self.refreshed_once(grant, Wanted::NewerToken).await
    }

    async fn refreshed_once(&self, seen: Grant, wanted: Wanted) -> Result<OpenGrant, GrantError> {
        let give_up_at = Instant::now() + PATIENCE;
        loop {
            let grant = self.store.find_grant(seen.id).await?.ok_or(GrantError::NotFound)?;
            // Another was faster: its result is as good as ours would be.
            let done = grant.status == GrantStatus::Active
                && grant.is_fresh(self.clock.now())
                && (wanted == Wanted::FreshToken || grant.updated_at > seen.updated_at);
            if done {
                return self.opened_grant(grant);
            }
            match grant.status {
                GrantStatus::Active if grant.refreshable => {}
                GrantStatus::Active if grant.is_fresh(self.clock.now()) => return Err(GrantError::NothingNewer),
                GrantStatus::Active | GrantStatus::NeedsReauthorization => {
                    return Err(GrantError::ReauthorizationRequired);
                }
                GrantStatus::Revoked => return Err(GrantError::TakenBack),
            }
            let lease = self.lease(grant.id);
            match self.store.acquire_lease(&lease, self.clock.now()).await? {
                LeaseOutcome::Gone => return Err(GrantError::NotFound),
                LeaseOutcome::Acquired(current) if current != grant => {
                    // Refreshed or revoked between the look-up and the lease.
                    self.store.release_lease(&lease).await?;
                }
                LeaseOutcome::Acquired(current) => match self.refresh_under(lease, current).await? {
                    Asked::Renewed(open) => return Ok(open),
                    Asked::TakenOver => {}
                    Asked::Ended => return Err(GrantError::ReauthorizationRequired),
                    // Refreshed early, as a precaution: an unexpired token still serves a caller who does not insist on
                    // a newer one.
                    Asked::Failed(_, old)
                        if wanted == Wanted::FreshToken
                            && old.tokens.expires_at.is_some_and(|at| self.clock.now() < at) =>
                    {
                        return Ok(old);
                    }
                    Asked::Failed(passing, _) => return Err(GrantError::Provider(passing)),
                },
                LeaseOutcome::Held { .. } if Instant::now() >= give_up_at => return Err(GrantError::Busy),
                LeaseOutcome::Held { .. } => sleep(LOOK_EVERY).await,
            }
        }
    }

    /// Refreshes a grant without a waiting caller. A refresh that is pending already, or that was done since the grant
    /// was seen, is enough.
    pub(super) async fn refresh_unasked(&self, seen: &Grant) -> Result<(), GrantError> {
        let Some(_turn) = self.turns.try_lock(seen.id) else { return Ok(()) };
        let lease = self.lease(seen.id);
        match self.store.acquire_lease(&lease, self.clock.now()).await? {
            LeaseOutcome::Gone | LeaseOutcome::Held { .. } => Ok(()),
            LeaseOutcome::Acquired(current) if current != *seen => Ok(self.store.release_lease(&lease).await?),
            LeaseOutcome::Acquired(current) => match self.refresh_under(lease, current).await? {
                Asked::Renewed(_) | Asked::TakenOver | Asked::Ended => Ok(()),
                Asked::Failed(passing, _) => Err(GrantError::Provider(passing)),
            },
        }
    }

    /// Calls the provider while holding the lease, and stores its response: to completion, even if the caller is gone.
    /// Tokens that a provider issues and that are not stored may be lost for good.
    async fn refresh_under(&self, lease: RefreshLease, grant: Grant) -> Result<Asked, GrantError> {
        let this = self.clone();
        let asked = spawn(async move { this.ask_and_store(lease, grant).await });
        asked.await.map_err(|panic| Failure::Broken(panic.to_string()))?
    }

    async fn ask_and_store(&self, lease: RefreshLease, grant: Grant) -> Result<Asked, GrantError> {
        let Some(EnabledProvider { provider, .. }) = self.providers.get(&grant.provider) else {
            self.store.release_lease(&lease).await?;
            return Err(GrantError::Provider(ProviderError::Unavailable("the provider is not enabled".into())));
        };
        let tokens = match self.opened(&grant) {
            Ok(tokens) => tokens,
            Err(failure) => {
                self.store.release_lease(&lease).await?;
                return Err(failure.into());
            }
        };
        let asked = if can_renew(&**provider, &tokens, self.clock.now()) {
            let asked = self.ask(&**provider, &tokens, lease).await;
            self.healths.note_refresh(&grant.provider, &asked);
            asked
        } else {
            Err(ProviderError::InvalidGrant { code: "expired".to_owned() })
        };
        match asked {
            Ok(response) => {
                let tokens = tokens.refreshed(response);
                let renewed = Grant { status: GrantStatus::Active, updated_at: self.clock.now(), ..grant };
                let grant = self.sealed(renewed, &**provider, &tokens)?;
                let kept = self.stored(&lease, &grant).await?;
                self.grants_changed(grant.account);
                if kept {
                    return Ok(Asked::Renewed(OpenGrant { grant, tokens }));
                }
                if self.store.find_grant(grant.id).await?.is_none() {
                    self.take_back_orphan(&**provider, &grant, &tokens).await;
                }
                Ok(Asked::TakenOver)
            }
            Err(ProviderError::InvalidGrant { code }) => {
                info!(grant = %grant.id, provider = %grant.provider, code, "the provider no longer renews a grant: the person must sign in there again");
                let ended = Grant { status: GrantStatus::NeedsReauthorization, updated_at: self.clock.now(), ..grant };
                self.store.finish_refresh(&lease, &ended).await?;
                self.grants_changed(ended.account);
                Ok(Asked::Ended)
            }
            Err(
                passing @ (ProviderError::Misconfigured { .. }
                | ProviderError::Refused { .. }
                | ProviderError::Unavailable(_)
                | ProviderError::Throttled(_)
                | ProviderError::BadResponse(_)
                | ProviderError::NonceMismatch
                | ProviderError::NoIdToken { .. }
                | ProviderError::NotAdmitted(_)
                | ProviderError::Unsupported),
            ) => {
                // The operator was told once, not for each grant.
                debug!(grant = %grant.id, provider = %grant.provider, error = %passing, "a refresh failed; nothing is lost");
                self.store.release_lease(&lease).await?;
                Ok(Asked::Failed(passing, OpenGrant { grant, tokens }))
            }
        }
    }

    /// Stores the result of a refresh. An unreachable store is retried for a while.
    async fn stored(&self, lease: &RefreshLease, grant: &Grant) -> Result<bool, GrantError> {
        let give_up_at = Instant::now() + STORE_PATIENCE;
        loop {
            match self.store.finish_refresh(lease, grant).await {
                Err(RepositoryError::Unavailable(error)) if Instant::now() < give_up_at => {
                    warn!(grant = %grant.id, error, "new tokens of a grant cannot be stored yet; storing them is retried");
                    sleep(STORE_AGAIN_EVERY).await;
                }
                outcome => return Ok(outcome?),
            }
        }
    }

    /// Calls the provider, and renews the lease while it is working.
    async fn ask(
        &self,
        provider: &dyn Provider,
        tokens: &ProviderTokens,
        lease: RefreshLease,
    ) -> Result<ProviderTokens, ProviderError> {
        let asking = provider.refresh(tokens);
        tokio::pin!(asking);
        let mut renewal = interval_at(Instant::now() + RENEW_EVERY, RENEW_EVERY);
        loop {
            tokio::select! {
                response = &mut asking => return response,
                _ = renewal.tick() => {
                    let renewed = RefreshLease { until: self.clock.now() + LEASE_TIME, ..lease };
                    // If it cannot be renewed, the response is still good unless another takes over; `finish_refresh`
                    // decides.
                    if let Err(error) = self.store.renew_lease(&renewed, self.clock.now()).await {
                        warn!(grant = %lease.grant, %error, "a refresh lease could not be renewed");
                    }
                }
            }
        }
    }

    pub(super) fn lease(&self, grant: GrantId) -> RefreshLease {
        RefreshLease { grant, holder: LeaseId::from_random(self.entropy.bytes()), until: self.clock.now() + LEASE_TIME }
    }

    fn opened_grant(&self, grant: Grant) -> Result<OpenGrant, GrantError> {
        let tokens = self.opened(&grant).map_err(|failure: Failure| GrantError::Failed(failure))?;
        Ok(OpenGrant { grant, tokens })
    }
}

/// The outcome of a call to the provider.
enum Asked {
    /// The grant with its new tokens, as stored.
    Renewed(OpenGrant),
    /// Another took over the lease in the meantime; the store has that one's result, or will have it.
    TakenOver,
    /// The person has to sign in at the provider again.
    Ended,
    /// Another try may succeed. The grant is unchanged.
    Failed(ProviderError, OpenGrant),
}

/// The token that a waiting caller accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// A token that is valid for a while, from any refresh.
    FreshToken,
    /// A token that is newer than the one that the caller saw.
    NewerToken,
}

/// The locks of this process, one per grant. A grant without a waiter uses no memory.
#[derive(Default)]
pub(super) struct KeyedMutex(Mutex<HashMap<GrantId, Arc<Turn<()>>>>);

impl KeyedMutex {
    pub(super) async fn wait_for(&self, grant: GrantId) -> OwnedMutexGuard<()> {
        self.of(grant).lock_owned().await
    }

    /// `None` if another holds the lock.
    fn try_lock(&self, grant: GrantId) -> Option<OwnedMutexGuard<()>> {
        self.of(grant).try_lock_owned().ok()
    }

    fn of(&self, grant: GrantId) -> Arc<Turn<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        turns.entry(grant).or_default().clone()
    }
}
