//! Ports of discovery: name servers, and the data plane that follows it.

use std::{net::IpAddr, time::Duration};

use async_trait::async_trait;
use thiserror::Error;

use crate::domain::gateway::models::service::{Circuit, Instance, Service, ServiceName};

pub use crate::domain::gateway::models::service::{Health, InstanceState};

/// The records of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved<T> {
    /// The records; never empty.
    pub records: Vec<T>,
    /// How long they may be used (the shortest TTL of them).
    pub ttl: Duration,
    /// Whether every question got an answer. Otherwise there may be further records: of the other kind of address, or
    /// the addresses of targets that have none here.
    pub is_complete: bool,
}

/// The target of an SRV record (RFC 2782), with its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrvTarget {
    /// The host's name, without a dot at the end.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Only targets with the lowest priority value are used.
    pub priority: u16,
    /// The target's share of the requests, relative to others of its priority.
    pub weight: u16,
    /// The addresses of the host; none if no name server gave an answer about it.
    pub addresses: Vec<IpAddr>,
}

/// The reason why a name has no records.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// A name server said so: the name does not exist, or has no such record.
    #[error("the name has no address")]
    Missing,
    /// No name server gave an answer.
    #[error("no name server answers: {0}")]
    Unanswered(String),
}

/// Looks names up. One lookup per call; the caller decides when to repeat it.
#[async_trait]
pub trait NameResolver: Send + Sync + 'static {
    /// The IPv4 and IPv6 addresses of a host.
    async fn addresses(&self, host: &str) -> Result<Resolved<IpAddr>, NameError>;

    /// The targets of SRV records with their addresses. Targets whose name has no address are left out.
    async fn targets(&self, name: &str) -> Result<Resolved<SrvTarget>, NameError>;
}

/// Knows the state of instances, as the data plane sees them.
pub trait InstanceStates: Send + Sync + 'static {
    /// The state of the breaker of a service, if it has one.
    fn circuit(&self, service: &ServiceName) -> Option<Circuit>;

    /// The state of an instance of a service; the default for one that the data plane does not know.
    fn state(&self, service: &ServiceName, instance: &Instance) -> InstanceState;
}

/// Publishes the services to the data plane.
pub trait ServicePublisher: Send + Sync + 'static {
    /// Replaces all services. Instances that stay keep their connections and their health.
    fn publish_services(&self, services: &[Service]);
}
