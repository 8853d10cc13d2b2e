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
    time::{Instant, interval_at, sleep},
};
use tracing::{info, warn};

use super::{GrantError, OAuthService, OpenGrant, SwitchedOn};
use crate::domain::gateway::{
    models::{
        id::{GrantId, LeaseId},
        oauth::{Grant, GrantStatus, LeaseOutcome, ProviderTokens, RefreshLease},
    },
    services::{
        Failure,
        ports::{Provider, ProviderError},
    },
};

/// How long a lease lasts unless it is renewed: a holder that was killed blocks a refresh for that long at most.
const LEASE: TimeDelta = TimeDelta::seconds(6);
/// How often a lease is renewed while the provider takes its time; three tries fit into one lease.
const RENEW_EVERY: Duration = Duration::from_secs(2);
/// How often a loser looks whether the winner is done.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a loser waits: longer than a provider may take (10 s) and a lost lease lasts together.
const PATIENCE: Duration = Duration::from_secs(20);

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
            if grant.status != GrantStatus::Active || !grant.refreshable {
                return Err(GrantError::ReauthorizationRequired);
            }
            let lease = self.lease(grant.id);
            match self.store.acquire_lease(&lease, self.clock.now()).await? {
                LeaseOutcome::Gone => return Err(GrantError::NotFound),
                LeaseOutcome::Acquired(current) if current.updated_at != grant.updated_at => {
                    // Refreshed between the look and the lease.
                    self.store.release_lease(&lease).await?;
                }
                LeaseOutcome::Acquired(current) => {
                    if let Some(outcome) = self.refresh_under(lease, current).await? {
                        return Ok(outcome);
                    }
                }
                LeaseOutcome::Held { .. } if Instant::now() >= give_up_at => return Err(GrantError::Busy),
                LeaseOutcome::Held { .. } => sleep(LOOK_EVERY).await,
            }
        }
    }

    /// Asks the provider while holding the lease. `None` if the lease was lost meanwhile: then look again.
    async fn refresh_under(&self, lease: RefreshLease, grant: Grant) -> Result<Option<OpenGrant>, GrantError> {
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
        match self.ask(&**provider, &tokens, lease).await {
            Ok(answer) => {
                let tokens = tokens.refreshed(answer);
                let renewed = Grant { status: GrantStatus::Active, updated_at: self.clock.now(), ..grant };
                let grant = self.sealed(renewed, &tokens)?;
                let kept = self.store.finish_refresh(&lease, &grant).await?;
                Ok(kept.then_some(OpenGrant { grant, tokens }))
            }
            Err(ProviderError::Refused { code }) => {
                info!(grant = %grant.id, provider = %grant.provider, code, "the provider refuses to refresh: the person has to sign in there again");
                let ended = Grant { status: GrantStatus::NeedsReauthorization, updated_at: self.clock.now(), ..grant };
                self.store.finish_refresh(&lease, &ended).await?;
                Err(GrantError::ReauthorizationRequired)
            }
            Err(
                passing @ (ProviderError::Unavailable(_) | ProviderError::BadAnswer(_) | ProviderError::Unsupported),
            ) => {
                warn!(grant = %grant.id, provider = %grant.provider, error = %passing, "a refresh failed; nothing is lost");
                self.store.release_lease(&lease).await?;
                // Refreshed early, for safety: what is not expired yet still serves.
                if tokens.expires_at.is_some_and(|expires_at| self.clock.now() < expires_at) {
                    return Ok(Some(OpenGrant { grant, tokens }));
                }
                Err(GrantError::Provider(passing))
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

    fn lease(&self, grant: GrantId) -> RefreshLease {
        RefreshLease { grant, holder: LeaseId::from_random(self.entropy.bytes()), until: self.clock.now() + LEASE }
    }

    fn opened_grant(&self, grant: Grant) -> Result<OpenGrant, GrantError> {
        let tokens = self.opened(&grant).map_err(|failure: Failure| GrantError::Failed(failure))?;
        Ok(OpenGrant { grant, tokens })
    }
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
    async fn wait_for(&self, grant: GrantId) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            turns.entry(grant).or_default().clone()
        };
        turn.lock_owned().await
    }
}
