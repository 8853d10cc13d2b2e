//! Caches on one core the credentials that were found valid: tokens, so that a signature is checked once, and people's
//! tokens at providers. It is bounded, and only successes are cached, so that nothing invalid can evict others. The
//! caller of `get` checks on every request whether the entry is still valid.

use std::{
    borrow::Borrow,
    collections::{HashMap, hash_map::RandomState},
    hash::{BuildHasher, BuildHasherDefault, Hash, Hasher},
};

/// How many tokens a core caches. A few hundred bytes each: some megabytes when full.
pub(crate) const TOKENS: usize = 16 * 1024;

/// A cache of tokens and the like, keyed by their digests.
pub(crate) type TokenCache<K, T> = Cache<K, T, BuildHasherDefault<DigestHasher>>;

/// A bounded cache. When full, it evicts with the CLOCK (second-chance) algorithm.
pub(crate) struct Cache<K, T, S = RandomState> {
    slots: HashMap<K, usize, S>,
    entries: Vec<Entry<K, T>>,
    hand: usize,
    capacity: usize,
}

struct Entry<K, T> {
    key: K,
    /// `None` once it was removed; the slot is reused when the hand reaches it.
    value: Option<T>,
    referenced: bool,
}

impl<K: Hash + Eq + Clone, T: Clone, S: BuildHasher + Default> Cache<K, T, S> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { slots: HashMap::default(), entries: Vec::new(), hand: 0, capacity: capacity.max(1) }
    }

    /// The value of a key.
    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<T>
    where
        K: Borrow<Q>,
    {
        let entry = &mut self.entries[*self.slots.get(key)?];
        entry.referenced = true;
        entry.value.clone()
    }

    /// Adds or replaces an entry.
    pub(crate) fn insert(&mut self, key: K, value: T) {
        let entry = Entry { key: key.clone(), value: Some(value), referenced: false };
        if let Some(&place) = self.slots.get(&key) {
            self.entries[place] = entry;
            return;
        }
        let place = if self.entries.len() < self.capacity {
            self.entries.push(entry);
            self.entries.len() - 1
        } else {
            let place = self.free_place();
            let gone = std::mem::replace(&mut self.entries[place], entry);
            // The removed key may have been inserted again in another slot.
            if self.slots.get(&gone.key) == Some(&place) {
                self.slots.remove(&gone.key);
            }
            place
        };
        self.slots.insert(key, place);
    }

    /// Removes the entry of a key.
    pub(crate) fn forget<Q: Hash + Eq + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        if let Some(place) = self.slots.remove(key) {
            let entry = &mut self.entries[place];
            entry.value = None;
            entry.referenced = false;
        }
    }

    /// Removes everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.capacity);
    }

    fn free_place(&mut self) -> usize {
        loop {
            let place = self.hand;
            self.hand = (self.hand + 1) % self.entries.len();
            if !std::mem::take(&mut self.entries[place].referenced) {
                return place;
            }
        }
    }
}

/// Digests are evenly distributed already: eight bytes of one serve as its hash. A client cannot choose them for a
/// token that is found valid.
#[derive(Default)]
pub(crate) struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // The slice's length comes first; the digest itself comes last and counts.
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gateway::models::values::digest::Sha256Digest;

    fn digest(n: u32) -> Sha256Digest {
        Sha256Digest::of(&n.to_le_bytes())
    }

    #[test]
    fn it_is_bounded_and_keeps_entries_that_are_used() {
        let mut cache: TokenCache<Sha256Digest, u32> = TokenCache::new(8);
        (0..8).for_each(|n| cache.insert(digest(n), n));
        for n in 100..200 {
            assert_eq!(cache.get(&digest(3)), Some(3), "after {n}");
            cache.insert(digest(n), n);
            assert_eq!((cache.entries.len(), cache.slots.len()), (8, 8));
        }
        assert_eq!(cache.get(&digest(0)), None);
        assert_eq!(cache.get(&digest(199)), Some(199));
    }

    #[test]
    fn a_removed_entry_is_gone_and_its_slot_is_reused() {
        let mut cache: TokenCache<Sha256Digest, u32> = TokenCache::new(2);
        cache.insert(digest(1), 1);
        cache.insert(digest(2), 2);
        cache.get(&digest(1));
        cache.get(&digest(2));
        cache.forget(&digest(1));
        assert_eq!(cache.get(&digest(1)), None);
        cache.insert(digest(3), 3);
        assert_eq!((cache.get(&digest(2)), cache.get(&digest(3))), (Some(2), Some(3)));
        cache.insert(digest(3), 4);
        assert_eq!(cache.get(&digest(3)), Some(4));
        cache.forget(&digest(3));
        cache.insert(digest(3), 5);
        cache.insert(digest(5), 5);
        assert_eq!(cache.slots.len(), cache.entries.iter().filter(|entry| entry.value.is_some()).count());
        cache.clear();
        assert_eq!(cache.get(&digest(3)), None);
    }

    #[test]
    fn digests_are_distinguished() {
        let hasher = BuildHasherDefault::<DigestHasher>::default();
        assert_ne!(hasher.hash_one(digest(1)), hasher.hash_one(digest(2)));
    }
}
