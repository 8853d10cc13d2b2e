//! The circuit breaker of a service: while too many requests fail, it gets none, and clients are told so at once. After a
//! while one request shows whether it works again.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::domain::gateway::models::service::{Breaker as Rule, Circuit};

/// The breaker of a service, shared by all cores.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// Whether requests are refused, or one is tried: read for every request.
    is_open: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// Requests since this time, and how many of them failed.
    Closed { began: Option<Instant>, requests: u32, failures: u32 },
    /// Refused until this time.
    Open { until: Instant },
    /// A request is on trial. If its outcome does not become known, the next one is at this time.
    Trial { next: Instant },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { began: None, requests: 0, failures: 0 }
    }
}

/// A change of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Opened,
    Closed,
}

impl Breaker {
    /// Whether the service gets one more request; if not, the time until it gets one.
    pub(super) fn admit(&self, rule: Rule, now: Instant) -> Result<(), Duration> {
        if !self.is_open.load(Relaxed) {
            return Ok(());
        }
        let mut state = self.lock();
        let due = match *state {
            State::Closed { .. } => return Ok(()),
            State::Open { until } => until,
            State::Trial { next } => next,
        };
        if now < due {
            return Err(due - now);
        }
        *state = State::Trial { next: now + rule.open };
        Ok(())
    }

    /// Counts the outcome of a request. Returns the change that it brings.
    pub(super) fn count(&self, rule: Rule, has_failed: bool, now: Instant) -> Option<Change> {
        let mut state = self.lock();
        match &mut *state {
            State::Closed { began, requests, failures } => {
                if began.is_none_or(|began| now.saturating_duration_since(began) > rule.window) {
                    (*began, *requests, *failures) = (Some(now), 0, 0);
                }
                *requests = requests.saturating_add(1);
                *failures = failures.saturating_add(u32::from(has_failed));
                let too_many = u64::from(*failures) * 100 >= u64::from(rule.failures) * u64::from(*requests);
                if !has_failed || *requests < rule.requests || !too_many {
                    return None;
                }
                *state = State::Open { until: now + rule.open };
                self.is_open.store(true, Relaxed);
                Some(Change::Opened)
            }
            // It was sent before.
            State::Open { .. } => None,
            State::Trial { .. } if has_failed => {
                *state = State::Open { until: now + rule.open };
                None
            }
            State::Trial { .. } => {
                *state = State::default();
                self.is_open.store(false, Relaxed);
                Some(Change::Closed)
            }
        }
    }

    /// Its state, for operators.
    pub(super) fn circuit(&self) -> Circuit {
        match *self.lock() {
            State::Closed { .. } => Circuit::Closed,
            State::Open { .. } => Circuit::Open,
            State::Trial { .. } => Circuit::Trial,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule =
        Rule { failures: 50, requests: 4, window: Duration::from_secs(10), open: Duration::from_secs(5) };

    fn counted(breaker: &Breaker, outcomes: &[bool], now: Instant) -> Option<Change> {
        outcomes.iter().filter_map(|&has_failed| breaker.count(RULE, has_failed, now)).last()
    }

    #[test]
    fn it_opens_when_enough_requests_have_failed() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        // Three failures are too few to tell, and then too few of all.
        assert_eq!(counted(&breaker, &[true, true, true], now), None);
        let late = now + RULE.window + Duration::from_secs(1);
        assert_eq!(counted(&breaker, &[false, false, false, false, false, true, true, true, true], late), None);
        assert_eq!((breaker.admit(RULE, late), breaker.circuit()), (Ok(()), Circuit::Closed));
        assert_eq!(counted(&breaker, &[true], late), Some(Change::Opened));
        assert_eq!((breaker.admit(RULE, late), breaker.circuit()), (Err(RULE.open), Circuit::Open));
    }

    #[test]
    fn one_request_at_a_time_shows_whether_it_works_again() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        assert_eq!(counted(&breaker, &[true; 4], now), Some(Change::Opened));
        // Those that were sent before change nothing.
        assert_eq!(counted(&breaker, &[false, true], now), None);
        let second = Duration::from_secs(1);
        assert_eq!(breaker.admit(RULE, now + second), Err(4 * second));
        let due = now + RULE.open;
        assert_eq!((breaker.admit(RULE, due), breaker.circuit()), (Ok(()), Circuit::Trial));
        assert_eq!(breaker.admit(RULE, due), Err(RULE.open));
        assert_eq!(counted(&breaker, &[true], due + second), None);
        assert_eq!(breaker.admit(RULE, due + RULE.open), Err(second));
        // A trial whose client leaves is followed by another.
        let again = due + second + RULE.open;
        assert_eq!(breaker.admit(RULE, again), Ok(()));
        assert_eq!(breaker.admit(RULE, again + RULE.open), Ok(()));
        assert_eq!(counted(&breaker, &[false], again + RULE.open), Some(Change::Closed));
        assert_eq!((breaker.admit(RULE, again + RULE.open), breaker.circuit()), (Ok(()), Circuit::Closed));
        assert_eq!(counted(&breaker, &[true, true, true], again + RULE.open), None, "it begins anew");
    }
}
