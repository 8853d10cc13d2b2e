//! The error of clients that made too many attempts.

use chrono::TimeDelta;
use thiserror::Error;

/// Too many failures: how long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("too many attempts")]
pub struct TooManyAttempts {
    /// From now on.
    pub wait: TimeDelta,
}
