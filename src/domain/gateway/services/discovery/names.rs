//! The names in the settings: what is known of each, and whether that is up to date.
//!
//! While name servers give no address, the last ones stay in use: an error, or a sudden lack of addresses, is more often
//! the fault of a name server than of the service. The service's health is checked in other ways.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::Notify, task::AbortHandle, time::Instant};
use tracing::{info, warn};

use super::records::{NameKey, Outcome, Records};
use crate::domain::gateway::{
    models::service::{Instance, ServiceUrl},
    services::ports::NameError,
};

/// How long the last addresses of a name are used while it has none. If they were used for longer, they might belong to
/// another host by then.
pub const KEPT_FOR: Duration = Duration::from_hours(1);

/// The state of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameState {
    /// The name.
    pub name: String,
    /// Why its last lookup found nothing, if it did.
    pub trouble: Option<String>,
}

/// Every name that is followed.
#[derive(Default)]
pub(super) struct Names(BTreeMap<NameKey, Name>);

#[derive(Default)]
struct Name {
    records: Option<Records>,
    /// The time of the last lookup that found records, and of the last one that found all of them.
    found_at: Option<Instant>,
    all_found_at: Option<Instant>,
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

/// What follows from a lookup.
pub(super) struct Learnt {
    /// Whether the records are others than before, or the first answer is there.
    pub(super) is_news: bool,
    /// Ends the follower's pause.
    pub(super) wake: Arc<Notify>,
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

    /// Whether a name has an address.
    pub(super) fn is_known(&self, key: &NameKey) -> bool {
        self.0.get(key).is_some_and(|name| name.records.is_some())
    }

    pub(super) fn state(&self, key: &NameKey) -> Option<NameState> {
        let trouble = self.0.get(key)?.trouble.as_ref();
        Some(NameState { name: key.host().to_owned(), trouble: trouble.map(ToString::to_string) })
    }

    /// The instances that a URL with this name stands for.
    pub(super) fn instances(&self, key: &NameKey, url: &ServiceUrl) -> Vec<Arc<Instance>> {
        let records = self.0.get(key).and_then(|name| name.records.as_ref());
        records.map(|records| records.instances(url)).unwrap_or_default()
    }

    /// Stores the outcome of a lookup. `None` if the name is not followed any more.
    pub(super) fn learn(&mut self, key: &NameKey, outcome: Outcome, now: Instant) -> Option<Learnt> {
        let name = self.0.get_mut(key)?;
        let is_first = !std::mem::replace(&mut name.was_looked_up, true);
        let before = name.records.clone();
        match outcome {
            Ok(found) => {
                let is_recent = |at: Option<Instant>| at.is_some_and(|at| now.duration_since(at) < KEPT_FOR);
                let filler = name.records.as_ref().filter(|_| !found.is_complete && is_recent(name.all_found_at));
                let records = found.records.filled_from(filler);
                if records.is_empty() {
                    name.has_failed(key.host(), NameError::Unanswered("its targets cannot be looked up".into()), now);
                } else {
                    name.has_been_found(key.host(), records, found.is_complete, now);
                }
            }
            Err(error) => name.has_failed(key.host(), error, now),
        }
        Some(Learnt { is_news: is_first || name.records != before, wake: Arc::clone(&name.wake) })
    }
}

impl Name {
    fn has_been_found(&mut self, host: &str, records: Records, is_complete: bool, now: Instant) {
        if self.trouble.take().is_some() {
            info!(name = host, "the name of a service can be looked up again");
        }
        self.records = Some(records);
        self.found_at = Some(now);
        if is_complete {
            self.all_found_at = Some(now);
        }
    }

    /// One line tells that a trouble begins, and one that it is over.
    fn has_failed(&mut self, host: &str, error: NameError, now: Instant) {
        let is_kept = self.found_at.is_some_and(|at| now.duration_since(at) < KEPT_FOR);
        let is_begin = self.trouble.is_none();
        if !is_kept && self.records.take().is_some() {
            warn!(name = host, %error, "a name cannot be looked up for too long: its last addresses are no longer used");
        } else if is_begin && is_kept {
            warn!(name = host, %error, "a name cannot be looked up: its last addresses stay in use");
        } else if is_begin {
            warn!(name = host, %error, "a name cannot be looked up: its service has no instance there");
        }
        self.trouble = Some(error);
    }
}
