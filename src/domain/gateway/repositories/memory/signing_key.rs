//! Signing keys in memory.

use std::sync::Mutex;

use async_trait::async_trait;

use super::lock;
use crate::domain::gateway::{
    models::signing_key::SigningKey,
    repositories::{Constraint, RepositoryError, signing_key::SigningKeyRepository, truncate_to_micros},
};

/// Signing keys in memory.
#[derive(Debug, Default)]
pub struct MemorySigningKeys(Mutex<Vec<SigningKey>>);

#[async_trait]
impl SigningKeyRepository for MemorySigningKeys {
    async fn list(&self) -> Result<Vec<SigningKey>, RepositoryError> {
        let mut keys = lock(&self.0).clone();
        keys.sort_by_key(|key| (key.algorithm, key.generation));
        Ok(keys)
    }

    async fn add(&self, key: &SigningKey) -> Result<(), RepositoryError> {
        let mut keys = lock(&self.0);
        if keys.iter().any(|known| known.kid == key.kid) {
            return Err(RepositoryError::Conflict(Constraint::Id));
        }
        if keys.iter().any(|known| (known.algorithm, known.generation) == (key.algorithm, key.generation)) {
            return Err(RepositoryError::Conflict(Constraint::Generation));
        }
        keys.push(stored(key));
        Ok(())
    }

    async fn replace_all(&self, key: &SigningKey) -> Result<u64, RepositoryError> {
        let others = std::mem::replace(&mut *lock(&self.0), vec![stored(key)]);
        Ok(u64::try_from(others.len()).unwrap_or(u64::MAX))
    }

    async fn reseal(&self, kid: &str, read: &[u8], resealed: &[u8]) -> Result<bool, RepositoryError> {
        let mut keys = lock(&self.0);
        let Some(key) = keys.iter_mut().find(|key| key.kid == kid && key.sealed_private_key == read) else {
            return Ok(false);
        };
        key.sealed_private_key = resealed.to_vec();
        Ok(true)
    }

    async fn remove(&self, kid: &str) -> Result<(), RepositoryError> {
        lock(&self.0).retain(|key| key.kid != kid);
        Ok(())
    }
}

/// The key with the precision that it is stored with.
fn stored(key: &SigningKey) -> SigningKey {
    SigningKey {
        created_at: truncate_to_micros(key.created_at),
        signs_from: truncate_to_micros(key.signs_from),
        ..key.clone()
    }
}
