//! Knows where the instances of every service are. Each source (settings, DNS, registrations, containers) keeps its own
//! list; this merges them into one list per service, and publishes it when it changes.
//!
//! A name that cannot be looked up, or suddenly has no address, keeps its last ones for [`KEPT_FOR`]: a name server that
//! is away must not take down a service that works.

mod following;
mod lookup;
mod names;
mod records;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    task,
    time::{Instant, sleep, timeout},
};
use tracing::warn;

use self::{
    following::follow,
    lookup::{Lookup, Lookups},
    names::Names,
    records::{NameKey, Outcome},
};
use super::ports::{NameResolver, ServicePublisher};
use crate::domain::gateway::models::{
    registration::{AddressPolicy, AddressRefusal},
    service::{DeclaredService, Instance, Service, ServiceName, ServiceUrl, Source},
};

pub use self::names::{KEPT_FOR, NameState};

/// The instances that a source found, by service.
pub type Found = BTreeMap<ServiceName, Vec<Arc<Instance>>>;

/// Addresses that are not used: of which service, and why.
type Refused = BTreeMap<(IpAddr, u16), (ServiceName, AddressRefusal)>;

/// Knows where the instances of every service are.
pub struct Discovery {
    /// For tasks, which must not keep it alive.
    this: Weak<Self>,
    resolver: Arc<dyn NameResolver>,
    publisher: Arc<dyn ServicePublisher>,
    lookups: Lookups,
    state: Mutex<State>,
    /// How many names have not been looked up yet, and how many expected sources have provided nothing.
    unknown: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    declared: Vec<DeclaredService>,
    names: Names,
    found: BTreeMap<Source, Found>,
    /// The sources whose first list is waited for.
    expected: BTreeSet<Source>,
    published: Vec<Service>,
    /// The time of the first declaration.
    declared_at: Option<Instant>,
    /// Whether every name of the first declaration was looked up once, and every expected source has provided its list.
    has_first_answers: bool,
    /// Whether a publication is due.
    is_due: bool,
    guard: Option<AddressPolicy>,
    /// The addresses that are not used, and of which the log knows.
    refused: BTreeSet<(IpAddr, u16)>,
}

/// How long news of names are collected before they are published: the first answers of a thousand names are not a
/// thousand publications.
const PUBLISH_DELAY: Duration = Duration::from_millis(10);

/// The first answers are waited for this long. After that, names without an answer concern their own services alone.
pub const FIRST_ANSWERS_TIMEOUT: Duration = Duration::from_secs(10);

impl Discovery {
    /// Knows no service yet.
    pub fn new(resolver: Arc<dyn NameResolver>, publisher: Arc<dyn ServicePublisher>) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            resolver,
            publisher,
            lookups: Lookups::default(),
            state: Mutex::default(),
            unknown: watch::Sender::new(0),
        })
    }

    /// Replaces the declared services. Names that stay keep their addresses; new ones are looked up at once.
    pub fn declare(&self, services: Vec<DeclaredService>) {
        let wanted = services.iter().flat_map(|service| &service.urls).filter_map(NameKey::of);
        let mut state = self.state();
        self.follow_exactly(&mut state, wanted.collect());
        state.declared = services;
        state.declared_at.get_or_insert_with(Instant::now);
        self.publish(&mut state);
    }

    /// Looks up the names of services that are about to be declared, for at most `limit`, while the declared ones
    /// serve: otherwise a service whose name changes would have no instance until the new name is known.
    pub async fn prepare(&self, services: &[DeclaredService], limit: Duration) {
        {
            let mut state = self.state();
            let wanted = services.iter().chain(&state.declared).flat_map(|service| &service.urls);
            let wanted = wanted.filter_map(NameKey::of).collect();
            self.follow_exactly(&mut state, wanted);
            self.unknown.send_replace(state.unknown());
        }
        self.first_answers(limit).await;
    }

    fn follow_exactly(&self, state: &mut State, wanted: BTreeSet<NameKey>) {
        for key in state.names.retain(wanted) {
            let follower = task::spawn(follow(Weak::clone(&self.this), key.clone()));
            state.names.is_followed_by(key, follower.abort_handle());
        }
    }

    /// Refuses addresses that only a mistake, or somebody who controls names or containers, would have a service at: the
    /// gateway's own listeners, link-local ones and the like. What the settings say themselves is not checked.
    pub fn guard(&self, addresses: AddressPolicy) {
        self.state().guard = Some(addresses);
    }

    /// Has the first answers wait for what this source finds, too. Called before the first declaration.
    pub fn expect(&self, source: Source) {
        self.state().expected.insert(source);
    }

    /// Replaces what another source found.
    pub fn provide(&self, source: Source, found: Found) {
        let mut state = self.state();
        state.expected.remove(&source);
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

    /// Waits until every name was looked up once, found or not, and every expected source has provided its list, for at
    /// most `limit`. Returns whether that is so.
    pub async fn first_answers(&self, limit: Duration) -> bool {
        let mut unknown = self.unknown.subscribe();
        timeout(limit, unknown.wait_for(|&unknown| unknown == 0)).await.is_ok()
    }

    /// Whether every name of the first declaration was looked up once and every expected source has provided its list, or
    /// [`FIRST_ANSWERS_TIMEOUT`] has passed. It stays so: names that are declared later do not make a working gateway
    /// unready.
    pub fn has_first_answers(&self) -> bool {
        let state = self.state();
        let has_waited = state.declared_at.is_none_or(|at| at.elapsed() >= FIRST_ANSWERS_TIMEOUT);
        state.has_first_answers || has_waited
    }

    /// The services that the settings have an address for.
    pub fn declared(&self) -> BTreeSet<ServiceName> {
        let state = self.state();
        let with_address = state.declared.iter().filter(|declared| !declared.urls.is_empty());
        with_address.map(|declared| declared.name.clone()).collect()
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

    /// The next lookup of a name.
    fn lookup(&self, key: &NameKey) -> Lookup {
        let is_known = self.state().names.is_known(key);
        self.lookups.of(key.clone(), Arc::clone(&self.resolver), is_known)
    }

    /// Stores the outcome of a lookup. `None` if the name is not followed any more.
    fn learn(&self, key: &NameKey, outcome: Outcome) -> Option<Arc<Notify>> {
        let mut state = self.state();
        let learnt = state.names.learn(key, outcome, Instant::now())?;
        if learnt.is_news {
            self.publish_soon(&mut state);
        }
        Some(learnt.wake)
    }

    fn publish_soon(&self, state: &mut State) {
        if std::mem::replace(&mut state.is_due, true) {
            return;
        }
        let this = Weak::clone(&self.this);
        task::spawn(async move {
            sleep(PUBLISH_DELAY).await;
            if let Some(discovery) = this.upgrade() {
                let mut state = discovery.state();
                state.is_due = false;
                discovery.publish(&mut state);
            }
        });
    }

    /// Publishes the merged list if it has changed.
    fn publish(&self, state: &mut State) {
        let (merged, refused) = state.merged();
        for ((address, port), (service, refusal)) in &refused {
            if !state.refused.contains(&(*address, *port)) {
                let instance = SocketAddr::new(*address, *port);
                warn!(%service, %instance, "an address is not used: it {refusal}");
            }
        }
        state.refused = refused.into_keys().collect();
        if merged != state.published {
            self.publisher.publish_services(&merged);
            state.published = merged;
        }
        let unknown = state.unknown();
        state.has_first_answers |= unknown == 0 && state.declared_at.is_some();
        self.unknown.send_replace(unknown);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic leaves nothing half done in it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How many first answers are missing.
    fn unknown(&self) -> usize {
        self.names.unknown() + self.expected.len()
    }

    /// One list per service, in an order that depends on the sources alone.
    /// Also the addresses that are not used.
    fn merged(&self) -> (Vec<Service>, Refused) {
        let mut refused = Refused::new();
        let mut services: BTreeMap<&ServiceName, Service> = BTreeMap::new();
        for declared in &self.declared {
            let service = services.entry(&declared.name).or_insert_with(|| Service {
                name: declared.name.clone(),
                instances: Vec::new(),
                policy: Arc::clone(&declared.policy),
            });
            let found = declared.urls.iter().flat_map(|url| self.instances(url));
            service.instances.extend(found.filter_map(|one| self.allowed(&declared.name, one, &mut refused)));
        }
        for service in services.values_mut() {
            service.instances = without_doubles(&service.instances);
        }
        for found in self.found.values() {
            for (name, instances) in found.iter().filter(|(_, instances)| !instances.is_empty()) {
                let service = services.entry(name).or_insert_with(|| Service {
                    name: name.clone(),
                    instances: Vec::new(),
                    policy: Arc::default(),
                });
                let allowed = instances.iter().filter_map(|one| self.allowed(name, Arc::clone(one), &mut refused));
                add_unknown(&mut service.instances, without_doubles(&allowed.collect::<Vec<_>>()));
            }
        }
        (services.into_values().collect(), refused)
    }

    /// An instance with those of its addresses that may be used, if there is one.
    fn allowed(&self, service: &ServiceName, instance: Arc<Instance>, refused: &mut Refused) -> Option<Arc<Instance>> {
        let guard = match instance.source {
            Source::Dns | Source::Docker => self.guard.as_ref(),
            // Registered ones are checked when they register, by stricter rules.
            Source::Static | Source::Registered => None,
        };
        let Some(guard) = guard else { return Some(instance) };
        let mut must_go = |address: &IpAddr| match guard.check_found(*address, instance.port) {
            Ok(()) => false,
            Err(refusal) => {
                refused.insert((*address, instance.port), (service.clone(), refusal));
                true
            }
        };
        let addresses: Vec<IpAddr> = instance.addresses.iter().filter(|address| !must_go(address)).copied().collect();
        if addresses.len() == instance.addresses.len() {
            return Some(instance);
        }
        (!addresses.is_empty()).then(|| Arc::new(Instance { addresses, ..Instance::clone(&instance) }))
    }

    fn instances(&self, url: &ServiceUrl) -> Vec<Arc<Instance>> {
        match (NameKey::of(url), url.host.parse()) {
            (Some(key), _) => self.names.instances(&key, url),
            (None, Ok(address)) => vec![Arc::new(Instance::at(url, url.port, vec![address], Source::Static))],
            (None, Err(_)) => Vec::new(),
        }
    }
}

/// Within a source an instance counts once. Two names for one address are two instances: the process there may
/// distinguish them by `Host`.
fn without_doubles(instances: &[Arc<Instance>]) -> Vec<Arc<Instance>> {
    let mut known = HashSet::new();
    instances.iter().filter(|instance| known.insert(instance.identity())).cloned().collect()
}

/// Adds the instances of another source. What listens at a known address and port is known already, whatever name the
/// source has for it.
fn add_unknown(known: &mut Vec<Arc<Instance>>, others: Vec<Arc<Instance>>) {
    let sockets = |instance: &Instance| -> Vec<(IpAddr, u16)> {
        instance.addresses.iter().map(|&address| (address, instance.port)).collect()
    };
    let taken: HashSet<_> = known.iter().flat_map(|instance| sockets(instance)).collect();
    known.extend(others.into_iter().filter(|other| sockets(other).iter().all(|socket| !taken.contains(socket))));
}

#[cfg(test)]
mod tests;
