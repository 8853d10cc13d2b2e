//! Instances of services that register themselves: a registration, its lease, and the addresses that are accepted.

mod addresses;
mod url;

use chrono::{DateTime, TimeDelta, Utc};

pub use self::{
    addresses::{AddressPolicy, AddressRefusal},
    url::{InstanceUrl, InvalidInstanceUrl, MAX_URL_BYTES},
};
use super::{
    provider::STAND_IN,
    service::{Instance, ServiceName, Source},
    values::id::RegistrationId,
};

/// The duration of a lease that names none, in seconds: three heartbeats of ten seconds.
pub const USUAL_TTL_SECONDS: u16 = 30;

/// The weight of an instance that names none.
pub const USUAL_WEIGHT: u16 = 1;

/// The most registered instances and services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegistrationLimits {
    /// Of one service.
    pub instances_per_service: u64,
    /// Services with at least one registered instance.
    pub services: u64,
    /// Of all services together. Every replica holds all of them in memory.
    pub instances: u64,
}

impl Default for RegistrationLimits {
    fn default() -> Self {
        Self { instances_per_service: 1_000, services: 1_000, instances: 10_000 }
    }
}

/// A limit that another registration would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistrationLimit {
    /// [`RegistrationLimits::instances_per_service`]
    InstancesOfService,
    /// [`RegistrationLimits::services`]
    Services,
    /// [`RegistrationLimits::instances`]
    Instances,
}

/// The address of an instance in a request to register it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceAddress {
    /// The instance is at this URL.
    Url(InstanceUrl),
    /// It is at the address that the request came from, at this port, and speaks HTTP/1.1 without TLS.
    OfCaller {
        /// TCP port.
        port: u16,
    },
}

/// A request to register an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrationRequest {
    /// Its address.
    pub address: InstanceAddress,
    /// Its share of the requests, relative to the other instances.
    pub weight: u16,
    /// The duration of its lease.
    pub ttl: TimeDelta,
}

/// An instance that registered itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Its id.
    pub id: RegistrationId,
    /// Its service.
    pub service: ServiceName,
    /// Its URL.
    pub url: InstanceUrl,
    /// Its share of the requests, relative to the other instances.
    pub weight: u16,
    /// The duration of its lease, from each heartbeat on.
    pub ttl: TimeDelta,
}

impl Registration {
    /// The instance.
    pub fn instance(&self) -> Instance {
        let url = self.url.as_service_url();
        Instance { weight: self.weight, ..Instance::at(url, url.port, vec![self.url.address()], Source::Registered) }
    }
}

/// A registration and the rest of its lease. The rest is measured by the store's own clock, which need not agree with
/// that of a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The registration.
    pub registration: Registration,
    /// The time until the lease ends; positive.
    pub remaining: TimeDelta,
}

impl Lease {
    /// The lease, seen at `now` by the clock of this replica.
    pub fn seen_at(self, now: DateTime<Utc>) -> RegisteredInstance {
        RegisteredInstance { registration: self.registration, expires_at: now + self.remaining }
    }
}

/// A registration with the end of its lease by the clock of this replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredInstance {
    /// The registration.
    pub registration: Registration,
    /// The end of its lease.
    pub expires_at: DateTime<Utc>,
}

/// The outcome of a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistrationOutcome {
    /// The instance is new, or its earlier lease had ended.
    Added(Lease),
    /// The instance was registered already: it keeps its id, and its lease begins anew.
    Extended(Lease),
    /// There are too many.
    LimitReached(RegistrationLimit),
}

/// Tells whether the set of live registrations has changed: two equal values mean that it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegistrationState {
    /// Grows with every registration and deregistration. Heartbeats and ended leases do not change it.
    pub generation: i64,
    /// The number of live registrations. Within a generation it only falls, when leases end.
    pub live: i64,
}

/// Whether instances may register for a service. The stand-in provider is a service of the gateway itself: whoever took
/// its place could sign in as anyone.
pub fn may_be_joined(service: &ServiceName) -> bool {
    service.as_str() != STAND_IN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_is_an_instance_at_its_address() {
        let registration = Registration {
            id: RegistrationId::from_random([1; 16]),
            service: "orders".parse().unwrap(),
            url: "h2c://[fd00::7]:50051/base".parse().unwrap(),
            weight: 7,
            ttl: TimeDelta::seconds(30),
        };
        let instance = registration.instance();
        assert_eq!((instance.address().as_str(), instance.weight), ("[fd00::7]:50051", 7));
        assert_eq!((instance.base_path.as_str(), instance.source), ("/base", Source::Registered));
        assert_eq!(instance.addresses, ["fd00::7".parse::<std::net::IpAddr>().unwrap()]);
    }

    #[test]
    fn nobody_joins_the_stand_in_provider() {
        assert!(!may_be_joined(&STAND_IN.parse().unwrap()));
        assert!(may_be_joined(&"auth".parse().unwrap()));
    }
}
