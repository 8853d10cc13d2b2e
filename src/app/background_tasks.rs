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
    time::{MissedTickBehavior, interval},
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
        repositories::{
            client::ClientRepository, login::LoginRepository, notice::NoticeRepository,
            registration::RegistrationRepository, session::SessionRepository, throttle::ThrottleRepository,
            token::TokenRepository,
        },
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
/// A store that has lost revocations gets them back soon.
const WRITE_BACK_EVERY: Duration = Duration::from_secs(1);
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
    pub(super) tokens: Arc<dyn TokenRepository>,
    pub(super) endings: Arc<TokenService>,
    pub(super) accounts: AccountService,
    pub(super) sessions: Arc<dyn SessionRepository>,
    pub(super) logins: Arc<dyn LoginRepository>,
    pub(super) attempts: Arc<dyn ThrottleRepository>,
    pub(super) clients: Arc<dyn ClientRepository>,
    pub(super) notices: Arc<dyn NoticeRepository>,
    pub(super) registered: Arc<dyn RegistrationRepository>,
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
        let Self {
            keys,
            feed,
            store,
            observer,
            tokens,
            endings,
            accounts,
            sessions,
            logins,
            attempts,
            clients,
            notices,
            registered,
            registrations,
            snapshots,
            clock,
            oauth,
            refresh_ahead,
            providers,
        } = self;
        tasks.spawn(repeat(
            "finishing interrupted deletions",
            store.clone(),
            FORGET_EVERY,
            stopped.clone(),
            move || {
                let (tokens, accounts) = (endings.clone(), accounts.clone());
                async move {
                    accounts.finish_endings().await?;
                    tokens.finish_endings().await
                }
            },
        ));
        let owing = feed.clone();
        tasks.spawn(repeat("writing back revocations", store.clone(), WRITE_BACK_EVERY, stopped.clone(), move || {
            let feed = owing.clone();
            async move { feed.write_back().await }
        }));
        let following = follow("following revocations", store.clone(), observer.follow(), stopped.clone(), move || {
            let feed = feed.clone();
            async move { feed.catch_up().await }
        });
        tasks.spawn_on(following, reserve);
        let following =
            follow("following registrations", store.clone(), observer.follow(), stopped.clone(), move || {
                let registrations = registrations.clone();
                async move { registrations.follow().await }
            });
        tasks.spawn_on(following, reserve);
        tasks.spawn(repeat("renewing signing keys", store.clone(), KEYS_EVERY, stopped.clone(), move || {
            let keys = keys.clone();
            async move { keys.refresh().await }
        }));
        let warning_clock = clock.clone();
        tasks.spawn(repeat(
            "checking for warnings of providers",
            store.clone(),
            WARN_EVERY,
            stopped.clone(),
            move || {
                for warning in providers.iter().filter_map(|provider| provider.warning(warning_clock.now())) {
                    warn!("{warning}");
                }
                ready(Ok::<_, Infallible>(()))
            },
        ));
        tasks.spawn(repeat("deleting expired data", store.clone(), FORGET_EVERY, stopped.clone(), move || {
            let (tokens, sessions, logins) = (tokens.clone(), sessions.clone(), logins.clone());
            let (attempts, clients, notices) = (attempts.clone(), clients.clone(), notices.clone());
            let (registered, snapshots, now) = (registered.clone(), snapshots.clone(), clock.now());
            async move {
                snapshots.update(|snapshot| {
                    snapshot.revocations.purge_expired(now);
                });
                // Data that this replica purges is expired by the clocks of the other replicas, too.
                let now = now - CLOCKS_APART;
                tokens.purge_expired(now).await?;
                sessions.purge_expired(now).await?;
                logins.purge_expired(now).await?;
                attempts.purge_expired(now).await?;
                clients.purge_expired(now).await?;
                registered.purge_expired().await?;
                notices.purge_expired(now).await.map(|_| ())
            }
        }));
        if !refresh_ahead.is_zero() {
            refresh_grants(&oauth, &store, delta(refresh_ahead), tasks, stopped);
        }
    }
}

/// One task per provider: a slow one must not delay the others.
fn refresh_grants(
    oauth: &Arc<OAuthService>,
    store: &Store,
    ahead: TimeDelta,
    tasks: &mut JoinSet<()>,
    stopped: &watch::Receiver<bool>,
) {
    for provider in oauth.providers() {
        let grants = Arc::new(ProactiveRefresh::new(oauth.clone(), provider.clone(), ahead));
        let stopping = stopped.clone();
        tasks.spawn(repeat(
            "refreshing grants ahead of their expiry",
            store.clone(),
            GRANTS_EVERY,
            stopped.clone(),
            move || {
                let (grants, stopping) = (grants.clone(), stopping.clone());
                async move { grants.sweep(stopping).await }
            },
        ));
    }
}

/// Repeats `work` until told to stop.
async fn repeat<W, E>(
    what: &'static str,
    store: Store,
    every: Duration,
    stopped: watch::Receiver<bool>,
    mut work: impl FnMut() -> W,
) where
    W: Future<Output = Result<(), E>>,
    E: std::fmt::Display,
{
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stopped = until(stopped);
    tokio::pin!(stopped);
    let mut trouble = Trouble::new(what, store);
    loop {
        tokio::select! {
            () = &mut stopped => return,
            _ = ticks.tick() => {}
        }
        trouble.note(&work().await);
    }
}

/// Does `work` at every change by other replicas, until told to stop.
async fn follow<W, E>(
    what: &'static str,
    store: Store,
    mut changes: Changes,
    stopped: watch::Receiver<bool>,
    mut work: impl FnMut() -> W,
) where
    W: Future<Output = Result<(), E>>,
    E: std::fmt::Display,
{
    let stopped = until(stopped);
    tokio::pin!(stopped);
    let mut trouble = Trouble::new(what, store);
    loop {
        tokio::select! {
            () = &mut stopped => return,
            () = changes.next() => {}
        }
        trouble.note(&work().await);
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
    fn new(what: &'static str, store: Store) -> Self {
        Self { what, store, failing_since: None, is_said: false }
    }

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
