//! What was last known of something, for the time in which it cannot be looked up.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// How many entries a generation has. Two are kept: 20,000 people with an e-mail address each take some 3 MB.
const GENERATION: usize = 10_000;

/// The last known values of the keys that were used lately.
#[derive(Debug)]
pub(super) struct LastKnown<K, V>(Mutex<Generations<K, V>>);

#[derive(Debug)]
struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K, V> Default for LastKnown<K, V> {
    fn default() -> Self {
        Self(Mutex::new(Generations { young: HashMap::new(), old: HashMap::new() }))
    }
}

impl<K: Eq + Hash, V: Clone> LastKnown<K, V> {
    /// Notes a value. The oldest ones are forgotten when there are too many.
    pub(super) fn remember(&self, key: K, value: V) {
        let mut known = self.lock();
        if known.young.len() >= GENERATION {
            known.old = std::mem::take(&mut known.young);
        }
        known.young.insert(key, value);
    }

    /// The last known value.
    pub(super) fn get(&self, key: &K) -> Option<V> {
        let known = self.lock();
        known.young.get(key).or_else(|| known.old.get(key)).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Generations<K, V>> {
        // Each change is complete in itself.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_values_are_known_and_the_oldest_forgotten() {
        let known = LastKnown::default();
        known.remember(0, "first");
        known.remember(0, "second");
        assert_eq!((known.get(&0), known.get(&1)), (Some("second"), None));
        (1..=GENERATION).for_each(|key| known.remember(key, "other"));
        assert_eq!((known.get(&0), known.get(&GENERATION)), (Some("second"), Some("other")));
        (GENERATION..=2 * GENERATION).for_each(|key| known.remember(key, "other"));
        assert_eq!((known.get(&0), known.get(&(2 * GENERATION))), (None, Some("other")));
    }
}
