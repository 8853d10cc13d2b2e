//! Periodic tasks: follow revocations, maintain the keys, purge expired data.

use std::{
    convert::Infallible,
    future::{Future, ready},
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use tokio::{
    runtime::Handle,
    sync::watch,
    task::JoinSet,
    time::{Interval, MissedTickBehavior, interval},
};
use tracing::{error, info, warn};

use crate::{
    app::{
        policies::delta,
        store::{
            Store,
            observer::{Changes, StoreObserver},
        },
    },
    domain::gateway::{
        models::{provider::ProviderSettings, token::CLOCKS_APART},
        services::{
            account::AccountService,
            oauth::{OAuthService, proactive_refresh::ProactiveRefresh},
            registration::Registrations,
            revocation::RevocationFeed,
            signing_key::SigningKeys,
            token::TokenService,
        },
    },
    edge::snapshot::SnapshotCell,
    ports::Clock,
};

/// The time in which a replica learns of another's first key, and of keys that were replaced in an emergency; other keys
/// are published long before they sign.
pub(super) const KEYS_EVERY: Duration = Duration::from_secs(5);
/// Leaves some lifetime even of a token that lives for a minute.
const GRANTS_EVERY: Duration = Duration::from_secs(10);
/// A store that has lost revocations gets a thousand back at a time: a million within two minutes.
const WRITE_BACK_EVERY: Duration = Duration::from_millis(100);
/// An outage of the store is noticed within this time.
const UNNOTICED: Duration = Duration::from_secs(1);
/// Purging late costs only a little space.
const FORGET_EVERY: Duration = Duration::from_mins(1);
/// Often enough to be noticed.
const WARN_EVERY: Duration = Duration::from_hours(24);

pub(super) struct BackgroundTasks {
    pub(super) keys: Arc<SigningKeys>,
    pub(super) feed: Arc<RevocationFeed>,
    pub(super) store: Store,
    pub(super) observer: Arc<StoreObserver>,
    pub(super) endings: Arc<TokenService>,
    pub(super) accounts: AccountService,
    pub(super) registrations: Arc<Registrations>,
    pub(super) snapshots: Arc<SnapshotCell>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) oauth: Arc<OAuthService>,
    /// `OAUTH_REFRESH_AHEAD`
    pub(super) refresh_ahead: Duration,
    pub(super) providers: Vec<ProviderSettings>,
}

impl BackgroundTasks {
    /// Revocations and registrations run on the `reserve` runtime: they take effect in time even if the control runtime
    /// is busy.
    pub(super) fn start(self, tasks: &mut JoinSet<()>, reserve: &Handle, stopped: &watch::Receiver<bool>) {
        let Self { keys, feed, store, observer, endings, accounts, registrations, snapshots, clock, oauth, .. } = self;
        let repeating = Repeating { store: store.clone(), stopped: stopped.clone() };
        let finishing = repeating.task("finishing interrupted deletions", Occasions::every(FORGET_EVERY), move || {
            let (tokens, accounts) = (endings.clone(), accounts.clone());
            async move {
                accounts.finish_endings().await?;
                tokens.finish_endings().await
            }
        });
        tasks.spawn(finishing);
        let owing = feed.clone();
        tasks.spawn(repeating.task("writing back revocations", Occasions::every(WRITE_BACK_EVERY), move || {
            let feed = owing.clone();
            async move { feed.write_back().await }
        }));
        let following = repeating.task("following revocations", Occasions::Changes(observer.follow()), move || {
            let feed = feed.clone();
            async move { feed.catch_up().await }
        });
        tasks.spawn_on(following, reserve);
        let following = repeating.task("following registrations", Occasions::Changes(observer.follow()), move || {
            let registrations = registrations.clone();
            async move { registrations.follow().await }
        });
        tasks.spawn_on(following, reserve);
        tasks.spawn(repeating.task("renewing signing keys", Occasions::every(KEYS_EVERY), move || {
            let keys = keys.clone();
            async move { keys.refresh().await }
        }));
        let (providers, warning_clock) = (self.providers, clock.clone());
        tasks.spawn(repeating.task("checking for warnings of providers", Occasions::every(WARN_EVERY), move || {
            for warning in providers.iter().filter_map(|provider| provider.warning(warning_clock.now())) {
                warn!("{warning}");
            }
            ready(Ok::<_, Infallible>(()))
        }));
        tasks.spawn(repeating.task("deleting expired data", Occasions::every(FORGET_EVERY), move || {
            let (store, snapshots, now) = (store.clone(), snapshots.clone(), clock.now());
            async move {
                snapshots.update(|snapshot| {
                    snapshot.revocations.purge_expired(now);
                });
                // Data that this replica purges is expired by the clocks of the other replicas, too.
                let now = now - CLOCKS_APART;
                store.tokens.purge_expired(now).await?;
                store.sessions.purge_expired(now).await?;
                store.logins.purge_expired(now).await?;
                store.attempts.purge_expired(now).await?;
                store.clients.purge_expired(now).await?;
                store.registrations.purge_expired().await?;
                store.notices.purge_expired(now).await.map(|_| ())
            }
        }));
        if !self.refresh_ahead.is_zero() {
            refresh_grants(&oauth, delta(self.refresh_ahead), tasks, &repeating);
        }
    }
}

/// One task per provider: a slow one must not delay the others.
fn refresh_grants(oauth: &Arc<OAuthService>, ahead: TimeDelta, tasks: &mut JoinSet<()>, repeating: &Repeating) {
    for provider in oauth.providers() {
        let grants = Arc::new(ProactiveRefresh::new(oauth.clone(), provider.clone(), ahead));
        let stopping = repeating.stopped.clone();
        let occasions = Occasions::every(GRANTS_EVERY);
        tasks.spawn(repeating.task("refreshing grants ahead of their expiry", occasions, move || {
            let (grants, stopping) = (grants.clone(), stopping.clone());
            async move { grants.sweep(stopping).await }
        }));
    }
}

/// When work is repeated.
enum Occasions {
    /// At intervals.
    Every(Interval),
    /// When other replicas have changed something.
    Changes(Changes),
}

impl Occasions {
    /// At once, and then at this interval.
    fn every(period: Duration) -> Self {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self::Every(ticks)
    }

    async fn next(&mut self) {
        match self {
            Self::Every(ticks) => drop(ticks.tick().await),
            Self::Changes(changes) => changes.next().await,
        }
    }
}

/// What all repeated work has in common.
struct Repeating {
    store: Store,
    stopped: watch::Receiver<bool>,
}

impl Repeating {
    /// Repeats `work` until told to stop.
    fn task<W, E, F>(
        &self,
        what: &'static str,
        mut occasions: Occasions,
        mut work: F,
    ) -> impl Future<Output = ()> + use<W, E, F>
    where
        F: FnMut() -> W,
        W: Future<Output = Result<(), E>>,
        E: std::fmt::Display,
    {
        let mut trouble = Trouble { what, store: self.store.clone(), failing_since: None, is_said: false };
        let stopped = until(self.stopped.clone());
        async move {
            tokio::pin!(stopped);
            loop {
                tokio::select! {
                    () = &mut stopped => return,
                    () = occasions.next() => {}
                }
                trouble.note(&work().await);
            }
        }
    }
}

/// Logs a failure of repeated work when it lasts, and when it is over, not each time. An outage of the store has lines
/// of its own.
struct Trouble {
    what: &'static str,
    store: Store,
    /// Since when it has failed each time.
    failing_since: Option<Instant>,
    is_said: bool,
}

impl Trouble {
    fn note(&mut self, outcome: &Result<(), impl std::fmt::Display>) {
        let what = self.what;
        match outcome {
            Ok(()) => {
                if self.is_said {
                    info!("{what} works again");
                }
                (self.failing_since, self.is_said) = (None, false);
            }
            Err(error) => {
                let since = *self.failing_since.get_or_insert_with(Instant::now);
                // It may be the begin of an outage that is not noticed yet.
                if since.elapsed() >= UNNOTICED && !self.is_said && !self.store.is_away() {
                    self.is_said = true;
                    error!(%error, "{what} fails; it is retried");
                }
            }
        }
    }
}

/// Ends on the stop signal, or when its sender is gone.
pub(super) async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
