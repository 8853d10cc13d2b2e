//! One refresh at a time per grant: in this process by taking turns, over all replicas by a lease in the store that ends by
//! itself should its holder vanish. Losers wait and read the winner's result.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::TimeDelta;
use tokio::{
    sync::{Mutex as Turn, OwnedMutexGuard},
    task::spawn,
    time::{Instant, interval_at, sleep},
};
use tracing::{debug, info, warn};

use super::{GrantError, OAuthService, OpenGrant, SwitchedOn, can_renew};
use crate::domain::gateway::{
    models::{
        id::{GrantId, LeaseId},
        oauth::{Grant, GrantStatus, LeaseOutcome, ProviderTokens, RefreshLease},
    },
    repositories::RepositoryError,
    services::{
        Failure,
        ports::{Provider, ProviderError},
    },
};

/// How long a lease lasts unless it is renewed: a holder that was killed blocks a refresh for that long at most.
const LEASE: TimeDelta = TimeDelta::seconds(6);
/// How often a lease is renewed while the provider takes its time; three tries fit into one lease.
const RENEW_EVERY: Duration = Duration::from_secs(2);
/// How long a store that is out of reach is tried again with what a provider gave out.
const STORE_PATIENCE: Duration = Duration::from_mins(2);
/// How often.
const STORE_AGAIN_EVERY: Duration = Duration::from_secs(1);
/// How often a loser looks whether the winner is done.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a loser waits: longer than a provider may take (10 s) and a lost lease lasts together.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

impl OAuthService {
    /// The grant with an access token that is good for a while.
    pub(super) async fn fresh(&self, grant: Grant) -> Result<OpenGrant, GrantError> {
        if grant.status == GrantStatus::Active && grant.is_fresh(self.clock.now()) {
            return self.opened_grant(grant);
        }
        let _turn = self.turns.wait_for(grant.id).await;
        self.refreshed_once(grant, Wanted::FreshToken).await
    }

    /// The grant with a new access token, however good the old one is.
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
                    // Refreshed or taken back between the look and the lease.
                    self.store.release_lease(&lease).await?;
                }
                LeaseOutcome::Acquired(current) => match self.refresh_under(lease, current).await? {
                    Asked::Renewed(open) => return Ok(open),
                    Asked::TakenOver => {}
                    Asked::Ended => return Err(GrantError::ReauthorizationRequired),
                    // Refreshed early, for safety: what is not expired yet still serves who does not insist on another.
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

    /// Refreshes a grant for nobody in particular. Whoever is at it already, or was since the grant was seen, is enough.
    pub(super) async fn refresh_unasked(&self, seen: &Grant) -> Result<(), GrantError> {
        let Some(_turn) = self.turns.take_if_free(seen.id) else { return Ok(()) };
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

    /// Asks the provider while holding the lease, and stores what it answers: to the end, though the caller may be gone. What a
    /// provider gives out and nobody stores may be lost for good.
    async fn refresh_under(&self, lease: RefreshLease, grant: Grant) -> Result<Asked, GrantError> {
        let this = self.clone();
        let asked = spawn(async move { this.ask_and_store(lease, grant).await });
        asked.await.map_err(|panic| Failure::Broken(panic.to_string()))?
    }

    async fn ask_and_store(&self, lease: RefreshLease, grant: Grant) -> Result<Asked, GrantError> {
        let Some(SwitchedOn { provider, .. }) = self.providers.get(&grant.provider) else {
            self.store.release_lease(&lease).await?;
            return Err(GrantError::Provider(ProviderError::Unavailable("the provider is switched off".into())));
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
            Ok(answer) => {
                let tokens = tokens.refreshed(answer);
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
                info!(grant = %grant.id, provider = %grant.provider, code, "the provider no longer renews a grant: the person has to sign in there again");
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
                | ProviderError::BadAnswer(_)
                | ProviderError::NonceMismatch
                | ProviderError::NoIdToken { .. }
                | ProviderError::NotAdmitted(_)
                | ProviderError::Unsupported),
            ) => {
                // The operator was told, once and not for each grant.
                debug!(grant = %grant.id, provider = %grant.provider, error = %passing, "a refresh failed; nothing is lost");
                self.store.release_lease(&lease).await?;
                Ok(Asked::Failed(passing, OpenGrant { grant, tokens }))
            }
        }
    }

    /// Stores what a refresh gave. A store that is out of reach is tried again for a while.
    async fn stored(&self, lease: &RefreshLease, grant: &Grant) -> Result<bool, GrantError> {
        let give_up_at = Instant::now() + STORE_PATIENCE;
        loop {
            match self.store.finish_refresh(lease, grant).await {
                Err(RepositoryError::Unavailable(error)) if Instant::now() < give_up_at => {
                    warn!(grant = %grant.id, error, "new tokens of a grant cannot be stored yet; it is tried again");
                    sleep(STORE_AGAIN_EVERY).await;
                }
                outcome => return Ok(outcome?),
            }
        }
    }

    /// Asks the provider, and keeps the lease alive while it takes its time.
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
                answer = &mut asking => return answer,
                _ = renewal.tick() => {
                    let renewed = RefreshLease { until: self.clock.now() + LEASE, ..lease };
                    // If it cannot be renewed, the answer is still good unless another takes over; `finish_refresh` says.
                    if let Err(error) = self.store.renew_lease(&renewed, self.clock.now()).await {
                        warn!(grant = %lease.grant, %error, "a refresh lease could not be renewed");
                    }
                }
            }
        }
    }

    pub(super) fn lease(&self, grant: GrantId) -> RefreshLease {
        RefreshLease { grant, holder: LeaseId::from_random(self.entropy.bytes()), until: self.clock.now() + LEASE }
    }

    fn opened_grant(&self, grant: Grant) -> Result<OpenGrant, GrantError> {
        let tokens = self.opened(&grant).map_err(|failure: Failure| GrantError::Failed(failure))?;
        Ok(OpenGrant { grant, tokens })
    }
}

/// What came of asking the provider.
enum Asked {
    /// The grant with its new tokens, as it is stored.
    Renewed(OpenGrant),
    /// Another took the lease over meanwhile; the store has that one's result, or will have it.
    TakenOver,
    /// The person has to sign in at the provider again.
    Ended,
    /// Another try may succeed. The grant is as it was.
    Failed(ProviderError, OpenGrant),
}

/// What a caller who waits for a refresh is content with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// A token that is good for a while, whoever got it.
    FreshToken,
    /// A token that is newer than the one the caller saw.
    NewerToken,
}

/// Whose turn it is in this process. A grant that nobody waits for takes no room.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<GrantId, Arc<Turn<()>>>>);

impl Turns {
    pub(super) async fn wait_for(&self, grant: GrantId) -> OwnedMutexGuard<()> {
        self.of(grant).lock_owned().await
    }

    /// `None` if it is another's turn.
    fn take_if_free(&self, grant: GrantId) -> Option<OwnedMutexGuard<()>> {
        self.of(grant).try_lock_owned().ok()
    }

    fn of(&self, grant: GrantId) -> Arc<Turn<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        turns.entry(grant).or_default().clone()
    }
}
