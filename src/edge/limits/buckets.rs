//! Counts requests for rate limits, over all cores: GCRA, the generic cell rate algorithm. For each key one number is
//! kept, the time at which its bucket is full again; a request moves it on by the time in which one request is refilled.
//!
//! The table has a fixed size and no locks. A key belongs to a set of eight slots; which one, nobody outside can tell. A
//! new key takes a slot whose bucket is full, which changes nothing for the key that had it. If there is none in its
//! set, it takes the slot whose bucket is the nearest to full. So a client with any number of keys cannot make the table
//! grow, and the keys that have used up their limits are the last to be forgotten.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::domain::gateway::models::rate_limit::BucketRate;

/// The slots of a set: two cache lines.
const WAYS: usize = 8;

/// The number of sets. With eight slots each the table has 131,072 keys, in 2 MiB, which are only taken once a rate
/// limit is used.
const SETS: usize = 1 << 14;

/// How often a slot that other cores take at the same time is tried again.
const ATTEMPTS: usize = 8;

/// How far the clock readings of two cores may be apart, in nanoseconds: one may be interrupted after it has read the
/// time.
const SKEW: u64 = 10_000_000_000;

/// One key, and the time at which its bucket is full again.
#[derive(Debug, Default)]
struct Slot {
    /// 0: free.
    key: AtomicU64,
    /// In nanoseconds after the table's epoch.
    full_at: AtomicU64,
}

type Set = [Slot; WAYS];

/// The counts of all rate limits.
#[derive(Debug)]
pub(crate) struct Buckets {
    sets: OnceLock<Box<[Set]>>,
    number_of_sets: usize,
    hasher: RandomState,
    epoch: Instant,
}

/// A request that was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    /// How many more requests are accepted now.
    pub(crate) remaining: u32,
    /// The time until one more is.
    pub(crate) next: Duration,
}

impl Taken {
    /// The bucket is full again after this time, in nanoseconds.
    fn of(rate: BucketRate, missing: u64) -> Self {
        let left = rate.filling().saturating_sub(missing);
        Self {
            remaining: u32::try_from(left / rate.interval).unwrap_or(u32::MAX),
            next: Duration::from_nanos(rate.interval - left % rate.interval),
        }
    }
}

/// A request that was not accepted, and did not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exhausted {
    /// The time until one is accepted.
    pub(crate) wait: Duration,
}

/// The key of a bucket: a hash that nobody outside can compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key(u64);

impl Buckets {
    /// A table without counts.
    pub(crate) fn new() -> Self {
        Self::of_size(SETS)
    }

    fn of_size(number_of_sets: usize) -> Self {
        Self { sets: OnceLock::new(), number_of_sets, hasher: RandomState::new(), epoch: Instant::now() }
    }

    /// The key for the subject of a limit.
    pub(crate) fn key(&self, subject: impl Hash) -> Key {
        // 0 marks a free slot.
        Key(self.hasher.hash_one(subject) | 1)
    }

    /// Takes one request out of a bucket, unless that is empty.
    pub(crate) fn take(&self, key: Key, rate: BucketRate, now: Instant) -> Result<Taken, Exhausted> {
        let now = self.nanos(now);
        let slot = self.slot(key, now);
        let filling = rate.filling();
        let mut full_at = slot.full_at.load(Relaxed);
        loop {
            // No request moves the time further than an empty bucket takes: that was another key's, which lost the slot
            // just now.
            let latest = now.saturating_add(filling).saturating_add(SKEW);
            let begin = if full_at > latest { now } else { full_at.max(now) };
            let next_full = begin.saturating_add(rate.interval);
            let missing = next_full - now;
            if missing > filling {
                return Err(Exhausted { wait: Duration::from_nanos(missing - filling) });
            }
            match slot.full_at.compare_exchange_weak(full_at, next_full, Relaxed, Relaxed) {
                Ok(_) => {
                    return Ok(Taken::of(rate, missing));
                }
                Err(newer) => full_at = newer,
            }
        }
    }

    /// Learns how full the bucket is that all replicas share: it is full again after this time. So the requests that
    /// others have counted are known here, too, and an empty bucket is not asked for again before it has a request.
    pub(crate) fn learn(&self, key: Key, rate: BucketRate, full_in: Duration, now: Instant) -> Taken {
        let missing = u64::try_from(full_in.as_nanos()).unwrap_or(u64::MAX).min(rate.filling());
        let now = self.nanos(now);
        self.slot(key, now).full_at.fetch_max(now.saturating_add(missing), Relaxed);
        Taken::of(rate, missing)
    }

    /// Puts a request back that was taken, but then refused for another reason.
    pub(crate) fn put_back(&self, key: Key, rate: BucketRate) {
        if let Some(slot) = self.set(key).iter().find(|slot| slot.key.load(Relaxed) == key.0) {
            let earlier = |full_at: u64| Some(full_at.saturating_sub(rate.interval));
            // It always changes something.
            let _ = slot.full_at.fetch_update(Relaxed, Relaxed, earlier);
        }
    }

    /// The slot of a key; takes one for it, if it has none.
    fn slot(&self, key: Key, now: u64) -> &Slot {
        let set = self.set(key);
        for _ in 0..ATTEMPTS {
            if let Some(known) = set.iter().find(|slot| slot.key.load(Relaxed) == key.0) {
                return known;
            }
            let fullest = set.iter().min_by_key(|slot| slot.full_at.load(Relaxed)).unwrap_or(&set[0]);
            let (before, full_at) = (fullest.key.load(Relaxed), fullest.full_at.load(Relaxed));
            // Between the two, another core may have taken the slot for a key of its own, or for this one.
            if fullest.key.compare_exchange(before, key.0, Relaxed, Relaxed).is_ok() {
                if full_at > now {
                    // The count of another key, which is forgotten.
                    let _ = fullest.full_at.compare_exchange(full_at, now, Relaxed, Relaxed);
                }
                return fullest;
            }
        }
        // All cores are after this set. To count with another key is the stricter mistake.
        &set[0]
    }

    fn set(&self, key: Key) -> &Set {
        let sets = self.sets.get_or_init(|| (0..self.number_of_sets).map(|_| Set::default()).collect());
        // The upper bits, as the lowest is always 1.
        let at = usize::try_from(key.0 >> 32).unwrap_or_default() % self.number_of_sets;
        &sets[at]
    }

    fn nanos(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rate(requests: u32, per: Duration, burst: u32) -> BucketRate {
        BucketRate { interval: u64::try_from(per.as_nanos()).unwrap() / u64::from(requests), burst }
    }

    /// How many of `tries` requests at this time are accepted.
    fn accepted(buckets: &Buckets, key: Key, rate: BucketRate, now: Instant, tries: usize) -> usize {
        (0..tries).filter(|_| buckets.take(key, rate, now).is_ok()).count()
    }

    #[test]
    fn a_bucket_is_emptied_at_once_and_refilled_evenly() {
        let (buckets, rate) = (Buckets::of_size(1), rate(60, SECOND * 60, 10));
        let (key, now) = (buckets.key("a"), buckets.epoch + SECOND);
        let first = buckets.take(key, rate, now).unwrap();
        assert_eq!((first.remaining, first.next), (9, SECOND));
        assert_eq!(accepted(&buckets, key, rate, now, 20), 9);
        assert_eq!(buckets.take(key, rate, now), Err(Exhausted { wait: SECOND }));
        let later = now + Duration::from_millis(400);
        // Refused requests did not count.
        assert_eq!(buckets.take(key, rate, later), Err(Exhausted { wait: Duration::from_millis(600) }));
        let last = buckets.take(key, rate, now + SECOND).unwrap();
        assert_eq!((last.remaining, last.next), (0, SECOND));
        assert_eq!(accepted(&buckets, key, rate, now + SECOND * 4, 20), 3);
        // It never has more than the burst.
        assert_eq!(accepted(&buckets, key, rate, now + SECOND * 1000, 20), 10);
        let half = buckets.take(buckets.key("b"), rate, now + SECOND * 1000).unwrap();
        assert_eq!(half.remaining, 9, "another key has its own bucket");
    }

    #[test]
    fn over_a_long_time_the_rate_is_exact() {
        let (buckets, rate) = (Buckets::of_size(1), rate(300, SECOND, 30));
        let (key, begin) = (buckets.key("a"), buckets.epoch);
        let accepted = (0..100_000_u64)
            .filter(|tick| buckets.take(key, rate, begin + Duration::from_micros(tick * 100)).is_ok())
            .count();
        // Ten seconds, and the burst.
        assert!((3029..=3031).contains(&accepted), "{accepted}");
    }

    #[test]
    fn time_that_goes_back_changes_nothing() {
        let (buckets, rate) = (Buckets::of_size(1), rate(1, SECOND, 2));
        let (key, now) = (buckets.key("a"), buckets.epoch + SECOND * 100);
        assert_eq!(accepted(&buckets, key, rate, now, 5), 2);
        // Cores read the clock at slightly different times.
        assert_eq!(accepted(&buckets, key, rate, buckets.epoch + Duration::from_millis(99_999), 5), 0);
        assert_eq!(accepted(&buckets, key, rate, now + SECOND, 5), 1);
    }

    #[test]
    fn a_request_that_is_put_back_did_not_count() {
        let (buckets, rate) = (Buckets::of_size(1), rate(1, SECOND, 2));
        let (key, now) = (buckets.key("a"), buckets.epoch + SECOND);
        for _ in 0..10 {
            let taken = buckets.take(key, rate, now).unwrap();
            assert_eq!(taken.remaining, 1);
            buckets.put_back(key, rate);
        }
        assert_eq!(accepted(&buckets, key, rate, now, 5), 2);
        buckets.put_back(buckets.key("unknown"), rate);
    }

    #[test]
    fn a_bucket_learns_what_others_have_taken() {
        let (buckets, rate) = (Buckets::of_size(1), rate(10, SECOND * 10, 10));
        let (key, now) = (buckets.key("a"), buckets.epoch + SECOND);
        let taken = buckets.learn(key, rate, Duration::from_millis(6_750), now);
        assert_eq!((taken.remaining, taken.next), (3, Duration::from_millis(750)));
        // To hear less than is known changes nothing.
        buckets.learn(key, rate, SECOND, now);
        assert_eq!(accepted(&buckets, key, rate, now, 10), 3);
        buckets.learn(key, rate, SECOND * 1000, now);
        assert_eq!(accepted(&buckets, key, rate, now + SECOND / 2, 10), 0);
        assert_eq!(accepted(&buckets, key, rate, now + SECOND, 10), 1);
    }

    #[test]
    fn cores_share_a_limit_exactly() {
        let (buckets, rate) = (Buckets::new(), rate(1, SECOND * 3600, 1000));
        let (key, now, accepted) = (buckets.key("a"), Instant::now(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for other in 0..2000_u32 {
                        // Other keys come and go meanwhile.
                        let _ = buckets.take(buckets.key(other), rate, now);
                        accepted.fetch_add(usize::from(buckets.take(key, rate, now).is_ok()), Relaxed);
                    }
                });
            }
        });
        assert_eq!(accepted.into_inner(), 1000);
    }

    #[test]
    fn many_keys_neither_grow_the_table_nor_reset_those_at_their_limit() {
        let (buckets, rate) = (Buckets::of_size(64), rate(10, SECOND * 60, 10));
        let now = buckets.epoch + SECOND;
        let victims: Vec<Key> = (0..64).map(|number| buckets.key(("victim", number))).collect();
        for key in &victims {
            assert_eq!(accepted(&buckets, *key, rate, now, 20), 10);
        }
        for attacker in 0..100_000_u32 {
            let _ = buckets.take(buckets.key(("attacker", attacker)), rate, now);
        }
        let reset = victims.iter().filter(|key| buckets.take(**key, rate, now).is_ok()).count();
        // More than eight of them may have met in one set; none was pushed out by the many.
        assert_eq!(reset, 0);
        assert_eq!(buckets.sets.get().unwrap().len(), 64);
    }

    #[test]
    fn full_buckets_are_replaced_first() {
        let (buckets, rate) = (Buckets::of_size(1), rate(1, SECOND, 1));
        let now = buckets.epoch + SECOND;
        let keys: Vec<Key> = (0..8).map(|number| buckets.key(number)).collect();
        for (age, key) in keys.iter().enumerate() {
            let at = now + SECOND / 10 * u32::try_from(age).unwrap();
            assert!(buckets.take(*key, rate, at).is_ok());
        }
        // The first is full again, the others are not.
        let later = now + SECOND;
        assert!(buckets.take(buckets.key("new"), rate, later).is_ok());
        assert_eq!(keys[1..].iter().filter(|key| buckets.take(**key, rate, later).is_err()).count(), 7);
    }
}
