//! The store of attempts to sign in with a password.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::RepositoryError;
use crate::domain::gateway::models::attempt::{Admission, Counted};

/// Counts failures, over all replicas. Times are kept to the microsecond.
#[async_trait]
pub trait AttemptRepository: Send + Sync {
    /// Lets an attempt go on unless any of `counted` has to wait; then it counts as one more failure of each of them, all or
    /// none. Of racing calls each counts: no more are admitted than the delays allow.
    async fn admit(&self, counted: &[Counted], now: DateTime<Utc>) -> Result<Admission, RepositoryError>;

    /// Takes back what an attempt counted: the failure was none. What others have counted meanwhile stays.
    async fn forgive(&self, counted: &Counted) -> Result<(), RepositoryError>;

    /// Forgets every failure.
    async fn reset(&self, counted: &Counted) -> Result<(), RepositoryError>;

    /// Forgets failures that do not matter any more; says of how many.
    async fn forget_expired(&self, now: DateTime<Utc>) -> Result<u64, RepositoryError>;
}
