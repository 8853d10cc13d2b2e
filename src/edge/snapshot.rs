//! Everything a request needs, in one immutable value that is swapped whole: routes, instances, keys and revocations can
//! never disagree within a request.

use std::{collections::HashMap, sync::Arc};

use arc_swap::{ArcSwap, Cache};

use crate::domain::gateway::models::{
    oauth::GrantChanges,
    service::{RouteTable, Service, ServiceName},
    token::{Expectations, Revocations, SignatureVerifier},
};

/// What the data plane knows at one moment. A copy shares its parts with the original.
#[derive(Clone)]
pub struct Snapshot {
    /// Which path leads where.
    pub routes: Arc<RouteTable>,
    /// The services, by name.
    pub services: Arc<HashMap<ServiceName, Arc<Service>>>,
    /// Checks the signatures of access tokens.
    pub keys: Arc<dyn SignatureVerifier>,
    /// What a token must say.
    pub expectations: Arc<Expectations>,
    /// The deny-list.
    pub revocations: Revocations,
    /// Whose grants have changed of late.
    pub grant_changes: GrantChanges,
}

/// Where the control plane publishes snapshots and the data plane reads the newest one.
pub struct SnapshotCell(Arc<ArcSwap<Snapshot>>);

impl SnapshotCell {
    /// Begins with `first`.
    pub fn new(first: Snapshot) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(first)))
    }

    /// The newest snapshot. A request loads it once and uses that one to its end.
    pub fn load(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// A reader of its own for each core.
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

/// Reads the newest snapshot without touching what other cores touch, as long as nothing changes: it keeps the one it read
/// last and compares pointers.
pub struct SnapshotReader(Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>);

impl SnapshotReader {
    /// The newest snapshot.
    pub fn newest(&mut self) -> &Arc<Snapshot> {
        self.0.load()
    }
}
