//! Knows where the instances of every service are. Each source (settings, DNS, registrations, containers) keeps its own
//! list; this merges them into one list per service, and publishes it when it changes.
//!
//! A source that fails, or suddenly has nothing, keeps its last list for [`KEPT_FOR`]: a name server that is away must
//! not take down a service that works.

mod names;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};

use self::names::{NameKey, Names};
use super::ports::{NameResolver, ServicePublisher};
use crate::domain::gateway::models::service::{DeclaredService, Instance, Service, ServiceName, ServiceUrl, Source};

pub use self::names::{KEPT_FOR, NameState};

/// The instances that a source found, by service.
pub type Found = BTreeMap<ServiceName, Vec<Arc<Instance>>>;

/// Knows where the instances of every service are.
pub struct Discovery {
    resolver: Arc<dyn NameResolver>,
    publisher: Arc<dyn ServicePublisher>,
    state: Mutex<State>,
    /// Limits lookups of names that were found before, and of those that were not: names without an answer affect only
    /// their own services.
    lookups: Arc<Semaphore>,
    doubtful_lookups: Arc<Semaphore>,
    /// How many names have not been looked up yet.
    unknown: watch::Sender<usize>,
    /// Whether every name that was known at the start has been looked up.
    is_started: AtomicBool,
}

#[derive(Default)]
struct State {
    declared: Vec<DeclaredService>,
    names: Names,
    found: BTreeMap<Source, Found>,
    published: Vec<Service>,
}

/// The most concurrent lookups.
const MAX_LOOKUPS: usize = 64;
/// The most concurrent lookups of names that have no known address.
const MAX_DOUBTFUL_LOOKUPS: usize = 32;

impl Discovery {
    /// Knows no service yet.
    pub fn new(resolver: Arc<dyn NameResolver>, publisher: Arc<dyn ServicePublisher>) -> Arc<Self> {
        Arc::new(Self {
            resolver,
            publisher,
            state: Mutex::default(),
            lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)),
            doubtful_lookups: Arc::new(Semaphore::new(MAX_DOUBTFUL_LOOKUPS)),
            unknown: watch::Sender::new(0),
            is_started: AtomicBool::new(false),
        })
    }

    /// Replaces the declared services. Names that stay keep their addresses; new ones are looked up at once.
    pub fn declare(self: &Arc<Self>, services: Vec<DeclaredService>) {
        let wanted = services.iter().flat_map(|service| &service.urls).filter_map(NameKey::of);
        let mut state = self.state();
        self.follow_exactly(&mut state, wanted.collect());
        state.declared = services;
        self.publish(&mut state);
    }

    /// Looks up the names of services that are about to be declared, for at most `limit`, while the declared ones
    /// serve: otherwise a service whose name changes would have no instance until the new name is known.
    pub async fn prepare(self: &Arc<Self>, services: &[DeclaredService], limit: Duration) {
        {
            let mut state = self.state();
            let wanted = services.iter().chain(&state.declared).flat_map(|service| &service.urls);
            let wanted = wanted.filter_map(NameKey::of).collect();
            self.follow_exactly(&mut state, wanted);
            self.count_unknown(&state);
        }
        self.first_answers(limit).await;
    }

    fn follow_exactly(self: &Arc<Self>, state: &mut State, wanted: BTreeSet<NameKey>) {
        for key in state.names.retain(wanted) {
            let follower = tokio::spawn(Arc::clone(self).follow(key.clone()));
            state.names.is_followed_by(key, follower.abort_handle());
        }
    }

    /// Replaces what another source found.
    pub fn provide(&self, source: Source, found: Found) {
        let mut state = self.state();
        state.found.insert(source, found);
        self.publish(&mut state);
    }

    /// A connection to an instance of this service failed: its names are looked up now, not only when their records
    /// expire. At most once per second.
    pub fn suspect(&self, service: &ServiceName) {
        let state = self.state();
        let of_service = state.declared.iter().filter(|declared| declared.name == *service);
        for key in of_service.flat_map(|declared| &declared.urls).filter_map(NameKey::of) {
            state.names.wake(&key);
        }
    }

    /// Waits until every name was looked up once, found or not, for at most `limit`. Returns whether that is so.
    pub async fn first_answers(&self, limit: Duration) -> bool {
        let mut unknown = self.unknown.subscribe();
        timeout(limit, unknown.wait_for(|&unknown| unknown == 0)).await.is_ok()
    }

    /// Whether every name was looked up once. Once that is so it stays so: a name that is declared later affects only
    /// its own service.
    pub fn has_first_answers(&self) -> bool {
        self.is_started.load(Ordering::Relaxed) || *self.unknown.borrow() == 0
    }

    /// The published services.
    pub fn services(&self) -> Vec<Service> {
        self.state().published.clone()
    }

    /// The state of every name of a service: what was found, and why it may be out of date.
    pub fn names_of(&self, service: &ServiceName) -> Vec<NameState> {
        let state = self.state();
        let of_service = state.declared.iter().filter(|declared| declared.name == *service);
        of_service.flat_map(|declared| &declared.urls).filter_map(|url| state.names.state(&NameKey::of(url)?)).collect()
    }

    /// Publishes the merged list if it has changed.
    fn publish(&self, state: &mut State) {
        if self.count_unknown(state) == 0 {
            self.is_started.store(true, Ordering::Relaxed);
        }
        let merged = state.merged();
        if merged != state.published {
            self.publisher.publish_services(&merged);
            state.published = merged;
        }
    }

    fn count_unknown(&self, state: &State) -> usize {
        let now = state.names.unknown();
        self.unknown.send_if_modified(|unknown| std::mem::replace(unknown, now) != now);
        now
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic leaves nothing half done in it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn merged(&self) -> Vec<Service> {
        let mut services: BTreeMap<&ServiceName, Service> = BTreeMap::new();
        for declared in &self.declared {
            let instances = declared.urls.iter().flat_map(|url| self.instances(url));
            let service = Service {
                name: declared.name.clone(),
                instances: without_doubles(instances),
                policy: Arc::clone(&declared.policy),
            };
            services.insert(&declared.name, service);
        }
        for found in self.found.values() {
            for (name, instances) in found.iter().filter(|(_, instances)| !instances.is_empty()) {
                let service = services.entry(name).or_insert_with(|| Service {
                    name: name.clone(),
                    instances: Vec::new(),
                    policy: Arc::default(),
                });
                let all = std::mem::take(&mut service.instances).into_iter().chain(instances.iter().cloned());
                service.instances = without_doubles(all);
            }
        }
        services.into_values().collect()
    }

    fn instances(&self, url: &ServiceUrl) -> Vec<Arc<Instance>> {
        match (NameKey::of(url), url.host.parse()) {
            (Some(key), _) => self.names.instances(&key, url),
            (None, Ok(address)) => vec![Arc::new(Instance::at(url, url.port, vec![address], Source::Static))],
            (None, Err(_)) => Vec::new(),
        }
    }
}

/// Two sources may know the same instance: the first one counts.
fn without_doubles(instances: impl Iterator<Item = Arc<Instance>>) -> Vec<Arc<Instance>> {
    let mut kept: Vec<Arc<Instance>> = Vec::new();
    let mut known = std::collections::HashSet::new();
    for instance in instances {
        let key = (instance.addresses.clone(), instance.port, instance.host.clone(), instance.base_path.clone());
        if known.insert((key, instance.protocol, instance.tls)) {
            kept.push(instance);
        }
    }
    kept
}
