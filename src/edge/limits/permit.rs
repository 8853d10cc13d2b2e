//! Permits limit how many of a kind may be in flight at once, over all cores. A core takes permits from the shared
//! count in batches and keeps a few, so that a request costs no write to memory that other cores use. A small limit is
//! exact, one permit at a time. With a large one, up to an eighth of the permits may lie unused on other cores when a
//! core is refused.

use std::{
    cell::Cell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicIsize, AtomicUsize, Ordering},
    },
};

/// Limits below this are exact: a missing eighth of them would be noticed.
const EXACT_BELOW: usize = 1000;

/// The largest batch: with this size, the shared count is hardly touched.
const LARGEST_BATCH: usize = 64;

/// The permits that all cores share.
#[derive(Debug)]
pub(crate) struct SharedPermits {
    limit: AtomicUsize,
    /// Below zero while more are in flight than a limit allows that has been lowered.
    free: AtomicIsize,
    /// How many permits a core takes at once and keeps; 0 for an exact limit.
    batch: AtomicUsize,
}

impl SharedPermits {
    /// Allows at most `limit` permits at once.
    pub(crate) fn new(limit: usize, cores: usize) -> Arc<Self> {
        let batch = AtomicUsize::new(batch(limit, cores));
        Arc::new(Self { limit: AtomicUsize::new(limit), free: AtomicIsize::new(signed(limit)), batch })
    }

    /// Changes the limit. What is in flight counts against the new one.
    pub(crate) fn set_limit(&self, limit: usize, cores: usize) {
        let before = self.limit.swap(limit, Ordering::Relaxed);
        if before != limit {
            self.batch.store(batch(limit, cores), Ordering::Relaxed);
            self.free.fetch_add(signed(limit).wrapping_sub(signed(before)), Ordering::Relaxed);
        }
    }

    fn batch(&self) -> usize {
        self.batch.load(Ordering::Relaxed)
    }

    /// Takes up to `wanted` permits. Returns how many it got.
    fn take(&self, wanted: usize) -> usize {
        let taken = |free: isize| free.clamp(0, signed(wanted));
        let take = |free: isize| (free > 0).then(|| free - taken(free));
        let before = self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        before.map_or(0, |free| taken(free).unsigned_abs())
    }

    fn give_back(&self, count: usize) {
        if count > 0 {
            self.free.fetch_add(signed(count), Ordering::Relaxed);
        }
    }
}

/// A core keeps at most two batches: an eighth of the limit over all cores.
fn batch(limit: usize, cores: usize) -> usize {
    if limit < EXACT_BELOW { 0 } else { (limit / (16 * cores.max(1))).min(LARGEST_BATCH) }
}

/// Limits are far below the largest number.
fn signed(count: usize) -> isize {
    isize::try_from(count).unwrap_or(isize::MAX)
}

/// The shared permits as one core sees them.
#[derive(Debug)]
pub(crate) struct CorePermits {
    shared: Arc<SharedPermits>,
    /// Permits taken from the shared count and not in use.
    spare: Cell<usize>,
}

impl CorePermits {
    pub(crate) fn of(shared: Arc<SharedPermits>) -> Rc<Self> {
        Rc::new(Self { shared, spare: Cell::new(0) })
    }

    /// A permit, if one is free.
    pub(crate) fn try_acquire(self: &Rc<Self>) -> Option<Permit> {
        let batch = self.shared.batch();
        if self.spare.get() > 2 * batch {
            // The limit was lowered, and cores keep fewer now.
            self.shared.give_back(self.spare.replace(0));
        }
        let spare = match self.spare.get() {
            0 => self.shared.take(batch.max(1)),
            spare => spare,
        };
        self.spare.set(spare.checked_sub(1)?);
        Some(Permit(Rc::clone(self)))
    }
}

impl Drop for CorePermits {
    fn drop(&mut self) {
        self.shared.give_back(self.spare.get());
    }
}

/// A permit for one more in flight. Dropping it releases it.
#[derive(Debug)]
pub(crate) struct Permit(Rc<CorePermits>);

impl Drop for Permit {
    fn drop(&mut self) {
        let CorePermits { shared, spare } = &*self.0;
        let (unused, batch) = (spare.get() + 1, shared.batch());
        if unused > 2 * batch {
            shared.give_back(unused - batch);
            spare.set(batch);
        } else {
            spare.set(unused);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn all(permits: &Rc<CorePermits>) -> Vec<Permit> {
        std::iter::from_fn(|| permits.try_acquire()).collect()
    }

    #[test]
    fn a_small_limit_is_exact_over_all_cores() {
        let shared = SharedPermits::new(5, 4);
        let (one, other) = (CorePermits::of(Arc::clone(&shared)), CorePermits::of(shared));
        let mut held = all(&one);
        assert_eq!((held.len(), other.try_acquire().is_some()), (5, false));
        held.pop();
        assert!(other.try_acquire().is_some() && one.try_acquire().is_some(), "it was given back at once");
        drop(held);
        assert_eq!(all(&other).len(), 5);
    }

    #[test]
    fn a_large_limit_is_never_exceeded_and_an_eighth_of_it_lies_unused_at_most() {
        const LIMIT: usize = 2000;
        const CORES: usize = 4;
        let shared = SharedPermits::new(LIMIT, CORES);
        let cores: Vec<_> = (0..CORES).map(|_| CorePermits::of(Arc::clone(&shared))).collect();
        let mut held: Vec<Vec<Permit>> =
            cores.iter().map(|core| (0..400).map_while(|_| core.try_acquire()).collect()).collect();
        assert_eq!(held.iter().map(Vec::len).sum::<usize>(), 1600);
        // Three cores release their permits, and keep some as spare.
        held.drain(1..).for_each(drop);
        let most = held[0].len() + all(&cores[0]).len();
        assert!((LIMIT * 7 / 8..=LIMIT).contains(&most), "{most}");
        drop((held, cores));
        assert_eq!(shared.free.load(Ordering::Relaxed), signed(LIMIT), "all of them come back");
    }

    #[test]
    fn a_changed_limit_counts_what_is_in_flight() {
        let shared = SharedPermits::new(5, 1);
        let core = CorePermits::of(Arc::clone(&shared));
        let mut held = all(&core);
        shared.set_limit(2, 1);
        held.truncate(2);
        assert!(core.try_acquire().is_none(), "two are in flight, and two are allowed");
        held.pop();
        assert!(core.try_acquire().is_some());
        shared.set_limit(7, 1);
        assert_eq!(all(&core).len(), 6, "and one is held");
        drop(held);
        shared.set_limit(2000, 1);
        assert_eq!(all(&core).len(), 2000);
        shared.set_limit(3, 1);
        assert_eq!(all(&core).len(), 3, "no core keeps a batch of the old limit: {shared:?}");
    }

    #[test]
    fn cores_that_race_for_permits_never_exceed_the_limit() {
        const LIMIT: usize = 1500;
        let shared = SharedPermits::new(LIMIT, 2);
        let held = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let core = CorePermits::of(Arc::clone(&shared));
                    for round in 0..200 {
                        let mine: Vec<_> = (0..300 + round).map_while(|_| core.try_acquire()).collect();
                        let now = held.fetch_add(mine.len(), Ordering::SeqCst) + mine.len();
                        assert!(now <= LIMIT, "{now}");
                        held.fetch_sub(mine.len(), Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(shared.free.load(Ordering::Relaxed), signed(LIMIT));
    }
}
