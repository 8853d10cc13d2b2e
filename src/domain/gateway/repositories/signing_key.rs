//! The store of signing keys.

use async_trait::async_trait;

use super::RepositoryError;
use crate::domain::gateway::models::signing_key::SigningKey;

/// Stores signing keys. There are never more than a handful.
#[async_trait]
pub trait SigningKeyRepository: Send + Sync {
    /// Every key, sorted by algorithm and generation.
    async fn list(&self) -> Result<Vec<SigningKey>, RepositoryError>;

    /// Stores a key.
    ///
    /// # Errors
    /// `Conflict`: `Id` if its `kid` is taken, `Generation` if its generation of the same algorithm is: another replica was
    /// faster.
    async fn add(&self, key: &SigningKey) -> Result<(), RepositoryError>;

    /// Stores a key and deletes all others, at once: a reader sees either the others or this one. Returns how
    /// many were deleted.
    ///
    /// # Errors
    /// `Conflict`, and nothing is deleted, if another key of its generation is stored meanwhile.
    async fn replace_all(&self, key: &SigningKey) -> Result<u64, RepositoryError>;

    /// Replaces the sealed private key `read`. `false`, and nothing changes, if `read` is not what is stored (any
    /// more).
    async fn reseal(&self, kid: &str, read: &[u8], resealed: &[u8]) -> Result<bool, RepositoryError>;

    /// Deletes a key; deleting an unknown one changes nothing.
    async fn remove(&self, kid: &str) -> Result<(), RepositoryError>;
}
