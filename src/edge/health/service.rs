//! The state of a service that all cores share, and the rules by which its instances are taken out and come back.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tracing::{info, warn};

use super::{
    breaker::{Breaker, Change},
    instance::{InstanceState, Removal},
};
use crate::domain::gateway::models::service::{Circuit, Ejection, Instance, Service};

/// A service with the state of its instances.
#[derive(Debug)]
pub struct ServiceState {
    /// The service.
    pub service: Arc<Service>,
    /// Its instances, in the same order.
    pub instances: Vec<InstanceState>,
    shared: Arc<Shared>,
}

/// What stays when the list of instances changes.
#[derive(Debug, Default)]
struct Shared {
    /// Counts the changes of availability, so that each core notices them without looking at every instance.
    changes: AtomicU64,
    /// Held while an instance is ejected: two cores at once must not eject more than half.
    ejecting: Mutex<()>,
    breaker: Breaker,
}

impl ServiceState {
    /// The state of `service`. Instances that `before` knows keep theirs; new ones begin a slow start, unless they are
    /// the first ones.
    pub fn of(service: Arc<Service>, before: Option<&Self>, cores: usize, now: Instant) -> Self {
        let known: HashMap<_, _> = before
            .iter()
            .flat_map(|before| &before.instances)
            .map(|state| (state.instance.identity(), state))
            .collect();
        let began_at = (!known.is_empty()).then_some(now);
        let state_of = |instance: &Arc<Instance>| match known.get(&instance.identity()) {
            Some(state) => state.with(instance),
            None => InstanceState::new(Arc::clone(instance), cores, began_at),
        };
        let instances = service.instances.iter().map(state_of).collect();
        let shared = before.map(|before| Arc::clone(&before.shared)).unwrap_or_default();
        Self { service, instances, shared }
    }

    /// The number of changes of availability so far.
    pub(crate) fn changes(&self) -> u64 {
        self.shared.changes.load(Relaxed)
    }

    /// A request to an instance failed there: with an error response, a lost connection, or no response in time.
    pub(crate) fn failed(&self, at: &InstanceState, reason: &'static str, now: Instant) {
        let Ejection { after, time, max_time } = self.service.policy.ejection;
        let failures = at.count_failure();
        at.note(reason);
        self.count(true);
        if after == 0 || failures < after {
            return;
        }
        // Locked first: the time of its end must be known when it is out.
        let mut details = at.details();
        if !self.eject(at) {
            return;
        }
        let last = ejection_time(time, max_time, details.ejections_in_a_row.saturating_sub(1));
        let was_well_for = details.since.map_or(Duration::MAX, |since| now.saturating_duration_since(since));
        if was_well_for > last.saturating_mul(FORGOTTEN_AFTER) {
            details.ejections_in_a_row = 0;
        }
        let this = ejection_time(time, max_time, details.ejections_in_a_row);
        details.ejections_in_a_row = details.ejections_in_a_row.saturating_add(1);
        details.ejections += 1;
        details.until = Some(now + this);
        details.since = Some(now);
        drop(details);
        let (service, instance) = (&self.service.name, at.instance.address());
        warn!(%service, instance, failures, reason, "an instance gets no requests for {this:?}");
    }

    /// A response was received completely, and was no failure.
    pub(crate) fn succeeded(&self, at: &InstanceState) {
        at.forget_failures(0);
        self.count(false);
    }

    /// Whether the service gets one more request; if not, the time until it gets one.
    pub(crate) fn admit(&self) -> Result<(), Duration> {
        self.service.policy.breaker.map_or(Ok(()), |rule| self.shared.breaker.admit(rule, Instant::now()))
    }

    /// The state of its breaker, if it has one.
    pub fn circuit(&self) -> Option<Circuit> {
        self.service.policy.breaker.map(|_| self.shared.breaker.circuit())
    }

    /// Counts the outcome of a request for the breaker.
    fn count(&self, has_failed: bool) {
        let Some(rule) = self.service.policy.breaker else { return };
        let service = &self.service.name;
        match self.shared.breaker.count(rule, has_failed, Instant::now()) {
            Some(Change::Opened) => {
                warn!(%service, "too many requests have failed: the service gets none for {:?}", rule.open);
            }
            Some(Change::Closed) => info!(%service, "the service gets requests again"),
            None => {}
        }
    }

    /// A request found an instance that does not accept its connection.
    pub(crate) fn refused(&self, at: &InstanceState, reason: &str, now: Instant) {
        self.count(true);
        self.is_unreachable(at, reason, now);
    }

    /// An instance does not answer: it gets no requests until a check has reached it.
    pub(crate) fn is_unreachable(&self, at: &InstanceState, reason: &str, now: Instant) {
        at.note(reason.to_owned());
        if !self.removed(at, Removal::Unreachable, now) {
            return;
        }
        let (service, instance) = (&self.service.name, at.instance.address());
        warn!(%service, instance, reason, "an instance gets no requests until it answers");
    }

    /// The active checks of an instance have failed.
    pub(crate) fn is_unhealthy(&self, at: &InstanceState, reason: &str, now: Instant) {
        at.note(reason.to_owned());
        if !self.removed(at, Removal::Unhealthy, now) {
            return;
        }
        let (service, instance) = (&self.service.name, at.instance.address());
        warn!(%service, instance, reason, "an instance gets no requests: its health check fails");
    }

    /// An instance is being checked.
    pub(crate) fn suspects(&self, at: &InstanceState) {
        if at.remove(Removal::Suspect) {
            self.has_changed();
        }
    }

    /// The instance gets requests again, as far as this reason goes.
    pub(crate) fn allows(&self, at: &InstanceState, removal: Removal, now: Instant) {
        // A moment ago it failed, so that one more failure is enough.
        let failures = self.service.policy.ejection.after.saturating_sub(1);
        if !at.allow(removal) {
            return;
        }
        if removal == Removal::Ejected {
            at.forget_failures(failures);
        } else if removal != Removal::Suspect {
            at.forget_failures(0);
        }
        if removal != Removal::Suspect {
            let mut details = at.details();
            (details.began_at, details.since) = (Some(now), Some(now));
            drop(details);
            if at.is_available() {
                let (service, instance) = (&self.service.name, at.instance.address());
                info!(%service, instance, "an instance gets requests again");
            }
        }
        self.has_changed();
    }

    /// Whether the time of an ejection is over.
    pub(crate) fn may_return(at: &InstanceState, now: Instant) -> bool {
        at.is(Removal::Ejected) && at.details().until.is_none_or(|until| until <= now)
    }

    /// Returns whether it was not out for this reason before.
    fn removed(&self, at: &InstanceState, removal: Removal, now: Instant) -> bool {
        let is_new = at.remove(removal);
        if is_new {
            let mut details = at.details();
            details.ejections += 1;
            details.since = Some(now);
            drop(details);
            self.has_changed();
            if !self.instances.iter().any(InstanceState::is_available) {
                warn!(service = %self.service.name, "no instance is well, so all of them are tried");
            }
        }
        is_new
    }

    /// Ejects an instance, unless half of them are ejected already or no other is left. Returns whether it was done now.
    fn eject(&self, at: &InstanceState) -> bool {
        let _ejecting = self.shared.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
        let ejected = self.instances.iter().filter(|other| other.is(Removal::Ejected)).count();
        let is_other = |other: &&InstanceState| !Arc::ptr_eq(&other.shared, &at.shared);
        let has_others = self.instances.iter().filter(is_other).any(InstanceState::is_available);
        let may_be = (ejected + 1) * 2 <= self.instances.len() && has_others;
        let is_new = may_be && at.remove(Removal::Ejected);
        if is_new {
            self.has_changed();
        }
        is_new
    }

    fn has_changed(&self) {
        self.shared.changes.fetch_add(1, Relaxed);
    }
}

/// An ejection is no longer one in a row when the instance was well for this many times the last one.
const FORGOTTEN_AFTER: u32 = 4;

/// The time of the ejection after `before` others in a row.
fn ejection_time(first: Duration, longest: Duration, before: u32) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(before.min(30))).min(longest)
}

#[cfg(test)]
mod tests;
