//! Publishes changes of the control plane in the snapshot that the data plane reads.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use chrono::{DateTime, Utc};

use crate::{
    app::{policies::routes_in_force, tls::service_tls::ServiceTlsKeeper},
    config::Settings,
    domain::gateway::{
        models::{
            oauth::GrantChanges,
            service::{Route, RouteTable, Service, ServiceName},
            token::{AccessClaims, Expectations, Rejection, Revocation, Revocations, SignatureVerifier},
            values::id::{AccountId, Revocable},
        },
        services::ports::{GrantStatePublisher, KeyRing, ServicePublisher, TokenStatePublisher},
    },
    edge::{
        health::ServiceState,
        snapshot::{Snapshot, SnapshotCell},
    },
};

/// Publishes snapshots.
pub(in crate::app) struct SnapshotPublisher {
    snapshots: Arc<SnapshotCell>,
    service_tls: Arc<ServiceTlsKeeper>,
    routing: Mutex<Routing>,
    cores: usize,
}

/// The source of the published table. Building one takes a while with many routes, so it is built only for a change: the
/// addresses of services change far more often.
struct Routing {
    /// The routes without those that services have by default.
    declared: Arc<[Route]>,
    services: Vec<ServiceName>,
    /// The table of both; `None` if it must be built.
    table: Option<Arc<RouteTable>>,
}

impl Routing {
    fn table(&mut self) -> Arc<RouteTable> {
        let Self { declared, services, table } = self;
        let build = || Arc::new(RouteTable::with_defaults(declared.iter().cloned(), services.iter()));
        Arc::clone(table.get_or_insert_with(build))
    }
}

impl SnapshotPublisher {
    /// Starts with the routes of the settings, no services, no keys and an empty deny-list.
    pub(in crate::app) fn new(settings: &Settings, expectations: Expectations, cores: usize, salt: u64) -> Self {
        let snapshots = Arc::new(SnapshotCell::new(Snapshot {
            routes: Arc::new(routes_in_force(settings)),
            services: Arc::default(),
            salt,
            originators: Arc::default(),
            keys: Arc::new(NoKeys),
            expectations: Arc::new(expectations),
            revocations: Revocations::default(),
            revocations_heard: Arc::default(),
            grant_changes: GrantChanges::default(),
        }));
        let declared = settings.routes.clone().into();
        let routing = Mutex::new(Routing { declared, services: Vec::new(), table: None });
        Self { snapshots, service_tls: Arc::default(), routing, cores }
    }

    /// Replaces the declared routes. They are published with the next change of the services, so that both change at
    /// once, or by [`publish_routes`](Self::publish_routes).
    pub(in crate::app) fn set_routes(&self, routes: Vec<Route>) {
        let mut routing = self.routing();
        routing.declared = routes.into();
        routing.table = None;
    }

    /// Publishes the declared routes, unless that was done already.
    pub(in crate::app) fn publish_routes(&self) {
        let table = self.routing().table();
        self.snapshots.update(|snapshot| snapshot.routes = table.clone());
    }

    fn routing(&self) -> MutexGuard<'_, Routing> {
        // A panic leaves nothing half done in it.
        self.routing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::app) fn snapshots(&self) -> Arc<SnapshotCell> {
        self.snapshots.clone()
    }

    pub(in crate::app) fn service_tls(&self) -> Arc<ServiceTlsKeeper> {
        self.service_tls.clone()
    }
}

impl TokenStatePublisher for SnapshotPublisher {
    fn publish_keys(&self, keys: Arc<dyn KeyRing>) {
        let keys: Arc<dyn SignatureVerifier> = keys;
        self.snapshots.update(|snapshot| snapshot.keys = keys.clone());
    }

    fn publish_revocations(&self, revocations: &[Revocation]) {
        self.snapshots.update(|snapshot| revocations.iter().for_each(|&one| snapshot.revocations.insert(one)));
    }

    fn hear(&self, at: Instant) {
        self.snapshots.load().revocations_heard.set(at);
    }

    fn is_revoked(&self, id: Revocable) -> bool {
        self.snapshots.load().revocations.contains_any(&[id])
    }

    fn revocations(&self) -> Vec<Revocation> {
        self.snapshots.load().revocations.iter().collect()
    }
}

impl GrantStatePublisher for SnapshotPublisher {
    fn publish_grant_change(&self, account: AccountId, now: DateTime<Utc>) {
        self.snapshots.update(|snapshot| snapshot.grant_changes.insert(account, now));
    }
}

impl ServicePublisher for SnapshotPublisher {
    fn publish_services(&self, services: &[Service]) {
        let mut routing = self.routing();
        if !services.iter().map(|service| &service.name).eq(&routing.services) {
            routing.services = services.iter().map(|service| service.name.clone()).collect();
            routing.table = None;
        }
        let routes = routing.table();
        let (before, now) = (self.snapshots.load(), Instant::now());
        let state_of = |service: &Service| {
            let known = before.services.get(&service.name);
            match known {
                Some(known) if *known.service == *service => Arc::clone(known),
                _ => {
                    let known = known.map(|known| &**known);
                    Arc::new(ServiceState::of(Arc::new(service.clone()), known, self.cores, now))
                }
            }
        };
        let originators = Arc::new(self.service_tls.originators_of(services));
        let services: HashMap<_, _> =
            services.iter().map(|service| (service.name.clone(), state_of(service))).collect();
        let services = Arc::new(services);
        self.snapshots.update(|snapshot| {
            snapshot.routes = routes.clone();
            snapshot.services = services.clone();
            snapshot.originators = originators.clone();
        });
    }
}

/// Before the first keys are loaded, no token can be valid.
struct NoKeys;

impl SignatureVerifier for NoKeys {
    fn knows(&self, _: &str) -> bool {
        false
    }

    fn verify(&self, _: &str) -> Result<AccessClaims, Rejection> {
        Err(Rejection::UnknownKey)
    }
}
