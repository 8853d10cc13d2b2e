//! Digests: the form in which a store holds a secret that it only has to recognise.

use sha2::{Digest, Sha256};

/// SHA-256 of an opaque token, a login state, a `jti`, an e-mail address. Enough to find the entry, useless to a thief of
/// the store as long as the text itself cannot be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sha256Digest([u8; 32]);

impl Sha256Digest {
    /// The digest of a text as it was presented.
    pub fn of(text: &[u8]) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// The digest as a store keeps it.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Sha256Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}
