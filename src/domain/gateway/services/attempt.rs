//! Attempts that are counted: what is said to those that made too many.

use chrono::TimeDelta;
use thiserror::Error;

/// It failed too often: how long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("there were too many attempts")]
pub struct TooManyAttempts {
    /// From now on.
    pub wait: TimeDelta,
}
