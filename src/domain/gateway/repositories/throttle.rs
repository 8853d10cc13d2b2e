//! The store of password attempts.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::RepositoryError;
use crate::domain::gateway::models::throttle::{ThrottleDecision, ThrottleKey};

/// Reads the time.
pub type Now<'n> = &'n (dyn Fn() -> DateTime<Utc> + Send + Sync);

/// Counts failures, over all replicas. Times are stored to the microsecond.
#[async_trait]
pub trait ThrottleRepository: Send + Sync {
    /// Judges an attempt and stores the changes, by [`decide`](crate::domain::gateway::models::throttle::decide). The
    /// counters of the attempt are locked first, and only then is the time read: concurrent attempts are judged one
    /// after the other, and one that had to wait for the lock is not judged too early. No more attempts are admitted
    /// than the delays allow.
    async fn admit(&self, counted: &[ThrottleKey], now: Now<'_>) -> Result<ThrottleDecision, RepositoryError>;

    /// Takes back one count: the attempt was no failure. Counts of other attempts in the meantime stay.
    async fn forgive(&self, counted: &ThrottleKey) -> Result<(), RepositoryError>;

    /// Deletes all failures of a counter.
    async fn reset(&self, counted: &ThrottleKey) -> Result<(), RepositoryError>;

    /// Deletes failures that do not matter any more; returns how many.
    async fn purge_expired(&self, now: DateTime<Utc>) -> Result<u64, RepositoryError>;
}
