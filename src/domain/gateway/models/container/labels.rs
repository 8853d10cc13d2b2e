//! Reads the labels of a container: which service it offers, and at which address and port. Nothing is guessed: a
//! container whose labels leave a choice is refused, with words that say how to make it.

use std::{collections::BTreeMap, net::IpAddr, str::FromStr};

use thiserror::Error;

use super::{Container, OwnContainer};
use crate::domain::gateway::models::{
    http::path::PathPrefix,
    registration::may_be_joined,
    service::{Instance, InvalidServiceName, ServiceName, Source, UpstreamProtocol},
};

/// The beginning of our labels. Their keys are case-insensitive.
const PREFIX: &str = "gateway.";

/// What our labels are called behind [`PREFIX`].
const KNOWN: [&str; 7] = ["enable", "service", "port", "protocol", "path", "weight", "network"];

/// The labels that Docker Compose sets.
const COMPOSE_SERVICE: &str = "com.docker.compose.service";
const COMPOSE_PROJECT: &str = "com.docker.compose.project";
const COMPOSE_ONE_OFF: &str = "com.docker.compose.oneoff";

/// The greatest weight, as in a registration.
const MAX_WEIGHT: u16 = 1_000;
const USUAL_WEIGHT: u16 = 1;

const NAME_RULE: &str = "1 to 63 lower-case letters, digits and hyphens, and begin with a letter";
const PATH_RULE: &str = "a path such as /base, without a slash at its end and without any of % ? # \\ ;";

/// The longest value of a label that is shown in the log.
const MAX_SHOWN_CHARS: usize = 80;

/// What a container offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The service.
    pub service: ServiceName,
    /// Whether the label `gateway.service` names it. Otherwise the name is that of the Compose service or of the
    /// container, which containers of another application may have as well.
    pub is_named: bool,
    /// Its Compose project.
    pub project: Option<String>,
    /// Where it is served.
    pub instance: Instance,
}

/// The reason why a container is not served although `gateway.enable` is set.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// A label has another value than it may have.
    #[error("{label} must be {rule}, not {value:?}")]
    Value {
        /// The label.
        label: String,
        /// What its value must be.
        rule: String,
        /// Its value.
        value: String,
    },
    /// There is no such label.
    #[error("{label:?} is no label of the gateway; its labels are gateway.{}", KNOWN.join(", gateway."))]
    UnknownLabel {
        /// The label.
        label: String,
    },
    /// The label is there in two spellings, with two values.
    #[error("{label:?} is there twice, in upper and in lower case and with different values; remove one")]
    Ambiguous {
        /// The label in lower case.
        label: String,
    },
    /// Neither the Compose service nor the container has a valid name.
    #[error("{name:?} cannot be the name of a service; set gateway.service ({})", InvalidServiceName)]
    UnfitName {
        /// The name.
        name: String,
    },
    /// The service belongs to the gateway.
    #[error("the service {0} belongs to the gateway; set gateway.service to another name")]
    Reserved(ServiceName),
    /// Another Compose project has a service of this name.
    #[error(
        "the service {service} is that of {holder}; set gateway.service to a name of its own, or to {service} to join it"
    )]
    Held {
        /// The service.
        service: ServiceName,
        /// The project, in words.
        holder: String,
    },
    /// It exposes no TCP port.
    #[error("it exposes no TCP port; set gateway.port to the port that it listens on")]
    NoPort,
    /// It exposes several TCP ports.
    #[error("it exposes the TCP ports {0}; set gateway.port to one of them")]
    SeveralPorts(String),
    /// It has no address.
    #[error(
        "it has no address in a network of the engine (network_mode host, none or container); declare its address in <NAME>_SERVICE_URL"
    )]
    NoNetwork,
    /// It is not in the network of its label.
    #[error("gateway.network must be one of its networks with an address ({networks}), not {value:?}")]
    UnknownNetwork {
        /// The value of the label.
        value: String,
        /// Its networks.
        networks: String,
    },
    /// It is in several networks, and the gateway is in none, as far as is known.
    #[error("it is in the networks {0}; set gateway.network to the one in which the gateway reaches it")]
    SeveralNetworks(String),
    /// The gateway runs in a container that is in none of its networks.
    #[error(
        "it is in none of the gateway's networks, only in {0}; connect both to one, or set gateway.network if there is a way"
    )]
    NoSharedNetwork(String),
    /// It is the gateway itself.
    #[error("it is the gateway itself, which is no service behind it; remove gateway.enable")]
    Gateway,
}

/// Whether there are labels for the gateway among these.
pub fn has_gateway_labels<'l>(mut keys: impl Iterator<Item = &'l str>) -> bool {
    keys.any(|key| key.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX)))
}

impl Container {
    /// What it offers to a gateway in the container `own`; `None` if it offers nothing, or cannot get requests now.
    pub fn offer(&self, own: Option<&OwnContainer>) -> Result<Option<Offer>, Refusal> {
        let labels = Labels::of(self)?;
        if !labels.read("enable", "true or false", boolean)?.unwrap_or(false) || self.is_one_off() {
            return Ok(None);
        }
        labels.are_known()?;
        if own.is_some_and(|own| own.id == self.id) {
            return Err(Refusal::Gateway);
        }
        let (service, is_named) = self.service(&labels)?;
        let protocol = labels.read("protocol", "http or h2c", protocol)?.unwrap_or(UpstreamProtocol::Http1);
        let path = labels.read("path", PATH_RULE, |text| PathPrefix::from_str(text).ok())?;
        let weight = labels.read("weight", &format!("1 to {MAX_WEIGHT}"), number(1, MAX_WEIGHT))?;
        let port = self.port(&labels)?;
        if !self.is_ready() {
            return Ok(None);
        }
        let addresses = self.addresses(labels.get("network"), own)?;
        let Some(host) = addresses.first().map(ToString::to_string) else { return Err(Refusal::NoNetwork) };
        let instance = Instance {
            protocol,
            tls: false,
            host,
            port,
            base_path: path.unwrap_or_default().as_str().to_owned(),
            addresses,
            weight: weight.unwrap_or(USUAL_WEIGHT),
            source: Source::Docker,
        };
        Ok(Some(Offer { service, is_named, project: self.labels.get(COMPOSE_PROJECT).cloned(), instance }))
    }

    /// Whether it is a container of `docker compose run`: it has all labels of the service, but none of its requests.
    fn is_one_off(&self) -> bool {
        self.labels.get(COMPOSE_ONE_OFF).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    fn service(&self, labels: &Labels<'_>) -> Result<(ServiceName, bool), Refusal> {
        let named = labels.read("service", NAME_RULE, |text| text.parse().ok())?;
        let is_named = named.is_some();
        let by_default = || {
            let name = self.labels.get(COMPOSE_SERVICE).unwrap_or(&self.name);
            name.parse().map_err(|InvalidServiceName| Refusal::UnfitName { name: shown(name) })
        };
        let service: ServiceName = named.map_or_else(by_default, Ok)?;
        if may_be_joined(&service) { Ok((service, is_named)) } else { Err(Refusal::Reserved(service)) }
    }

    fn port(&self, labels: &Labels<'_>) -> Result<u16, Refusal> {
        if let Some(port) = labels.read("port", "1 to 65535", number(1, u16::MAX))? {
            return Ok(port);
        }
        let mut exposed = self.exposed_ports.iter();
        match (exposed.next(), exposed.next()) {
            (None, _) => Err(Refusal::NoPort),
            (Some(&only), None) => Ok(only),
            (Some(_), Some(_)) => Err(Refusal::SeveralPorts(listed(self.exposed_ports.iter()))),
        }
    }

    /// Its addresses in the network in which the gateway reaches it.
    fn addresses(&self, wanted: Option<&str>, own: Option<&OwnContainer>) -> Result<Vec<IpAddr>, Refusal> {
        let networks: BTreeMap<&str, &Vec<IpAddr>> =
            self.networks.iter().filter(|(_, addresses)| !addresses.is_empty()).map(|(n, a)| (n.as_str(), a)).collect();
        let names = || listed(networks.keys());
        if networks.is_empty() {
            return Err(Refusal::NoNetwork);
        }
        if let Some(wanted) = wanted {
            // Compose puts the project before the name that compose.yaml has.
            let in_project = self.labels.get(COMPOSE_PROJECT).map(|project| format!("{project}_{wanted}"));
            let found = networks.get(wanted).or_else(|| networks.get(in_project?.as_str()));
            let unknown = || Refusal::UnknownNetwork { value: shown(wanted), networks: names() };
            return found.copied().cloned().ok_or_else(unknown);
        }
        if let Some(own) = own.filter(|own| own.is_confined()) {
            // In any shared network it can be reached; the first by name is always the same one.
            let shared = networks.iter().find(|(name, _)| own.networks.contains(**name));
            return shared.map(|(_, &addresses)| addresses.clone()).ok_or_else(|| Refusal::NoSharedNetwork(names()));
        }
        let mut all = networks.values();
        match (all.next(), all.next()) {
            (Some(&only), None) => Ok(only.clone()),
            (None, _) | (Some(_), Some(_)) => Err(Refusal::SeveralNetworks(names())),
        }
    }
}

/// The labels for the gateway, by their names in lower case and without [`PREFIX`].
struct Labels<'c>(BTreeMap<String, &'c str>);

impl<'c> Labels<'c> {
    fn of(container: &'c Container) -> Result<Self, Refusal> {
        let mut found = BTreeMap::new();
        for (key, value) in &container.labels {
            let key = key.to_ascii_lowercase();
            // `gateway.networking.k8s.io/…` and the like belong to others.
            let Some(name) = key.strip_prefix(PREFIX).filter(|name| !name.contains(['.', '/'])) else { continue };
            let before = found.insert(name.to_owned(), value.as_str());
            if before.is_some_and(|before| before != value) {
                return Err(Refusal::Ambiguous { label: key });
            }
        }
        Ok(Self(found))
    }

    fn get(&self, name: &str) -> Option<&'c str> {
        self.0.get(name).copied()
    }

    fn read<T>(&self, name: &str, rule: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let wrong = || Refusal::Value { label: format!("{PREFIX}{name}"), rule: rule.to_owned(), value: shown(value) };
        parse(value).map(Some).ok_or_else(wrong)
    }

    /// A misspelt label would silently leave its default in force.
    fn are_known(&self) -> Result<(), Refusal> {
        let unknown = self.0.keys().find(|name| !KNOWN.contains(&name.as_str()));
        unknown.map_or(Ok(()), |name| Err(Refusal::UnknownLabel { label: shown(&format!("{PREFIX}{name}")) }))
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn protocol(text: &str) -> Option<UpstreamProtocol> {
    match text {
        "http" => Some(UpstreamProtocol::Http1),
        "h2c" => Some(UpstreamProtocol::Http2),
        _ => None,
    }
}

fn number(least: u16, most: u16) -> impl FnOnce(&str) -> Option<u16> {
    move |text| text.parse().ok().filter(|number| (least..=most).contains(number))
}

/// A text of a container for the log.
fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN_CHARS).collect()
}

fn listed<T: ToString>(items: impl Iterator<Item = T>) -> String {
    items.map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
