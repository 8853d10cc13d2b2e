//! The store of finished sign-ins at providers. A pending one is not stored: it travels sealed in a cookie.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::RepositoryError;
use crate::domain::gateway::models::values::digest::Sha256Digest;

/// Stores the states of finished sign-ins. Times are stored to the microsecond.
#[async_trait]
pub trait LoginRepository: Send + Sync {
    /// Uses a sign-in's state up: `true` the first time, `false` ever after, until it is forgotten at `expires_at`. Of
    /// two racing calls one gets `true`.
    async fn redeem(&self, state: &Sha256Digest, expires_at: DateTime<Utc>) -> Result<bool, RepositoryError>;

    /// Deletes states that have expired by `now`; returns how many.
    async fn purge_expired(&self, now: DateTime<Utc>) -> Result<u64, RepositoryError>;
}
