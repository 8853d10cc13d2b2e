//! Refreshes grants shortly before they expire, so that callers hardly ever wait for a provider, and unused grants stay
//! alive. Every replica does this: the one that gets the lease refreshes, the others see that it is done.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
    time::timeout,
};
use tracing::warn;

use super::{GrantError, OAuthService, Provider};
use crate::domain::gateway::{
    models::{
        oauth::{ExpiryCursor, Grant},
        values::id::GrantId,
    },
    services::Failure,
};

/// The concurrent refreshes per provider.
const AT_ONCE: usize = 4;
/// The number of grants that are read at once.
const PAGE: u64 = 100;
/// After this many failures of the provider in one sweep, it is left alone until the next.
const ENOUGH_FAILURES: usize = 8;
/// The pause after a grant's first failure; doubled with each further one.
const FIRST_PAUSE: TimeDelta = TimeDelta::seconds(30);
/// The longest pause.
const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(1);
/// How long before its end a token is exchanged if it is the only means to get the next one. The person would have to
/// sign in again if this gateway or the provider were down for that long.
const AHEAD_OF_THE_END: TimeDelta = TimeDelta::days(10);
/// How long pending refreshes may take when the gateway stops: as long as a provider may take.
const LAST_REFRESHES: Duration = Duration::from_secs(10);

/// Refreshes the grants of one provider ahead of their expiry.
pub struct ProactiveRefresh {
    vault: Arc<OAuthService>,
    provider: Arc<dyn Provider>,
    ahead: TimeDelta,
    pauses: Pauses,
}

impl ProactiveRefresh {
    /// Refreshes at most `ahead` of the expiry, or days before it if an expired token cannot be renewed.
    pub fn new(vault: Arc<OAuthService>, provider: Arc<dyn Provider>, ahead: TimeDelta) -> Self {
        let ahead = if provider.renews_living_tokens() { ahead.max(AHEAD_OF_THE_END) } else { ahead };
        Self { vault, provider, ahead, pauses: Pauses::default() }
    }

    /// Refreshes every grant that is due by now. When told to stop, it begins no other refresh, and waits a while for
    /// the pending ones: tokens that a provider issues and that are not stored may be lost for good.
    pub async fn sweep(&self, mut stopped: watch::Receiver<bool>) -> Result<(), Failure> {
        let mut under_way = JoinSet::new();
        let outcome = tokio::select! {
            outcome = self.refresh_due(&mut under_way) => outcome,
            _ = stopped.wait_for(|stopped| *stopped) => Ok(()),
        };
        let ending = async { while under_way.join_next().await.is_some() {} };
        if timeout(LAST_REFRESHES, ending).await.is_err() {
            warn!(provider = %self.provider.name(), "the provider takes too long; refreshes in progress are abandoned");
        }
        outcome
    }

    async fn refresh_due(&self, under_way: &mut JoinSet<Refreshed>) -> Result<(), Failure> {
        let now = self.vault.clock.now();
        self.vault.healths.settle(self.provider.name());
        if !self.provider.is_refreshed_ahead() {
            return Ok(());
        }
        self.pauses.forget_those_long_over(now);
        let (mut failures, mut after) = (0, None);
        while failures < ENOUGH_FAILURES {
            let page = self.vault.store.grants_expiring(self.provider.name(), now + self.ahead, after, PAGE).await?;
            let last = page.last().and_then(|last| Some((last.expires_at?, last.id)));
            for grant in page {
                if !self.is_due(&grant, now) {
                    continue;
                }
                if under_way.len() == AT_ONCE {
                    failures += self.count_failure(under_way.join_next().await);
                }
                if failures >= ENOUGH_FAILURES {
                    break;
                }
                let vault = self.vault.clone();
                under_way.spawn(async move { (grant.id, vault.refresh_unasked(&grant).await) });
            }
            let Some((expires_at, id)) = last else { break };
            after = Some(ExpiryCursor { expires_at, id });
        }
        while let Some(refreshed) = under_way.join_next().await {
            self.count_failure(Some(refreshed));
        }
        Ok(())
    }

    fn is_due(&self, grant: &Grant, now: DateTime<Utc>) -> bool {
        grant.refresh_at(self.ahead).is_some_and(|at| at <= now) && !self.pauses.is_paused(grant.id, now)
    }

    /// Records the outcome for a grant; returns 1 if the provider failed.
    fn count_failure(&self, refreshed: Option<Result<Refreshed, JoinError>>) -> usize {
        match refreshed {
            None | Some(Err(_)) => 0,
            Some(Ok((grant, Ok(())))) => {
                self.pauses.end(grant);
                0
            }
            Some(Ok((grant, Err(error)))) => {
                self.pauses.begin(grant, self.vault.clock.now());
                let provider_failed = matches!(error, GrantError::Provider(_));
                if !provider_failed {
                    warn!(%grant, %error, "a grant could not be refreshed ahead of its expiry");
                }
                usize::from(provider_failed)
            }
        }
    }
}

/// The outcome for one grant.
type Refreshed = (GrantId, Result<(), GrantError>);

/// Grants that are left alone for a while, because the last attempt failed.
#[derive(Default)]
struct Pauses(Mutex<HashMap<GrantId, Pause>>);

struct Pause {
    length: TimeDelta,
    until: DateTime<Utc>,
}

impl Pauses {
    fn begin(&self, grant: GrantId, now: DateTime<Utc>) {
        let mut pauses = self.lock();
        let length = pauses.get(&grant).map_or(FIRST_PAUSE, |last| (last.length * 2).min(LONGEST_PAUSE));
        pauses.insert(grant, Pause { length, until: now + length });
    }

    fn end(&self, grant: GrantId) {
        self.lock().remove(&grant);
    }

    fn is_paused(&self, grant: GrantId, now: DateTime<Utc>) -> bool {
        self.lock().get(&grant).is_some_and(|pause| now < pause.until)
    }

    /// Forgets grants that were not retried when their time came: another replica has refreshed or deleted them.
    fn forget_those_long_over(&self, now: DateTime<Utc>) {
        self.lock().retain(|_, pause| now < pause.until + LONGEST_PAUSE);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<GrantId, Pause>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
