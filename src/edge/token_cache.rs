//! Remembers on one core which tokens were found good, so that a signature is checked once. It holds identities alone, keyed
//! by the digest of the whole token, and is bounded; only successes come in, so invalid tokens cannot push others out.
//! Whether a remembered token still counts is judged anew on every request, by whoever asks.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use crate::domain::gateway::models::token::TokenDigest;

/// How many tokens a core remembers. A few hundred bytes each: some megabytes when full.
pub(super) const CAPACITY: usize = 16 * 1024;

/// See the module. When it is full, whoever was not asked for since the hand last came by has to go (second chance).
pub(super) struct TokenCache<T> {
    places: HashMap<TokenDigest, usize, BuildHasherDefault<DigestHasher>>,
    entries: Vec<Entry<T>>,
    hand: usize,
    capacity: usize,
}

struct Entry<T> {
    digest: TokenDigest,
    /// `None` once it was forgotten; the place is used again in its turn.
    value: Option<T>,
    asked_for: bool,
}

impl<T: Clone> TokenCache<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { places: HashMap::default(), entries: Vec::new(), hand: 0, capacity: capacity.max(1) }
    }

    /// What is remembered of a token.
    pub(super) fn get(&mut self, digest: &TokenDigest) -> Option<T> {
        let entry = &mut self.entries[*self.places.get(digest)?];
        entry.asked_for = true;
        entry.value.clone()
    }

    /// Remembers a token.
    pub(super) fn insert(&mut self, digest: TokenDigest, value: T) {
        let entry = Entry { digest, value: Some(value), asked_for: false };
        if let Some(&place) = self.places.get(&digest) {
            self.entries[place] = entry;
            return;
        }
        let place = if self.entries.len() < self.capacity {
            self.entries.push(entry);
            self.entries.len() - 1
        } else {
            let place = self.free_place();
            let gone = std::mem::replace(&mut self.entries[place], entry);
            // A token that was forgotten may have come back to another place.
            if self.places.get(&gone.digest) == Some(&place) {
                self.places.remove(&gone.digest);
            }
            place
        };
        self.places.insert(digest, place);
    }

    /// Forgets a token.
    pub(super) fn forget(&mut self, digest: &TokenDigest) {
        if let Some(place) = self.places.remove(digest) {
            let entry = &mut self.entries[place];
            entry.value = None;
            entry.asked_for = false;
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.capacity);
    }

    fn free_place(&mut self) -> usize {
        loop {
            let place = self.hand;
            self.hand = (self.hand + 1) % self.entries.len();
            if !std::mem::take(&mut self.entries[place].asked_for) {
                return place;
            }
        }
    }
}

/// A digest is spread evenly already: eight bytes of it are a hash. Nobody can choose them for a token that is found good.
#[derive(Default)]
struct DigestHasher(u64);

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

    fn digest(n: u32) -> TokenDigest {
        TokenDigest::of(&n.to_le_bytes())
    }

    #[test]
    fn it_is_bounded_and_keeps_who_is_asked_for() {
        let mut cache = TokenCache::new(8);
        (0..8).for_each(|n| cache.insert(digest(n), n));
        for n in 100..200 {
            assert_eq!(cache.get(&digest(3)), Some(3), "after {n}");
            cache.insert(digest(n), n);
            assert_eq!((cache.entries.len(), cache.places.len()), (8, 8));
        }
        assert_eq!(cache.get(&digest(0)), None);
        assert_eq!(cache.get(&digest(199)), Some(199));
    }

    #[test]
    fn what_is_forgotten_is_gone_and_its_place_used_again() {
        let mut cache = TokenCache::new(2);
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
        assert_eq!(cache.places.len(), cache.entries.iter().filter(|entry| entry.value.is_some()).count());
        cache.clear();
        assert_eq!(cache.get(&digest(3)), None);
    }

    #[test]
    fn digests_are_told_apart() {
        use std::hash::BuildHasher;
        let hasher = BuildHasherDefault::<DigestHasher>::default();
        assert_ne!(hasher.hash_one(digest(1)), hasher.hash_one(digest(2)));
    }
}
