//! Counts what is in flight at an instance. Each core writes to counters of its own; a reader adds them up.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The counters of one core, on cache lines of their own: no other core writes there. Processors load two lines at once.
#[derive(Debug, Default)]
#[repr(align(128))]
struct OfCore {
    in_flight: AtomicU32,
    awaiting: AtomicU32,
    answers: AtomicU32,
}

/// What is in flight at an instance, by core.
#[derive(Debug)]
pub(crate) struct Counters(Box<[OfCore]>);

/// Sums over all cores.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    /// Requests whose response has not ended.
    pub(crate) in_flight: u32,
    /// Requests whose response has not begun.
    pub(crate) awaiting: u32,
    /// Responses that have begun since the start; wraps around.
    pub(crate) answers: u32,
}

impl Counters {
    pub(crate) fn new(cores: usize) -> Self {
        Self((0..cores.max(1)).map(|_| OfCore::default()).collect())
    }

    /// A request is sent by this core.
    pub(crate) fn sent(&self, core: usize) {
        self.at(core, |own| {
            add(&own.in_flight, 1);
            add(&own.awaiting, 1);
        });
    }

    /// A response has begun.
    pub(crate) fn answered(&self, core: usize) {
        self.at(core, |own| {
            subtract(&own.awaiting, 1);
            add(&own.answers, 1);
        });
    }

    /// A request has ended, with a response or, if it was still awaited, without one.
    pub(crate) fn ended(&self, core: usize, was_awaiting: bool) {
        self.at(core, |own| {
            subtract(&own.in_flight, 1);
            subtract(&own.awaiting, u32::from(was_awaiting));
        });
    }

    /// The number of cores.
    pub(crate) fn cores(&self) -> usize {
        self.0.len()
    }

    /// The requests in flight that this core sent.
    pub(crate) fn own_in_flight(&self, core: usize) -> u32 {
        self.0.get(core).map_or(0, |own| own.in_flight.load(Relaxed))
    }

    pub(crate) fn sums(&self) -> Sums {
        self.0.iter().fold(Sums::default(), |sums, of| Sums {
            in_flight: sums.in_flight.wrapping_add(of.in_flight.load(Relaxed)),
            awaiting: sums.awaiting.wrapping_add(of.awaiting.load(Relaxed)),
            answers: sums.answers.wrapping_add(of.answers.load(Relaxed)),
        })
    }

    fn at(&self, core: usize, change: impl FnOnce(&OfCore)) {
        debug_assert!(core < self.0.len(), "there are counters for each core");
        if let Some(own) = self.0.get(core) {
            change(own);
        }
    }
}

// Only one core writes to a counter, so a load and a store are enough: no other write can come between.

fn add(counter: &AtomicU32, by: u32) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

fn subtract(counter: &AtomicU32, by: u32) {
    counter.store(counter.load(Relaxed).wrapping_sub(by), Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_count_by_themselves_and_are_added_up() {
        let counters = Counters::new(2);
        counters.sent(0);
        counters.sent(1);
        counters.sent(1);
        counters.answered(1);
        assert_eq!(counters.sums(), Sums { in_flight: 3, awaiting: 2, answers: 1 });
        assert_eq!((counters.own_in_flight(0), counters.own_in_flight(1)), (1, 2));
        counters.ended(1, false);
        counters.ended(0, true);
        assert_eq!(counters.sums(), Sums { in_flight: 1, awaiting: 1, answers: 1 });
    }
}
