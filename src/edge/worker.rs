//! One core: a thread with a runtime of its own, its connections, its view of the snapshot, its tokens and its connections
//! to services. Nothing in here is shared with another core, so nothing in here is locked.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use h2::server::Builder as Http2;
use tokio::{
    net::TcpStream,
    runtime::Handle,
    sync::{mpsc, watch},
    task::JoinSet,
    time::MissedTickBehavior,
};
use tracing::{debug, warn};

use super::{
    accept::Newcomer,
    access_log::AccessLog,
    authenticate::Known,
    browser::BrowserSettings,
    buffering::BufferedBytes,
    cache::{self, TokenCache},
    client::Peer,
    connection,
    date::HttpDate,
    deadlines::Deadlines,
    error::Failure,
    fingerprint::{Fingerprint, Fingerprints},
    http2,
    in_flight::{CoreLimits, SharedLimits},
    linked::LinkedAccounts,
    names::Names,
    permits::Permit,
    ports::{ControlPlane, Resolver, ResolverUnavailable},
    provider_token::ProviderTokens,
    request_id::RequestIds,
    retry::RetryBudget,
    server::{Alive, Parts},
    session::Sessions,
    shortage::Shortages,
    snapshot::SnapshotReader,
    stream::{self, Streams},
    tls::Terminator,
    view::View,
    watchdog::{Limits, Order, Watchdog},
};
use crate::{
    config::{ListenerSettings, UpstreamSettings},
    ports::Clock,
};

/// What one core works with.
pub(super) struct Core {
    pub(super) listener: ListenerSettings,
    pub(super) tls: Option<Arc<Terminator>>,
    pub(super) upstream: UpstreamSettings,
    names: Arc<Names>,
    pub(super) control_plane: Arc<dyn ControlPlane>,
    pub(super) resolver: Arc<dyn Resolver>,
    pub(super) control: Handle,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: RequestIds,
    pub(super) browsers: BrowserSettings,
    pub(super) tokens: RefCell<TokenCache<Fingerprint, Known>>,
    pub(super) fingerprints: Fingerprints,
    pub(super) sessions: Sessions,
    pub(super) linked_accounts: LinkedAccounts,
    pub(super) provider_tokens: ProviderTokens,
    pub(super) retries: RetryBudget,
    pub(super) limits: CoreLimits,
    pub(super) shortages: Shortages,
    pub(super) buffered: Rc<BufferedBytes>,
    pub(super) watchdog: Watchdog,
    pub(super) access_log: Rc<AccessLog>,
    pub(super) streams: Rc<Streams>,
    pub(super) deadlines: Rc<Deadlines>,
    pub(super) http2: Http2,
    date: HttpDate,
    snapshots: RefCell<SnapshotReader>,
    view: RefCell<Rc<View>>,
    connections: Cell<usize>,
    draining: Cell<bool>,
}

impl Core {
    pub(super) fn new(parts: &Parts, limits: &Arc<SharedLimits>) -> Self {
        let mut snapshots = parts.snapshots.reader();
        let view = View::of(Arc::clone(snapshots.newest()), &parts.names, None);
        let random = RequestIds::new(Arc::clone(&parts.entropy));
        Self {
            listener: parts.listener_settings.clone(),
            tls: parts.tls.clone(),
            upstream: parts.upstream_settings.clone(),
            names: Arc::clone(&parts.names),
            control_plane: Arc::clone(&parts.control_plane),
            resolver: Arc::clone(&parts.resolver),
            control: parts.control_runtime.clone(),
            clock: Arc::clone(&parts.clock),
            fingerprints: Fingerprints::new(&random.bytes()),
            random,
            browsers: parts.browsers.clone(),
            tokens: RefCell::new(TokenCache::new(cache::TOKENS)),
            sessions: Sessions::default(),
            linked_accounts: LinkedAccounts::default(),
            provider_tokens: ProviderTokens::default(),
            retries: RetryBudget::default(),
            limits: CoreLimits::of(limits),
            shortages: Shortages::default(),
            buffered: Rc::default(),
            access_log: Rc::new(AccessLog::new(
                Arc::clone(&parts.access_log),
                parts.log_format,
                parts.timezone,
                Arc::clone(&parts.clock),
            )),
            watchdog: Watchdog::new(Limits {
                head: parts.listener_settings.head_timeout,
                idle: parts.listener_settings.idle_timeout,
            }),
            streams: Rc::default(),
            deadlines: Rc::default(),
            http2: http2::builder(),
            date: HttpDate::default(),
            snapshots: RefCell::new(snapshots),
            view: RefCell::new(Rc::new(view)),
            connections: Cell::new(0),
            draining: Cell::new(false),
        }
    }

    /// The view of the newest snapshot. A request takes it once and uses it to its end.
    pub(super) fn view(&self) -> Rc<View> {
        let mut snapshots = self.snapshots.borrow_mut();
        let newest = snapshots.newest();
        let mut view = self.view.borrow_mut();
        if !Arc::ptr_eq(newest, &view.snapshot) {
            let same_rules = Arc::ptr_eq(&newest.keys, &view.snapshot.keys)
                && Arc::ptr_eq(&newest.expectations, &view.snapshot.expectations);
            if !same_rules {
                // A key may be gone for good, or the issuer another: what was found good has to be looked at again.
                self.tokens.borrow_mut().clear();
            }
            *view = Rc::new(View::of(Arc::clone(newest), &self.names, Some(&view)));
        }
        Rc::clone(&view)
    }

    /// Has the resolver answer a question, on the control runtime.
    pub(super) async fn ask<T, A>(&self, question: impl FnOnce(Arc<dyn Resolver>) -> A) -> Result<T, Failure>
    where
        T: Send + 'static,
        A: Future<Output = Result<T, ResolverUnavailable>> + Send + 'static,
    {
        match self.control.spawn(question(Arc::clone(&self.resolver))).await {
            Ok(answer) => answer.map_err(|ResolverUnavailable| Failure::CheckUnavailable),
            Err(_panicked) => Err(Failure::Internal),
        }
    }

    /// A permit for one more socket to a service.
    pub(super) fn connection_permit(&self) -> Option<Permit> {
        self.limits.connection(|| self.view().close_one_idle())
    }

    /// Hands the text of the time on.
    pub(super) fn with_date<T>(&self, use_it: impl FnOnce(&str) -> T) -> T {
        self.date.with(self.clock.now(), use_it)
    }

    /// Whether no more requests are taken.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Serves newcomers until told to stop, then ends what is under way.
    pub(super) async fn run(
        self: Rc<Self>,
        mut newcomers: mpsc::UnboundedReceiver<Newcomer>,
        mut stop: watch::Receiver<bool>,
        alive: &Alive,
    ) {
        let mut keepers = JoinSet::new();
        keepers.spawn_local(Rc::clone(&self).keep());
        keepers.spawn_local(Rc::clone(&self).keep_streams());
        let log = Rc::clone(&self.access_log);
        keepers.spawn_local(async move { log.keep().await });
        let deadlines = Rc::clone(&self.deadlines);
        keepers.spawn_local(async move { deadlines.keep().await });
        loop {
            tokio::select! {
                biased;
                _ = stop.wait_for(|&stopped| stopped) => break,
                newcomer = newcomers.recv() => match newcomer {
                    Some(newcomer) => self.welcome(newcomer),
                    None => break,
                },
                // None of them ends by itself. Without one of them there are no time limits, or there is no log.
                _ = keepers.join_next() => {
                    alive.has_died();
                    break;
                }
            }
        }
        self.drain(newcomers).await;
    }

    fn welcome(self: &Rc<Self>, newcomer: Newcomer) {
        let Newcomer { stream, peer, place } = newcomer;
        let stream = match TcpStream::from_std(stream) {
            Ok(stream) => stream,
            Err(error) => {
                debug!(%error, "a connection was lost on its way to a core");
                return;
            }
        };
        let peer = Peer::new(peer, &self.listener.trusted_proxies, self.tls.is_some());
        let counted = Counted::new(self);
        // What serves it is made in here: made outside, a connection would have room for it twice.
        tokio::task::spawn_local(async move {
            connection::serve(&counted.0, stream, peer).await;
            drop((counted, place));
        });
    }

    /// Looks after what grows old.
    async fn keep(self: Rc<Self>) {
        let mut tick = tokio::time::interval(self.watchdog.period());
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = tick.tick().await.into_std();
            self.watchdog.look(now);
            self.view().close_idle(now, self.upstream.idle_timeout);
            self.limits.forget_clients();
        }
    }

    /// Ends the streams that are not to go on.
    async fn keep_streams(self: Rc<Self>) {
        let mut tick = tokio::time::interval(stream::PERIOD);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = tick.tick().await.into_std();
            self.streams.look(now, self.clock.now(), &self.view().snapshot.revocations);
        }
    }

    async fn drain(&self, newcomers: mpsc::UnboundedReceiver<Newcomer>) {
        const STEP: Duration = Duration::from_millis(5);
        self.draining.set(true);
        drop(newcomers);
        self.watchdog.give_all(Order::Drain);
        let deadline = Instant::now() + self.listener.drain_timeout;
        while self.connections.get() > 0 && Instant::now() < deadline {
            tokio::time::sleep(STEP).await;
        }
        if self.connections.get() > 0 {
            warn!(
                connections = self.connections.get(),
                "requests were still under way when the time to drain was over"
            );
            self.access_log.cut_off();
        }
    }
}

/// Counts a connection while it lives.
struct Counted(Rc<Core>);

impl Counted {
    fn new(core: &Rc<Core>) -> Self {
        core.connections.set(core.connections.get() + 1);
        Self(Rc::clone(core))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.set(self.0.connections.get() - 1);
    }
}
