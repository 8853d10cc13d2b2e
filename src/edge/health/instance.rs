//! The state of an instance that all cores share.

use std::{
    borrow::Cow,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::counters::Counters;
use crate::domain::gateway::models::service::{Health, Instance};

/// The reasons for which an instance gets no requests, as bits: each ends by itself.
mod removed {
    /// Its responses failed. At most half of the instances of a service are.
    pub(super) const EJECTED: u8 = 1;
    /// It does not answer: connecting failed, or a check after many unanswered requests.
    pub(super) const UNREACHABLE: u8 = 2;
    /// The active checks failed.
    pub(super) const UNHEALTHY: u8 = 4;
    /// It has not answered for a while, and is being checked.
    pub(super) const SUSPECT: u8 = 8;
}

/// A reason for which an instance gets no requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removal {
    /// Its responses failed.
    Ejected,
    /// It does not answer.
    Unreachable,
    /// The active checks failed.
    Unhealthy,
    /// It is being checked.
    Suspect,
}

impl Removal {
    fn bit(self) -> u8 {
        match self {
            Self::Ejected => removed::EJECTED,
            Self::Unreachable => removed::UNREACHABLE,
            Self::Unhealthy => removed::UNHEALTHY,
            Self::Suspect => removed::SUSPECT,
        }
    }
}

/// An instance, and the state of it that all cores share.
#[derive(Debug, Clone)]
pub struct InstanceState {
    /// The instance.
    pub instance: Arc<Instance>,
    pub(super) shared: Arc<Shared>,
}

/// What stays when the instance's weight or source changes.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) counters: Counters,
    /// Failures in a row.
    failures: AtomicU32,
    /// The reasons for which it gets no requests.
    removed: AtomicU8,
    /// Whether a request has waited for it in vain, and it was not checked since.
    is_doubted: AtomicBool,
    details: Mutex<Details>,
}

#[derive(Debug)]
pub(super) struct Details {
    /// When it was found, or was allowed to return: the begin of a slow start. `None` for one that was there at the
    /// start of the gateway.
    pub(super) began_at: Option<Instant>,
    /// When the ejection may end.
    pub(super) until: Option<Instant>,
    /// Ejections in a row: each lasts twice as long as the one before.
    pub(super) ejections_in_a_row: u32,
    /// All ejections.
    pub(super) ejections: u64,
    /// The last failure.
    pub(super) last_error: Option<String>,
    /// Since when it has been in its present health.
    pub(super) since: Option<Instant>,
}

impl InstanceState {
    /// A new one. `began_at` is the begin of its slow start, if it has one.
    pub(super) fn new(instance: Arc<Instance>, cores: usize, began_at: Option<Instant>) -> Self {
        let details =
            Details { began_at, until: None, ejections_in_a_row: 0, ejections: 0, last_error: None, since: began_at };
        Self {
            instance,
            shared: Arc::new(Shared {
                counters: Counters::new(cores),
                failures: AtomicU32::new(0),
                removed: AtomicU8::new(0),
                is_doubted: AtomicBool::new(false),
                details: Mutex::new(details),
            }),
        }
    }

    /// The same state for an instance that has changed its weight or its source.
    pub(super) fn with(&self, instance: &Arc<Instance>) -> Self {
        Self { instance: Arc::clone(instance), shared: Arc::clone(&self.shared) }
    }

    /// What is in flight there.
    pub(crate) fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Whether it gets requests.
    pub(crate) fn is_available(&self) -> bool {
        self.shared.removed.load(Relaxed) == 0
    }

    /// Whether it gets no requests for this reason.
    pub(crate) fn is(&self, removal: Removal) -> bool {
        self.shared.removed.load(Relaxed) & removal.bit() != 0
    }

    /// A request has waited for it in vain: it is to be checked.
    pub(crate) fn doubt(&self) {
        self.shared.is_doubted.store(true, Relaxed);
    }

    /// Whether it is to be checked; it then counts as checked.
    pub(crate) fn take_doubt(&self) -> bool {
        self.shared.is_doubted.load(Relaxed) && self.shared.is_doubted.swap(false, Relaxed)
    }

    /// Its health.
    pub fn health(&self) -> Health {
        if self.is(Removal::Unhealthy) {
            Health::Unhealthy
        } else if self.is(Removal::Unreachable) {
            Health::Unreachable
        } else if self.is(Removal::Ejected) {
            Health::Ejected
        } else {
            Health::Healthy
        }
    }

    /// Whether it has responded to a request.
    pub fn has_answered(&self) -> bool {
        self.shared.counters.sums().answers != 0
    }

    /// Requests in flight, over all cores.
    pub fn in_flight(&self) -> u32 {
        self.shared.counters.sums().in_flight
    }

    /// How often it was taken out because of failures.
    pub fn ejections(&self) -> u64 {
        self.details().ejections
    }

    /// The last failure, if there was one.
    pub fn last_error(&self) -> Option<String> {
        self.details().last_error.clone()
    }

    /// For how long it has been in its present health; `None` if since the start.
    pub fn in_this_health_for(&self, now: Instant) -> Option<Duration> {
        self.details().since.map(|since| now.saturating_duration_since(since))
    }

    /// The share of requests that it gets in its slow start, up to 1.
    pub(crate) fn warmth(&self, slow_start: Duration, now: Instant) -> f32 {
        /// A cold instance gets some requests; otherwise it would never warm up.
        const LEAST: f32 = 0.1;
        let Some(began_at) = self.details().began_at else { return 1.0 };
        let elapsed = now.saturating_duration_since(began_at);
        if elapsed >= slow_start { 1.0 } else { (elapsed.as_secs_f32() / slow_start.as_secs_f32()).max(LEAST) }
    }

    /// Counts one more failure; returns how many there were in a row.
    pub(super) fn count_failure(&self) -> u32 {
        self.shared.failures.fetch_add(1, Relaxed).saturating_add(1)
    }

    /// Forgets the failures in a row, except for `but`.
    pub(super) fn forget_failures(&self, but: u32) {
        if self.shared.failures.load(Relaxed) != but {
            self.shared.failures.store(but, Relaxed);
        }
    }

    /// Returns whether it was not out for this reason before.
    pub(super) fn remove(&self, removal: Removal) -> bool {
        self.shared.removed.fetch_or(removal.bit(), Relaxed) & removal.bit() == 0
    }

    /// Returns whether it was out for this reason.
    pub(super) fn allow(&self, removal: Removal) -> bool {
        self.shared.removed.fetch_and(!removal.bit(), Relaxed) & removal.bit() != 0
    }

    pub(super) fn note(&self, error: impl Into<Cow<'static, str>>) {
        self.details().last_error = Some(error.into().into_owned());
    }

    pub(super) fn details(&self) -> MutexGuard<'_, Details> {
        // Each change is complete in itself.
        self.shared.details.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
