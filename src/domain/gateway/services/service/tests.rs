use std::net::IpAddr;

use async_trait::async_trait;
use chrono::TimeDelta;
use serde_json::Map;

use super::*;
use crate::{
    domain::gateway::{
        models::{
            registration::{AddressPolicy, InstanceAddress, RegistrationRequest},
            service::{DeclaredService, Health, Source},
            values::id::{FamilyId, TokenId},
        },
        repositories::memory::MemoryRegistrations,
        services::{
            ports::{NameError, NameResolver, Resolved, ServicePublisher, SrvTarget},
            registration::RegistrationParts,
        },
    },
    ports::testing::{CountingEntropy, TestClock},
};

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

/// Every instance has as many requests in flight as its port says.
struct ByPort;

impl InstanceStates for ByPort {
    fn circuit(&self, service: &ServiceName) -> Option<Circuit> {
        (service.as_str() == "orders").then_some(Circuit::Trial)
    }

    fn state(&self, service: &ServiceName, instance: &Instance) -> InstanceState {
        let last_error = Some(service.to_string());
        InstanceState {
            health: Health::Healthy,
            in_flight: instance.port.into(),
            last_error,
            ..InstanceState::default()
        }
    }
}

fn caller(scope: &str) -> Identity {
    Identity {
        subject: "operator".into(),
        scope: scope.parse().unwrap(),
        token_id: TokenId::from_random([1; 16]),
        family: FamilyId::from_random([1; 16]),
        expires_at: chrono::DateTime::from_timestamp(1_900_000_000, 0).unwrap(),
        claims: Map::new(),
    }
}

/// `auth` is declared, and one of its two instances has registered as well; `orders` has registered.
async fn directory() -> ServiceDirectory {
    let discovery = Discovery::new(Arc::new(Nowhere), Arc::new(Nowhere));
    let registrations = Arc::new(Registrations::new(RegistrationParts {
        store: Arc::new(MemoryRegistrations::default()),
        discovery: discovery.clone(),
        clock: TestClock::at(1_800_000_000),
        entropy: Arc::new(CountingEntropy::default()),
        addresses: AddressPolicy::new(vec!["10.0.0.0/8".parse().unwrap()], Vec::new()),
    }));
    let urls = ["http://10.0.0.1:1", "http://10.0.0.2:2", "http://name.test:3"].map(|url| url.parse().unwrap());
    discovery.declare(vec![DeclaredService {
        name: "auth".parse().unwrap(),
        urls: urls.into(),
        policy: Arc::default(),
    }]);
    for (service, url) in [("auth", "http://10.0.0.2:2"), ("orders", "h2c://10.0.0.3:3/base")] {
        let address = InstanceAddress::Url(url.parse().unwrap());
        let request = RegistrationRequest { address, weight: 5, ttl: TimeDelta::seconds(30) };
        let allowed = caller("services:register");
        registrations.register(&allowed, &service.parse().unwrap(), request, None).await.unwrap();
    }
    ServiceDirectory::new(discovery, registrations, Arc::new(ByPort))
}

#[tokio::test]
async fn services_are_listed_with_sources_leases_names_and_states() {
    let services = directory().await.list(&Viewer::Operator).await.unwrap();
    let names: Vec<_> = services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names, ["auth", "orders"]);
    let shown: Vec<_> = services
        .iter()
        .flat_map(|service| &service.instances)
        .map(|one| (one.instance.address(), one.instance.source, one.registered.is_some(), one.state.in_flight))
        .collect();
    assert_eq!(
        shown,
        [
            ("10.0.0.1:1".to_owned(), Source::Static, false, 1),
            ("10.0.0.2:2".to_owned(), Source::Static, true, 2),
            ("10.0.0.3:3".to_owned(), Source::Registered, true, 3),
        ]
    );
    assert_eq!(services[0].names.iter().map(|name| name.name.as_str()).collect::<Vec<_>>(), ["name.test"]);
    assert_eq!(services[1].instances[0].state.last_error.as_deref(), Some("orders"));
}

#[tokio::test]
async fn one_service_is_found_by_its_name() {
    let directory = directory().await;
    let found = directory.find(&Viewer::Operator, &"orders".parse().unwrap()).await.unwrap().unwrap();
    let registered = found.instances[0].registered.as_ref().unwrap();
    assert_eq!((registered.registration.weight, found.instances[0].instance.weight), (5, 5));
    assert!(directory.find(&Viewer::Operator, &"nope".parse().unwrap()).await.unwrap().is_none());
}

#[tokio::test]
async fn only_the_scope_allows_it() {
    let directory = directory().await;
    let name = "auth".parse().unwrap();
    let allowed = Viewer::Caller(Box::new(caller("services:read other")));
    assert!(directory.list(&allowed).await.is_ok() && directory.find(&allowed, &name).await.unwrap().is_some());
    for scope in ["", "services:register", "services"] {
        let viewer = Viewer::Caller(Box::new(caller(scope)));
        let missing = Denied::ScopeMissing("services:read".parse().unwrap());
        assert_eq!(directory.list(&viewer).await.err(), Some(missing.clone()));
        assert_eq!(directory.find(&viewer, &name).await.err(), Some(missing));
    }
}
