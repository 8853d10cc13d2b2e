//! The main loop of a core: accepts connections until it is told to stop, does periodic work, and drains.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{
    net::TcpStream,
    sync::{mpsc, watch},
    task::JoinSet,
    time::MissedTickBehavior,
};
use tracing::{debug, warn};

use super::{
    acceptor::AcceptedConnection,
    connection,
    phase::Phase,
    thread_watch::Alive,
    worker::{Counted, Worker},
};
use crate::domain::gateway::models::token::Revocations;
use crate::edge::{
    http::client_address::Peer,
    timer::{client_timeouts::Order, stream_guard},
    upstream::checks,
};

/// The core that checks the endpoints for all.
const CHECKING_CORE: usize = 0;

/// A request that was sent before the end may be noticed after it.
const ON_ITS_WAY: Duration = Duration::from_millis(50);

/// How long a connection without a request has to send its first one, unless the drain timeout is shorter.
const LAST_REQUEST: Duration = Duration::from_secs(1);

impl Worker {
    /// Serves connections until told to stop, then those that waited to be accepted, and lets all end.
    pub(crate) async fn run(
        self: Rc<Self>,
        mut accepted: mpsc::UnboundedReceiver<AcceptedConnection>,
        mut phase: watch::Receiver<Phase>,
        alive: &Alive,
    ) {
        let mut keepers = JoinSet::new();
        keepers.spawn_local(Rc::clone(&self).keep());
        keepers.spawn_local(Rc::clone(&self).keep_streams());
        if self.core.upstream.core == CHECKING_CORE {
            keepers.spawn_local(Rc::clone(&self).keep_checks());
        }
        let log = Rc::clone(&self.core.access_log);
        keepers.spawn_local(async move { log.keep().await });
        let deadlines = Rc::clone(&self.core.upstream.deadlines);
        keepers.spawn_local(async move { deadlines.keep().await });
        loop {
            tokio::select! {
                biased;
                next = next_phase(&mut phase, self.phase()) => match next {
                    Phase::Stopped => break,
                    next @ (Phase::Serving | Phase::Leaving) => self.enter(next),
                },
                connection = accepted.recv() => match connection {
                    Some(connection) => self.welcome(connection),
                    None => break,
                },
                // None of these tasks ends by itself. Without them there would be no time limits, or no log.
                _ = keepers.join_next() => {
                    alive.has_died();
                    // The other cores get its connections.
                    accepted.close();
                    break;
                }
            }
        }
        self.drain(accepted).await;
    }

    fn welcome(self: &Rc<Self>, connection: AcceptedConnection) {
        let AcceptedConnection { stream, peer, permit } = connection;
        let stream = match TcpStream::from_std(stream) {
            Ok(stream) => stream,
            Err(error) => {
                debug!(%error, "a connection was lost before a worker accepted it");
                return;
            }
        };
        let peer = Peer::new(peer, &self.core.listener.trusted_proxies, self.tls.is_some());
        let counted = Counted::new(self);
        // The future is built inside: built outside, a connection would need its space twice.
        tokio::task::spawn_local(async move {
            connection::serve(counted.worker(), stream, peer).await;
            drop((counted, permit));
        });
    }

    /// Does the periodic work: time limits and clean-up.
    async fn keep(self: Rc<Self>) {
        let mut tick = tokio::time::interval(self.client_timeouts.period());
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = tick.tick().await.into_std();
            self.client_timeouts.tick(now);
            self.core.router().close_idle(now, self.core.upstream.settings.idle_timeout);
            self.core.upstream.limits.forget_unused();
        }
    }

    /// Checks the endpoints of services.
    async fn keep_checks(self: Rc<Self>) {
        let mut tick = tokio::time::interval(checks::PERIOD);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = tick.tick().await.into_std();
            checks::tick(&self.core.upstream, self.core.router().clusters(), now);
        }
    }

    /// Ends the streams that must not go on.
    async fn keep_streams(self: Rc<Self>) {
        let core = &self.core;
        let mut look = tokio::time::interval(stream_guard::LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut seen, mut due) = (Revocations::default(), Instant::now());
        loop {
            let now = look.tick().await.into_std();
            let revocations = core.router().snapshot.revocations.clone();
            if now < due && revocations.is_same_as(&seen) {
                continue;
            }
            due = now + stream_guard::PERIOD;
            core.upstream.streams.tick(now, core.auth.lookup.now(), &revocations);
            seen = revocations;
        }
    }

    async fn drain(self: &Rc<Self>, mut accepted: mpsc::UnboundedReceiver<AcceptedConnection>) {
        const STEP: Duration = Duration::from_millis(5);
        self.enter(Phase::Stopped);
        let deadline = Instant::now() + self.core.listener.drain_timeout;
        // Ends when the acceptor has.
        while let Some(connection) = accepted.recv().await {
            self.welcome(connection);
        }
        tokio::time::sleep(ON_ITS_WAY.min(self.core.listener.drain_timeout)).await;
        self.client_timeouts.end_idle();
        let last_request = (Instant::now() + LAST_REQUEST).min(deadline);
        let mut is_over = false;
        while self.connections() > 0 && Instant::now() < deadline {
            if !is_over && Instant::now() >= last_request {
                is_over = true;
                self.client_timeouts.give_all(Order::Drain);
            }
            tokio::time::sleep(STEP).await;
        }
        if self.connections() > 0 {
            warn!(connections = self.connections(), "requests were still in flight when the drain timeout ended");
            self.core.access_log.cut_off();
        }
    }
}

/// The phase after `now`. Without a sender the data plane is gone.
async fn next_phase(phases: &mut watch::Receiver<Phase>, now: Phase) -> Phase {
    phases.wait_for(|&next| next > now).await.map_or(Phase::Stopped, |next| *next)
}
