//! The store of signing keys.

use async_trait::async_trait;

use super::RepositoryError;
use crate::domain::gateway::models::signing_key::SigningKey;

/// Keeps signing keys. There are never more than a handful.
#[async_trait]
pub trait SigningKeyRepository: Send + Sync {
    /// Every key, by algorithm and generation.
    async fn list(&self) -> Result<Vec<SigningKey>, RepositoryError>;

    /// Stores a key.
    ///
    /// # Errors
    /// `Conflict` if its `kid`, or its generation of the same algorithm, is taken: another replica was faster.
    async fn add(&self, key: &SigningKey) -> Result<(), RepositoryError>;

    /// Puts another sealed private key in place of the one that was read. `false`, and nothing changes, if that is not what is
    /// stored (any more).
    async fn reseal(&self, kid: &str, read: &[u8], resealed: &[u8]) -> Result<bool, RepositoryError>;

    /// Forgets a key; forgetting an unknown one changes nothing.
    async fn remove(&self, kid: &str) -> Result<(), RepositoryError>;
}
