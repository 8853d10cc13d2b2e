//! All configuration and state that a request needs, in one immutable value that is replaced as a whole: routes,
//! endpoints, keys and revocations are always consistent within a request.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use arc_swap::{ArcSwap, Cache};

use super::{health::ServiceState, net::origination::Originator};
use crate::domain::gateway::models::{
    oauth::GrantChanges,
    service::{Route, RouteTable, ServiceName, ServiceTls},
    token::{Expectations, Revocations, SignatureVerifier},
};

/// The state of the data plane at one moment. A clone shares its parts with the original.
#[derive(Clone)]
pub struct Snapshot {
    /// The routes of all paths.
    pub routes: Arc<RouteTable>,
    /// The services with the state of their instances, by name.
    pub services: Arc<HashMap<ServiceName, Arc<ServiceState>>>,
    /// Hides the addresses of instances in sticky cookies. The same on all replicas.
    pub salt: u64,
    /// TLS to the services that have an instance with it, by their policies.
    pub originators: Arc<HashMap<ServiceTls, Arc<Originator>>>,
    /// Checks the signatures of access tokens.
    pub keys: Arc<dyn SignatureVerifier>,
    /// The required claims of a token.
    pub expectations: Arc<Expectations>,
    /// The deny-list.
    pub revocations: Revocations,
    /// When the deny-list was last compared with the store.
    pub revocations_heard: Arc<Heard>,
    /// The accounts whose grants have changed recently.
    pub grant_changes: GrantChanges,
}

impl Snapshot {
    /// Whether the route may accept callers now: a strict one needs fresh news of revocations.
    pub(crate) fn has_news_for(&self, route: &Route) -> bool {
        route.strict_revocation.is_none_or(|max_age| !self.revocations_heard.is_older_than(max_age))
    }
}

/// A moment, by a clock that never jumps. It is set several times a second, so it is no part of what is replaced as a
/// whole.
#[derive(Debug)]
pub struct Heard {
    start: Instant,
    /// Milliseconds since the start.
    at: AtomicU64,
}

impl Default for Heard {
    /// Now.
    fn default() -> Self {
        Self { start: Instant::now(), at: AtomicU64::new(0) }
    }
}

impl Heard {
    /// Sets the moment.
    pub fn set(&self, at: Instant) {
        let millis = at.saturating_duration_since(self.start).as_millis();
        self.at.store(u64::try_from(millis).unwrap_or(u64::MAX), Relaxed);
    }

    /// Whether the moment is longer ago than this.
    fn is_older_than(&self, age: Duration) -> bool {
        let at = Duration::from_millis(self.at.load(Relaxed));
        self.start.elapsed().saturating_sub(at) > age
    }
}

/// The cell to which the control plane publishes snapshots and from which the data plane reads the newest one.
pub struct SnapshotCell(Arc<ArcSwap<Snapshot>>);

impl SnapshotCell {
    /// Starts with `first`.
    pub fn new(first: Snapshot) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(first)))
    }

    /// The newest snapshot. A request loads it once and uses that one to its end.
    pub fn load(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// Creates a reader, one for each core.
    pub fn reader(&self) -> SnapshotReader {
        SnapshotReader(Cache::new(Arc::clone(&self.0)))
    }

    /// Derives the next snapshot from the newest one. `change` may run more than once when two publish at the same time.
    pub fn update(&self, change: impl Fn(&mut Snapshot)) {
        self.0.rcu(|newest| {
            let mut next = Snapshot::clone(newest);
            change(&mut next);
            next
        });
    }
}

/// Reads the newest snapshot without touching shared memory, as long as nothing changes: it keeps the last one and
/// compares pointers.
pub struct SnapshotReader(Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>);

impl SnapshotReader {
    /// The newest snapshot.
    pub fn newest(&mut self) -> &Arc<Snapshot> {
        self.0.load()
    }
}
