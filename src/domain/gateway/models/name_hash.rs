//! A hash of names that come from the configuration. It is quick, and nobody outside can choose what is hashed into a table,
//! so that nobody can make a table slow; what is looked up may come from anybody.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// A table of such names.
pub type NameMap<K, V> = HashMap<K, V, BuildHasherDefault<NameHasher>>;

/// See the module.
#[derive(Debug, Clone, Copy, Default)]
pub struct NameHasher(u64);

/// Odd, and without a pattern in its bits: the digits of the golden ratio.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

impl NameHasher {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    }
}

impl Hasher for NameHasher {
    fn finish(&self) -> u64 {
        // The upper bits depend on all of the name; a table looks at both ends.
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.add(u64::from_le_bytes(*word));
        }
        self.add(rest.iter().fold(bytes.len() as u64, |word, &byte| word << 8 | u64::from(byte)));
    }

    fn write_u8(&mut self, byte: u8) {
        self.add(byte.into());
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, hash::BuildHasher};

    use super::*;

    #[test]
    fn names_are_spread() {
        let hash = |name: &str| BuildHasherDefault::<NameHasher>::default().hash_one(name);
        let hashes: HashSet<u64> = (0..10_000).map(|n| hash(&format!("/api/route-{n}/below"))).collect();
        assert_eq!(hashes.len(), 10_000);
        // What a table chooses a place by, and what it compares first.
        assert!(hashes.iter().map(|hash| hash % 16_384).collect::<HashSet<_>>().len() > 6_000);
        assert_eq!(hashes.iter().map(|hash| hash >> 57).collect::<HashSet<_>>().len(), 128);
        assert_ne!(hash("a"), hash("a\0"));
    }
}
