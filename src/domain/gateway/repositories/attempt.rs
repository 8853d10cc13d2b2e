//! The store of attempts to sign in with a password.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::RepositoryError;
use crate::domain::gateway::models::attempt::{Admission, Counted};

/// Reads the time.
pub type Now<'n> = &'n (dyn Fn() -> DateTime<Utc> + Send + Sync);

/// Counts failures, over all replicas. Times are kept to the microsecond.
#[async_trait]
pub trait AttemptRepository: Send + Sync {
    /// Judges an attempt and stores what changed, as [`judge`](crate::domain::gateway::models::attempt::judge) says. What it
    /// is counted for is locked first, and only then is the time read: attempts at once are judged one after the other, and
    /// one that had to wait for its turn is not early. No more are admitted than the delays allow.
    async fn admit(&self, counted: &[Counted], now: Now<'_>) -> Result<Admission, RepositoryError>;

    /// Takes back what an attempt counted: the failure was none. What others have counted meanwhile stays.
    async fn forgive(&self, counted: &Counted) -> Result<(), RepositoryError>;

    /// Forgets every failure.
    async fn reset(&self, counted: &Counted) -> Result<(), RepositoryError>;

    /// Forgets failures that do not matter any more; says of how many.
    async fn forget_expired(&self, now: DateTime<Utc>) -> Result<u64, RepositoryError>;
}
