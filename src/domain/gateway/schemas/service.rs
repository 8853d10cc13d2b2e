//! Responses about services and their instances.

use chrono::{DateTime, FixedOffset};
use chrono_tz::Tz;
use poem_openapi::{Enum, Object};

use super::local;
use crate::domain::gateway::models::{
    registration::RegisteredInstance,
    service::{Circuit, Health, Instance, InstanceState, ServiceName, Source},
};

/// The services.
#[derive(Debug, Object)]
pub struct Services {
    /// Services, ordered by name.
    pub services: Vec<ServiceDocument>,
}

/// A service.
#[derive(Debug, Object)]
#[oai(rename = "Service", skip_serializing_if_is_none)]
pub struct ServiceDocument {
    /// Name of the service. Without a route of its own it is served at `/api/<name>/…`.
    pub name: String,
    /// Whether the service gets requests, if it has a breaker.
    pub circuit: Option<CircuitState>,
    /// Instances of the service. None if they have all left.
    pub instances: Vec<InstanceDocument>,
    /// Names in the service's URLs that are looked up in DNS.
    pub names: Vec<FollowedName>,
}

/// An instance of a service, as this gateway sees it. Other gateways may see it differently.
#[derive(Debug, PartialEq, Eq, Object)]
#[oai(rename = "Instance", skip_serializing_if_is_none)]
pub struct InstanceDocument {
    /// Address and port, such as `10.0.0.7:8001`.
    pub address: String,
    /// Name or address that the gateway sends in `Host`.
    pub host: String,
    /// Protocol of the instance.
    pub protocol: InstanceProtocol,
    /// Prefix of every path at the instance, if there is one.
    pub base_path: Option<String>,
    /// Source that the instance was found in.
    pub source: InstanceSource,
    /// Share of the requests relative to other instances.
    pub weight: u16,
    /// Whether the instance gets requests.
    pub health: InstanceHealth,
    /// Requests in flight.
    pub in_flight: u64,
    /// Number of times that the instance was ejected because of its errors.
    pub ejections: u64,
    /// Last error of the instance.
    pub last_error: Option<String>,
    /// Time when `health` last changed.
    pub since: Option<DateTime<FixedOffset>>,
    /// Id of the registration, if the instance registered itself.
    pub id: Option<String>,
    /// Time when the lease of the registration ends, unless a heartbeat extends it.
    pub expires_at: Option<DateTime<FixedOffset>>,
}

/// A name that is looked up in DNS.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct FollowedName {
    /// The name.
    pub name: String,
    /// Reason why the last lookup failed, if it did. The last addresses stay in use for an hour.
    pub trouble: Option<String>,
}

/// Whether a service with a breaker gets requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub enum CircuitState {
    /// It does.
    Closed,
    /// Too many have failed: it gets none for a while.
    Open,
    /// One request shows whether it works again.
    Trial,
}

impl From<Circuit> for CircuitState {
    fn from(circuit: Circuit) -> Self {
        match circuit {
            Circuit::Closed => Self::Closed,
            Circuit::Open => Self::Open,
            Circuit::Trial => Self::Trial,
        }
    }
}

/// The protocol of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub enum InstanceProtocol {
    /// HTTP/1.1
    Http,
    /// HTTP/1.1 over TLS
    Https,
    /// HTTP/2
    H2c,
    /// HTTP/2 over TLS
    H2s,
}

/// The source that an instance was found in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub enum InstanceSource {
    /// The settings contain its address.
    Static,
    /// The settings contain a name, and DNS its address.
    Dns,
    /// It registered itself.
    Registered,
    /// A container with labels.
    Docker,
}

/// Whether an instance gets requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub enum InstanceHealth {
    /// It gets requests.
    Healthy,
    /// Its checks fail.
    Unhealthy,
    /// It failed requests, and gets none for a while.
    Ejected,
    /// It does not answer, and is tried again periodically.
    Unreachable,
    /// Nothing is known yet. It gets requests.
    Unknown,
}

impl From<Source> for InstanceSource {
    fn from(source: Source) -> Self {
        match source {
            Source::Static => Self::Static,
            Source::Dns => Self::Dns,
            Source::Registered => Self::Registered,
            Source::Docker => Self::Docker,
        }
    }
}

impl From<Health> for InstanceHealth {
    fn from(health: Health) -> Self {
        match health {
            Health::Healthy => Self::Healthy,
            Health::Unhealthy => Self::Unhealthy,
            Health::Ejected => Self::Ejected,
            Health::Unreachable => Self::Unreachable,
            Health::Unknown => Self::Unknown,
        }
    }
}

impl From<&Instance> for InstanceProtocol {
    fn from(instance: &Instance) -> Self {
        use crate::domain::gateway::models::service::UpstreamProtocol::{Http1, Http2};
        match (instance.protocol, instance.tls) {
            (Http1, false) => Self::Http,
            (Http1, true) => Self::Https,
            (Http2, false) => Self::H2c,
            (Http2, true) => Self::H2s,
        }
    }
}

impl ServiceDocument {
    /// A service with these instances and followed names, each with the reason why its last lookup failed.
    pub fn new(
        name: &ServiceName,
        circuit: Option<Circuit>,
        instances: Vec<InstanceDocument>,
        names: impl Iterator<Item = (String, Option<String>)>,
    ) -> Self {
        let names = names.map(|(name, trouble)| FollowedName { name, trouble }).collect();
        Self { name: name.to_string(), circuit: circuit.map(Into::into), instances, names }
    }
}

impl InstanceDocument {
    /// Writes times with the offset of `timezone`.
    pub fn from_model(
        instance: &Instance,
        registered: Option<&RegisteredInstance>,
        state: InstanceState,
        timezone: Tz,
    ) -> Self {
        let InstanceState { health, in_flight, ejections, last_error, since } = state;
        Self {
            address: instance.address(),
            host: instance.host.clone(),
            protocol: instance.into(),
            base_path: Some(instance.base_path.clone()).filter(|path| !path.is_empty()),
            source: instance.source.into(),
            weight: instance.weight,
            health: health.into(),
            in_flight,
            ejections,
            last_error,
            since: since.map(|since| local(since, timezone)),
            id: registered.map(|one| one.registration.id.to_string()),
            expires_at: registered.map(|one| local(one.expires_at, timezone)),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use poem_openapi::types::ToJSON;
    use serde_json::json;

    use super::*;
    use crate::domain::gateway::models::{registration::Registration, values::id::RegistrationId};

    #[test]
    fn an_instance_is_shown_with_its_lease_and_its_state() {
        let registration = Registration {
            id: RegistrationId::from_random([1; 16]),
            service: "orders".parse().unwrap(),
            url: "h2s://10.0.0.7:8001/base".parse().unwrap(),
            weight: 7,
            ttl: TimeDelta::seconds(30),
        };
        let at = |seconds: i64| DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap();
        let state = InstanceState {
            health: Health::Ejected,
            in_flight: 3,
            ejections: 2,
            last_error: Some("connection refused".into()),
            since: Some(at(0)),
        };
        let instance = registration.instance();
        let registered = RegisteredInstance { registration, expires_at: at(30) };
        let shown = InstanceDocument::from_model(&instance, Some(&registered), state, chrono_tz::Asia::Seoul);
        let expected = json!({
            "address": "10.0.0.7:8001", "host": "10.0.0.7", "protocol": "h2s", "base_path": "/base",
            "source": "registered", "weight": 7, "health": "ejected", "in_flight": 3, "ejections": 2,
            "last_error": "connection refused", "since": "2027-01-15T17:00:00+09:00",
            "id": registered.registration.id.to_string(), "expires_at": "2027-01-15T17:00:30+09:00",
        });
        assert_eq!(shown.to_json(), Some(expected));
        let quiet = InstanceDocument::from_model(&instance, None, InstanceState::default(), chrono_tz::UTC);
        assert_eq!((quiet.health, quiet.id, quiet.since), (InstanceHealth::Unknown, None, None));
    }
}
