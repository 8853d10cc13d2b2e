//! Containers that offer a service by their labels.

mod labels;
mod names;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

pub use self::{
    labels::{Offer, Refusal, has_gateway_labels},
    names::DefaultNames,
};

/// A container, as the engine describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Container {
    /// Its id, which is never used again.
    pub id: String,
    /// Its name, without a slash.
    pub name: String,
    /// The time of its creation, in seconds since 1970 by the engine's clock. It only orders containers.
    pub created: i64,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether its process runs, and is neither paused nor about to be restarted.
    pub is_running: bool,
    /// The result of its health check.
    pub health: ContainerHealth,
    /// The TCP ports that its image or its settings expose.
    pub exposed_ports: BTreeSet<u16>,
    /// Its networks, and its addresses there: none in a network that is not its own, such as the host's.
    pub networks: BTreeMap<String, Vec<IpAddr>>,
}

/// The result of a container's health check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ContainerHealth {
    /// It has no check.
    #[default]
    Unchecked,
    /// It has not passed a check yet.
    Starting,
    /// It passes.
    Healthy,
    /// It fails.
    Unhealthy,
}

impl Container {
    /// Whether it can get requests.
    pub fn is_ready(&self) -> bool {
        let is_healthy = match self.health {
            ContainerHealth::Unchecked | ContainerHealth::Healthy => true,
            ContainerHealth::Starting | ContainerHealth::Unhealthy => false,
        };
        self.is_running && is_healthy
    }
}

/// The container in which the gateway runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnContainer {
    /// Its id.
    pub id: String,
    /// The names of its networks.
    pub networks: BTreeSet<String>,
}

/// The network of a container that uses the host's. From there every network of the engine can be reached.
const HOST_NETWORK: &str = "host";

impl OwnContainer {
    /// Whether it has networks of its own, and so reaches only containers in the same ones.
    fn is_confined(&self) -> bool {
        !self.networks.is_empty() && !self.networks.contains(HOST_NETWORK)
    }
}
