use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use serde_json::Map;

use super::*;
use crate::{
    domain::gateway::{
        models::{
            provider::STAND_IN,
            registration::Lease,
            service::{DeclaredService, Service},
            values::id::{FamilyId, TokenId},
        },
        repositories::memory::MemoryRegistrations,
        services::{
            ports::{NameError, NameResolver, Resolved, ServicePublisher, SrvTarget},
            testing::Log,
        },
    },
    ports::testing::{CountingEntropy, TestClock},
};

/// A store that can be away.
#[derive(Default)]
struct Store {
    memory: MemoryRegistrations,
    away: AtomicBool,
    lists: AtomicBool,
}

impl Store {
    fn reached(&self) -> Result<&MemoryRegistrations, RepositoryError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(RepositoryError::Unavailable("away".into()));
        }
        Ok(&self.memory)
    }
}

#[async_trait]
impl RegistrationRepository for Store {
    async fn register(
        &self,
        registration: &Registration,
        limits: &RegistrationLimits,
    ) -> Result<RegistrationOutcome, RepositoryError> {
        self.reached()?.register(registration, limits).await
    }

    async fn renew(&self, service: &ServiceName, id: RegistrationId) -> Result<Option<Lease>, RepositoryError> {
        self.reached()?.renew(service, id).await
    }

    async fn remove(&self, service: &ServiceName, id: RegistrationId) -> Result<bool, RepositoryError> {
        self.reached()?.remove(service, id).await
    }

    async fn state(&self) -> Result<RegistrationState, RepositoryError> {
        self.reached()?.state().await
    }

    async fn live(&self) -> Result<Vec<Lease>, RepositoryError> {
        self.lists.store(true, Ordering::SeqCst);
        self.reached()?.live().await
    }

    async fn purge_expired(&self) -> Result<u64, RepositoryError> {
        self.reached()?.purge_expired().await
    }
}

struct Nowhere;

impl ServicePublisher for Nowhere {
    fn publish_services(&self, _: &[Service]) {}
}

#[async_trait]
impl NameResolver for Nowhere {
    async fn addresses(&self, _: &str) -> Result<Resolved<IpAddr>, NameError> {
        Err(NameError::Missing)
    }

    async fn targets(&self, _: &str) -> Result<Resolved<SrvTarget>, NameError> {
        Err(NameError::Missing)
    }
}

/// One replica.
struct Replica {
    registrations: Registrations,
    discovery: Arc<Discovery>,
    store: Arc<Store>,
    clock: Arc<TestClock>,
}

/// Ids differ between replicas.
fn replica(store: &Arc<Store>, n: u64, networks: &[&str]) -> Replica {
    let (discovery, clock) = (Discovery::new(Arc::new(Nowhere), Arc::new(Nowhere)), TestClock::at(1_800_000_000));
    let networks = networks.iter().map(|one| one.parse().unwrap()).collect();
    let registrations = Registrations::new(RegistrationParts {
        store: store.clone(),
        discovery: discovery.clone(),
        clock: clock.clone(),
        entropy: Arc::new(CountingEntropy::starting_at(n << 32)),
        addresses: AddressPolicy::new(networks, vec!["10.0.0.1:9090".parse().unwrap()]),
    });
    Replica { registrations, discovery, store: store.clone(), clock }
}

fn one() -> Replica {
    replica(&Arc::default(), 1, &["10.0.0.0/8"])
}

fn caller(scope: &str) -> Identity {
    Identity {
        subject: "orders".into(),
        scope: scope.parse().unwrap(),
        token_id: TokenId::from_random([1; 16]),
        family: FamilyId::from_random([1; 16]),
        expires_at: chrono::DateTime::from_timestamp(1_900_000_000, 0).unwrap(),
        claims: Map::new(),
    }
}

fn orders() -> ServiceName {
    "orders".parse().unwrap()
}

fn at(url: &str) -> RegistrationRequest {
    RegistrationRequest { address: InstanceAddress::Url(url.parse().unwrap()), weight: 1, ttl: TimeDelta::seconds(30) }
}

fn at_port(port: u16) -> RegistrationRequest {
    RegistrationRequest { address: InstanceAddress::OfCaller { port }, ..at("http://10.0.0.9:1") }
}

impl Replica {
    async fn register(&self, request: RegistrationRequest) -> Result<Registered, RegisterError> {
        let client = Some("10.0.0.7".parse().unwrap());
        self.registrations.register(&caller("services:register"), &orders(), request, client).await
    }

    async fn add(&self, url: &str) -> RegisteredInstance {
        match self.register(at(url)).await.unwrap() {
            Registered::Added(registered) => registered,
            Registered::Extended(registered) => panic!("{registered:?}"),
        }
    }

    /// The addresses that are served.
    fn served(&self) -> Vec<String> {
        let services = self.discovery.services();
        services.iter().flat_map(|service| &service.instances).map(|instance| instance.address()).collect()
    }
}

#[tokio::test]
async fn an_own_registration_is_served_at_once_and_by_others_when_they_look() {
    let here = one();
    let there = replica(&here.store, 2, &["10.0.0.0/8"]);
    for replica in [&here, &there] {
        replica.registrations.follow().await.unwrap();
    }
    let registered = here.add("http://10.0.0.7:8001").await;
    assert_eq!(registered.expires_at, here.clock.now() + TimeDelta::seconds(30));
    assert_eq!((here.served(), there.served()), (vec!["10.0.0.7:8001".to_owned()], vec![]));
    there.registrations.follow().await.unwrap();
    assert_eq!(there.served(), ["10.0.0.7:8001"]);

    there.registrations.deregister(&caller("services:register"), &orders(), registered.registration.id).await.unwrap();
    assert!(there.served().is_empty());
    here.registrations.follow().await.unwrap();
    assert!(here.served().is_empty());
    // Once more is fine.
    here.registrations.deregister(&caller("services:register"), &orders(), registered.registration.id).await.unwrap();
}

#[tokio::test]
async fn a_lease_without_heartbeats_ends_everywhere() {
    let here = one();
    let registered = here.add("http://10.0.0.7:8001").await;
    let renew =
        async || here.registrations.renew(&caller("services:register"), &orders(), registered.registration.id).await;
    here.store.memory.pass(Duration::from_secs(29));
    renew().await.unwrap();
    here.store.memory.pass(Duration::from_secs(29));
    here.registrations.follow().await.unwrap();
    assert_eq!(here.served(), ["10.0.0.7:8001"]);
    here.store.memory.pass(Duration::from_secs(1));
    here.registrations.follow().await.unwrap();
    assert!(here.served().is_empty());
    assert!(matches!(renew().await, Err(RenewError::Gone)));
    let again = here.add("http://10.0.0.7:8001").await;
    assert_ne!(again.registration.id, registered.registration.id);
}

#[tokio::test]
async fn a_clock_of_a_replica_ends_no_lease() {
    let here = one();
    here.add("http://10.0.0.7:8001").await;
    here.clock.pass(TimeDelta::days(365));
    here.registrations.follow().await.unwrap();
    assert_eq!(here.store.purge_expired().await.unwrap(), 0);
    assert_eq!(here.served(), ["10.0.0.7:8001"]);
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_the_last_list_is_served() {
    let here = one();
    here.registrations.follow().await.unwrap();
    let registered = here.add("http://10.0.0.7:8001").await;
    let gone = here.add("http://10.0.0.6:8001").await;
    here.registrations.deregister(&caller("services:register"), &orders(), gone.registration.id).await.unwrap();
    here.store.away.store(true, Ordering::SeqCst);
    // All leases end meanwhile.
    here.store.memory.pass(Duration::from_hours(1));
    tokio::time::advance(Duration::from_hours(1)).await;
    assert!(here.registrations.follow().await.is_err());
    assert_eq!(here.served(), ["10.0.0.7:8001"]);
    let [known] = here.registrations.list().await.try_into().unwrap();
    assert_eq!(known.registration, registered.registration, "as it was last read");
    let refused = here.register(at("http://10.0.0.8:8001")).await;
    assert!(matches!(refused, Err(RegisterError::Failed(Failure::Unavailable(_)))), "{refused:?}");
    // The store is back; the instance learns with its next heartbeat that its lease has ended.
    here.store.away.store(false, Ordering::SeqCst);
    here.registrations.follow().await.unwrap();
    assert_eq!(here.served(), ["10.0.0.7:8001"]);
    assert!(here.registrations.list().await.is_empty());
    let again = here.add("http://10.0.0.7:8001").await;
    here.registrations.follow().await.unwrap();
    assert_eq!(here.served(), ["10.0.0.7:8001"]);
    // Deregistered, it is gone at once.
    here.registrations.deregister(&caller("services:register"), &orders(), again.registration.id).await.unwrap();
    assert!(here.served().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_does_not_register_again_after_an_outage_leaves() {
    let here = one();
    here.add("http://10.0.0.7:8001").await;
    for seconds in [9, 40] {
        here.store.away.store(true, Ordering::SeqCst);
        assert!(here.registrations.follow().await.is_err());
        here.store.memory.pass(Duration::from_secs(seconds));
        tokio::time::advance(Duration::from_secs(seconds)).await;
        here.store.away.store(false, Ordering::SeqCst);
        here.registrations.follow().await.unwrap();
        assert_eq!(here.served(), ["10.0.0.7:8001"], "{seconds}");
    }
    tokio::time::advance(Duration::from_secs(29)).await;
    here.registrations.follow().await.unwrap();
    assert_eq!(here.served(), ["10.0.0.7:8001"]);
    tokio::time::advance(Duration::from_secs(1)).await;
    here.registrations.follow().await.unwrap();
    assert!(here.served().is_empty());
}

#[tokio::test]
async fn a_list_that_has_not_changed_is_not_read_again() {
    let here = one();
    here.add("http://10.0.0.7:8001").await;
    here.store.lists.store(false, Ordering::SeqCst);
    for _ in 0..3 {
        here.registrations.follow().await.unwrap();
    }
    assert!(!here.store.lists.load(Ordering::SeqCst));
    // It is read for who asks: heartbeats move the ends of leases.
    here.clock.pass(TimeDelta::seconds(5));
    here.store.memory.pass(Duration::from_secs(5));
    let [listed] = here.registrations.list().await.try_into().unwrap();
    assert!(listed.expires_at <= here.clock.now() + TimeDelta::seconds(25), "{listed:?}");
}

#[tokio::test]
async fn the_same_url_is_extended_with_a_new_weight() {
    let here = one();
    let first = here.add("http://10.0.0.7:8001").await;
    let again = RegistrationRequest { weight: 9, ..at_port(8001) };
    let Registered::Extended(extended) = here.register(again).await.unwrap() else { panic!() };
    assert_eq!((extended.registration.id, extended.registration.weight), (first.registration.id, 9));
    assert_eq!(here.discovery.services()[0].instances[0].weight, 9);
}

#[tokio::test]
async fn registered_instances_join_declared_ones() {
    let here = one();
    let url = "http://10.0.0.2:8001".parse().unwrap();
    here.discovery.declare(vec![DeclaredService { name: orders(), urls: vec![url], policy: Arc::default() }]);
    here.add("http://10.0.0.7:8001").await;
    assert_eq!(here.served(), ["10.0.0.2:8001", "10.0.0.7:8001"]);
    // The same address is one instance.
    here.add("http://10.0.0.2:8001").await;
    assert_eq!(here.served(), ["10.0.0.2:8001", "10.0.0.7:8001"]);
}

#[tokio::test]
async fn only_the_scope_allows_it() {
    let here = one();
    let id = here.add("http://10.0.0.7:8001").await.registration.id;
    for scope in ["", "services:read", "services", "services:register:x"] {
        let caller = caller(scope);
        let is_denied =
            |denied: &Denied| matches!(denied, Denied::ScopeMissing(scope) if scope.to_string() == "services:register");
        let register = here.registrations.register(&caller, &orders(), at("http://10.0.0.8:1"), None).await;
        assert!(matches!(&register, Err(RegisterError::Denied(denied)) if is_denied(denied)), "{register:?}");
        let renew = here.registrations.renew(&caller, &orders(), id).await;
        assert!(matches!(&renew, Err(RenewError::Denied(denied)) if is_denied(denied)), "{renew:?}");
        let deregister = here.registrations.deregister(&caller, &orders(), id).await;
        assert!(matches!(&deregister, Err(DeregisterError::Denied(denied)) if is_denied(denied)), "{deregister:?}");
    }
    assert_eq!(here.served(), ["10.0.0.7:8001"]);
}

#[tokio::test]
async fn addresses_and_names_that_are_not_allowed_are_refused() {
    let here = one();
    for (url, refusal) in [
        ("http://169.254.169.254", AddressRefusal::LinkLocal),
        ("http://192.168.0.1", AddressRefusal::Outside),
        ("http://10.0.0.1:9090", AddressRefusal::Gateway),
    ] {
        let outcome = here.register(at(url)).await;
        assert!(matches!(&outcome, Err(RegisterError::Address(why)) if *why == refusal), "{url}: {outcome:?}");
    }
    let reserved = STAND_IN.parse().unwrap();
    let allowed = caller("services:register");
    let outcome = here.registrations.register(&allowed, &reserved, at("http://10.0.0.7:1"), None).await;
    assert!(matches!(outcome, Err(RegisterError::Reserved)), "{outcome:?}");
    let outcome = here.registrations.register(&allowed, &orders(), at_port(1), None).await;
    assert!(matches!(outcome, Err(RegisterError::UnknownCaller)), "{outcome:?}");
    let public = Some("203.0.113.7".parse().unwrap());
    let outcome = here.registrations.register(&allowed, &orders(), at_port(1), public).await;
    assert!(matches!(outcome, Err(RegisterError::Address(AddressRefusal::Outside))), "{outcome:?}");
    assert!(here.served().is_empty());
}

#[tokio::test]
async fn a_replica_serves_only_addresses_that_it_allows_itself() {
    let lax = one();
    let strict = replica(&lax.store, 2, &["10.1.0.0/16"]);
    for url in ["http://10.0.0.7:8001", "http://10.1.0.7:8001"] {
        lax.add(url).await;
    }
    let log = Log::begin();
    strict.registrations.follow().await.unwrap();
    assert_eq!((strict.served(), lax.served().len()), (vec!["10.1.0.7:8001".to_owned()], 2));
    lax.add("http://10.1.0.8:8001").await;
    strict.registrations.follow().await.unwrap();
    let warnings: Vec<_> = log.lines().into_iter().filter(|line| line.starts_with("WARN")).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("is not used: its address must be an address in one of"), "{warnings:?}");
}

#[tokio::test]
async fn comings_and_goings_are_logged_once() {
    let here = one();
    here.registrations.follow().await.unwrap();
    let log = Log::begin();
    let id = here.add("http://10.0.0.7:8001").await.registration.id;
    for _ in 0..2 {
        here.registrations.follow().await.unwrap();
    }
    here.registrations.deregister(&caller("services:register"), &orders(), id).await.unwrap();
    let lines = log.lines();
    let begins = |line: &String, text: &str| line.starts_with(text) && line.contains("http://10.0.0.7:8001");
    let [came, left] = &lines[..] else { panic!("{lines:?}") };
    assert!(begins(came, "INFO an instance has registered") && begins(left, "INFO a registered instance has left"));
}
