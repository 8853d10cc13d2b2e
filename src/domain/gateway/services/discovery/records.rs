//! Names, their records, and the instances that these stand for.

use std::{net::IpAddr, sync::Arc, time::Duration};

use crate::domain::gateway::{
    models::service::{Instance, ServiceUrl, Source},
    services::ports::{NameError, SrvTarget},
};

/// A name that is looked up.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct NameKey {
    host: String,
    srv: bool,
}

impl NameKey {
    /// `None` for an address, which needs no lookup.
    pub(super) fn of(url: &ServiceUrl) -> Option<Self> {
        let is_name = url.host.parse::<IpAddr>().is_err();
        is_name.then(|| Self { host: url.host.clone(), srv: url.srv })
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Whether it is the name of SRV records.
    pub(super) fn is_srv(&self) -> bool {
        self.srv
    }
}

/// The records that a lookup found, or the reason why it found none.
pub(super) type Outcome = Result<Resolution, NameError>;

/// The records of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resolution {
    pub(super) records: Records,
    pub(super) ttl: Duration,
    pub(super) is_complete: bool,
}

/// Records of either kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Records {
    Addresses(Vec<IpAddr>),
    Targets(Vec<SrvTarget>),
}

impl Records {
    /// In an order of their own, as name servers rotate them. IPv6 first (RFC 8305 §4).
    pub(super) fn of_addresses(mut addresses: Vec<IpAddr>) -> Self {
        sort(&mut addresses);
        Self::Addresses(addresses)
    }

    /// Each host and port once.
    pub(super) fn of_targets(mut targets: Vec<SrvTarget>) -> Self {
        for target in &mut targets {
            sort(&mut target.addresses);
        }
        targets.sort_by(|a, b| (&a.host, a.port, a.priority, b.weight).cmp(&(&b.host, b.port, b.priority, a.weight)));
        targets.dedup_by(|a, b| a.host == b.host && a.port == b.port);
        // A target without a port cannot be reached.
        targets.retain(|target| target.port != 0);
        targets.truncate(MAX_INSTANCES);
        Self::Targets(targets)
    }

    /// Fills the gaps of an incomplete answer with what was known before: a lost datagram must not remove instances.
    pub(super) fn filled_from(self, before: Option<&Self>) -> Self {
        match (self, before) {
            (Self::Addresses(mut addresses), Some(Self::Addresses(before))) => {
                let has = |v4| addresses.iter().any(|address| address.is_ipv4() == v4);
                let (has_v4, has_v6) = (has(true), has(false));
                let lacks = |address: &&IpAddr| if address.is_ipv4() { !has_v4 } else { !has_v6 };
                addresses.extend(before.iter().filter(lacks));
                Self::of_addresses(addresses)
            }
            (Self::Targets(mut targets), Some(Self::Targets(before))) => {
                for target in targets.iter_mut().filter(|target| target.addresses.is_empty()) {
                    let known = before.iter().find(|known| known.host == target.host);
                    target.addresses = known.map(|known| known.addresses.clone()).unwrap_or_default();
                }
                Self::Targets(targets)
            }
            (new, _) => new,
        }
    }

    /// Whether there is nothing to connect to.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Addresses(addresses) => addresses.is_empty(),
            Self::Targets(targets) => targets.iter().all(|target| target.addresses.is_empty()),
        }
    }

    /// The instances that a URL with this name stands for.
    pub(super) fn instances(&self, url: &ServiceUrl) -> Vec<Arc<Instance>> {
        let at = |host: &str, port, weight: Option<u16>, addresses| {
            let found = Instance::at(url, port, addresses, Source::Dns);
            let weight = weight.unwrap_or(found.weight);
            Arc::new(Instance { host: host.to_owned(), weight, ..found })
        };
        match self {
            Self::Addresses(addresses) => hosts(&url.host, addresses)
                .into_iter()
                .map(|addresses| at(&url.host, url.port, None, addresses))
                .collect(),
            Self::Targets(targets) => of_first_priority(targets)
                .flat_map(|target| {
                    let SrvTarget { host, port, weight, addresses, .. } = target;
                    // Weight 0 is a small share (RFC 2782), not none.
                    hosts(host, addresses)
                        .into_iter()
                        .map(move |addresses| at(host, *port, Some((*weight).max(1)), addresses))
                })
                .collect(),
        }
    }
}

/// Only the targets with the lowest priority value are used, of those that have an address (RFC 2782).
fn of_first_priority(targets: &[SrvTarget]) -> impl Iterator<Item = &SrvTarget> {
    let with_address = targets.iter().filter(|target| !target.addresses.is_empty());
    let first = with_address.clone().map(|target| target.priority).min();
    with_address.filter(move |target| Some(target.priority) == first)
}

/// So many instances of a name are used, as many as may register for a service.
const MAX_INSTANCES: usize = 1000;

fn sort(addresses: &mut Vec<IpAddr>) {
    addresses.sort_by_key(|address| (address.is_ipv4(), *address));
    addresses.dedup();
    addresses.truncate(MAX_INSTANCES);
}

/// One IPv4 and one IPv6 address are one host, which is reached by either (RFC 8305); of more addresses, each is a host.
/// All addresses of `localhost` are this host.
fn hosts(name: &str, addresses: &[IpAddr]) -> Vec<Vec<IpAddr>> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_pair = matches!(addresses, [one, other] if one.is_ipv4() != other.is_ipv4());
    if is_pair || (name == "localhost" && !addresses.is_empty()) {
        vec![addresses.to_vec()]
    } else {
        addresses.iter().map(|&address| vec![address]).collect()
    }
}
