//! Follows names: looks each up again when its records expire, sooner when a connection failed, and keeps the last
//! addresses while name servers give none.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::Notify,
    task::AbortHandle,
    time::{Instant, sleep, timeout},
};
use tracing::{info, warn};

use super::Discovery;
use crate::domain::gateway::{
    models::service::{Instance, ServiceUrl, Source},
    services::ports::{NameError, Resolved, SrvTarget},
};

/// How long the last addresses of a name are used while it has none: they might belong to another host by then.
pub const KEPT_FOR: Duration = Duration::from_hours(1);

/// The bounds of the time between two lookups of a name. A longer TTL is honoured by looking up sooner: container
/// engines announce ten minutes, and change within a second.
const MIN_PERIOD: Duration = Duration::from_secs(1);
const MAX_PERIOD: Duration = Duration::from_secs(5);

/// The longest time between two lookups of a name that cannot be looked up.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// A name that is looked up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
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
}

/// The state of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameState {
    /// The name.
    pub name: String,
    /// Why its last lookup found nothing, if it did.
    pub trouble: Option<String>,
}

/// The records that a lookup found.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Records {
    Addresses(Vec<IpAddr>),
    Targets(Vec<SrvTarget>),
}

/// Every name that is followed.
#[derive(Default)]
pub(super) struct Names(BTreeMap<NameKey, Name>);

#[derive(Default)]
struct Name {
    records: Option<Records>,
    /// The time at which the records were last confirmed.
    confirmed_at: Option<Instant>,
    was_looked_up: bool,
    trouble: Option<NameError>,
    wake: Arc<Notify>,
    follower: Option<AbortHandle>,
}

impl Drop for Name {
    fn drop(&mut self) {
        if let Some(follower) = &self.follower {
            follower.abort();
        }
    }
}

impl Names {
    /// Keeps exactly these. Returns the new ones.
    pub(super) fn retain(&mut self, wanted: BTreeSet<NameKey>) -> Vec<NameKey> {
        self.0.retain(|key, _| wanted.contains(key));
        let new: Vec<NameKey> = wanted.into_iter().filter(|key| !self.0.contains_key(key)).collect();
        self.0.extend(new.iter().map(|key| (key.clone(), Name::default())));
        new
    }

    pub(super) fn is_followed_by(&mut self, key: NameKey, follower: AbortHandle) {
        self.0.entry(key).or_default().follower = Some(follower);
    }

    /// Has a name looked up now.
    pub(super) fn wake(&self, key: &NameKey) {
        if let Some(name) = self.0.get(key) {
            name.wake.notify_one();
        }
    }

    /// How many were not looked up yet.
    pub(super) fn unknown(&self) -> usize {
        self.0.values().filter(|name| !name.was_looked_up).count()
    }

    pub(super) fn state(&self, key: &NameKey) -> Option<NameState> {
        let trouble = self.0.get(key)?.trouble.as_ref();
        Some(NameState { name: key.host.clone(), trouble: trouble.map(ToString::to_string) })
    }

    /// The instances that a URL with this name stands for.
    pub(super) fn instances(&self, key: &NameKey, url: &ServiceUrl) -> Vec<Arc<Instance>> {
        match self.0.get(key).and_then(|name| name.records.as_ref()) {
            None => Vec::new(),
            Some(Records::Addresses(addresses)) => {
                let hosts = hosts(addresses).into_iter();
                hosts.map(|addresses| Arc::new(Instance::at(url, url.port, addresses, Source::Dns))).collect()
            }
            Some(Records::Targets(targets)) => {
                let first = targets.iter().map(|target| target.priority).min();
                let used = targets.iter().filter(|target| Some(target.priority) == first);
                used.flat_map(|target| {
                    hosts(&target.addresses).into_iter().map(|addresses| {
                        let instance = Instance::at(url, target.port, addresses, Source::Dns);
                        Arc::new(Instance { host: target.host.clone(), weight: target.weight.max(1), ..instance })
                    })
                })
                .collect()
            }
        }
    }
}

/// One IPv4 and one IPv6 address are one host, which is reached by either; of more addresses, each is a host.
fn hosts(addresses: &[IpAddr]) -> Vec<Vec<IpAddr>> {
    match addresses {
        [one, other] if one.is_ipv4() != other.is_ipv4() => vec![addresses.to_vec()],
        _ => addresses.iter().map(|&address| vec![address]).collect(),
    }
}

impl Discovery {
    /// Looks a name up for as long as it is declared.
    pub(super) async fn follow(self: Arc<Self>, key: NameKey) {
        let mut failures = 0_u32;
        loop {
            let outcome = self.look_up(&key).await;
            failures = if outcome.is_ok() { 0 } else { failures.saturating_add(1) };
            let period = match &outcome {
                Ok((_, ttl)) => (*ttl).clamp(MIN_PERIOD, MAX_PERIOD),
                Err(_) => (MIN_PERIOD * 2_u32.pow(failures.clamp(1, 6) - 1)).min(MAX_BACKOFF),
            };
            let Some(wake) = self.learn(&key, outcome) else { return };
            // The shortest pause holds even for a name that is suspected all the time.
            sleep(MIN_PERIOD).await;
            let _ = timeout(period.saturating_sub(MIN_PERIOD), wake.notified()).await;
        }
    }

    async fn look_up(&self, key: &NameKey) -> Result<(Records, Duration), NameError> {
        let is_known = self.state().names.0.get(key).is_some_and(|name| name.records.is_some());
        let lookups = if is_known { &self.lookups } else { &self.doubtful_lookups };
        // The semaphores are never closed.
        let _permit = lookups.acquire().await;
        if key.srv {
            let Resolved { mut records, ttl } = self.resolver.targets(&key.host).await?;
            records.sort_by(|a, b| (&a.host, a.port).cmp(&(&b.host, b.port)));
            return Ok((Records::Targets(records), ttl));
        }
        let Resolved { mut records, ttl } = self.resolver.addresses(&key.host).await?;
        // Sorted, as name servers rotate them. IPv6 first (RFC 8305 §4).
        records.sort_by_key(|address| (address.is_ipv4(), *address));
        records.dedup();
        Ok((Records::Addresses(records), ttl))
    }

    /// Stores the outcome of a lookup. `None` if the name is not followed any more.
    fn learn(&self, key: &NameKey, outcome: Result<(Records, Duration), NameError>) -> Option<Arc<Notify>> {
        let now = Instant::now();
        let mut state = self.state();
        let name = state.names.0.get_mut(key)?;
        name.was_looked_up = true;
        let host = &key.host;
        match outcome {
            Ok((records, _)) => {
                if name.trouble.take().is_some() {
                    info!(name = host, "the name can be looked up again");
                }
                name.records = Some(records);
                name.confirmed_at = Some(now);
            }
            Err(error) => {
                let is_kept = name.confirmed_at.is_some_and(|at| now.duration_since(at) < KEPT_FOR);
                if name.trouble.as_ref() != Some(&error) {
                    let then =
                        if is_kept { "its last addresses stay in use" } else { "its service has no instance there" };
                    warn!(name = host, %error, "a name cannot be looked up: {then}");
                }
                if !is_kept {
                    name.records = None;
                }
                name.trouble = Some(error);
            }
        }
        let wake = Arc::clone(&name.wake);
        self.publish(&mut state);
        Some(wake)
    }
}
