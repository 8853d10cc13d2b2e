//! Identifies validated tokens without storing them: SipHash-2-4 with 128 bits, under a key that each core draws for
//! itself and that never leaves it. Without the key, a token that is taken for another one cannot be made. That is all
//! that is needed here, at half the cost of SHA-256. Outside a core, a [`Sha256Digest`] is used.
//!
//! [`Sha256Digest`]: crate::domain::gateway::models::values::digest::Sha256Digest

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

/// Makes the fingerprints of one core.
pub(crate) struct TokenHasher(SipHasher24);

/// The fingerprint of a token on one core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TokenHash(u128);

impl TokenHasher {
    /// The `key` must be unpredictable.
    pub(crate) fn new(key: &[u8; 16]) -> Self {
        Self(SipHasher24::new_with_key(key))
    }

    /// The fingerprint of a token.
    pub(crate) fn of(&self, token: &[u8]) -> TokenHash {
        let mut hasher = self.0;
        hasher.write(token);
        TokenHash(hasher.finish128().as_u128())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_and_the_key_make_a_difference() {
        let prints = TokenHasher::new(&[7; 16]);
        let token: Vec<u8> = (0..100).collect();
        let print = prints.of(&token);
        assert_eq!(print, prints.of(&token), "the same again");
        for place in 0..token.len() {
            let mut other = token.clone();
            other[place] ^= 1;
            assert_ne!(print, prints.of(&other), "{place}");
            assert_ne!(print, prints.of(&token[..place]), "cut off at {place}");
        }
        assert_ne!(print, prints.of(&[&token[..], &[0]].concat()));
        assert_ne!(print, TokenHasher::new(&[8; 16]).of(&token), "another core's");
    }
}
