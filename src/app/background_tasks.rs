//! Periodic tasks: follow revocations, maintain the keys, purge expired data.

use std::{
    convert::Infallible,
    future::{Future, ready},
    sync::Arc,
    time::Duration,
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
    app::policies::delta,
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

/// A revocation takes effect everywhere within a second: four polls leave room for a slow one.
const REVOCATIONS_EVERY: Duration = Duration::from_millis(250);
/// A registration, a deregistration and the end of a lease take effect everywhere within a second, too.
const REGISTRATIONS_EVERY: Duration = Duration::from_millis(250);
/// The time in which a replica learns of another's first key; later keys are published long before they sign.
const KEYS_EVERY: Duration = Duration::from_secs(5);
/// Leaves some lifetime even of a token that lives for a minute.
const GRANTS_EVERY: Duration = Duration::from_secs(10);
/// Purging late costs only a little space.
const FORGET_EVERY: Duration = Duration::from_mins(1);
/// Often enough to be noticed.
const WARN_EVERY: Duration = Duration::from_hours(24);

pub(super) struct BackgroundTasks {
    pub(super) keys: Arc<SigningKeys>,
    pub(super) feed: Arc<RevocationFeed>,
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
    /// Revocations and registrations run on the `reserve` runtime: they take effect within a second even if the control
    /// runtime is busy.
    pub(super) fn start(self, tasks: &mut JoinSet<()>, reserve: &Handle, stopped: &watch::Receiver<bool>) {
        let Self {
            keys,
            feed,
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
        tasks.spawn(repeat("finishing interrupted deletions", FORGET_EVERY, stopped.clone(), move || {
            let (tokens, accounts) = (endings.clone(), accounts.clone());
            async move {
                accounts.finish_endings().await?;
                tokens.finish_endings().await
            }
        }));
        let following = repeat("following revocations", REVOCATIONS_EVERY, stopped.clone(), move || {
            let feed = feed.clone();
            async move { feed.catch_up().await }
        });
        tasks.spawn_on(following, reserve);
        let following = repeat("following registrations", REGISTRATIONS_EVERY, stopped.clone(), move || {
            let registrations = registrations.clone();
            async move { registrations.follow().await }
        });
        tasks.spawn_on(following, reserve);
        tasks.spawn(repeat("renewing signing keys", KEYS_EVERY, stopped.clone(), move || {
            let keys = keys.clone();
            async move { keys.refresh().await }
        }));
        let warning_clock = clock.clone();
        tasks.spawn(repeat("checking for warnings of providers", WARN_EVERY, stopped.clone(), move || {
            for warning in providers.iter().filter_map(|provider| provider.warning(warning_clock.now())) {
                warn!("{warning}");
            }
            ready(Ok::<_, Infallible>(()))
        }));
        tasks.spawn(repeat("deleting expired data", FORGET_EVERY, stopped.clone(), move || {
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
            refresh_grants(&oauth, delta(refresh_ahead), tasks, stopped);
        }
    }
}

/// One task per provider: a slow one must not delay the others.
fn refresh_grants(
    oauth: &Arc<OAuthService>,
    ahead: TimeDelta,
    tasks: &mut JoinSet<()>,
    stopped: &watch::Receiver<bool>,
) {
    for provider in oauth.providers() {
        let grants = Arc::new(ProactiveRefresh::new(oauth.clone(), provider.clone(), ahead));
        let stopping = stopped.clone();
        tasks.spawn(repeat("refreshing grants ahead of their expiry", GRANTS_EVERY, stopped.clone(), move || {
            let (grants, stopping) = (grants.clone(), stopping.clone());
            async move { grants.sweep(stopping).await }
        }));
    }
}

/// Repeats `work` until told to stop. Logs a failure when it begins and when it is over, not each time.
async fn repeat<W, E>(what: &'static str, every: Duration, stopped: watch::Receiver<bool>, mut work: impl FnMut() -> W)
where
    W: Future<Output = Result<(), E>>,
    E: std::fmt::Display,
{
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stopped = until(stopped);
    tokio::pin!(stopped);
    let mut failing = false;
    loop {
        tokio::select! {
            () = &mut stopped => return,
            _ = ticks.tick() => {}
        }
        let outcome = work().await;
        match &outcome {
            Ok(()) if failing => info!("{what} works again"),
            Err(error) if !failing => error!(%error, "{what} fails; it is retried every {every:?}"),
            Ok(()) | Err(_) => {}
        }
        failing = outcome.is_err();
    }
}

/// Ends on the stop signal, or when its sender is gone.
pub(super) async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
