//! The state of an instance, as this gateway sees it.

use chrono::{DateTime, Utc};

/// Whether an instance gets requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Health {
    /// Its checks succeed, or it responds as it should.
    Healthy,
    /// Its checks fail.
    Unhealthy,
    /// It failed requests, and gets none for a while.
    Ejected,
    /// It does not answer, and is tried again periodically.
    Unreachable,
    /// Nothing is known yet: it is not checked, and got no request.
    #[default]
    Unknown,
}

/// Whether a service with a breaker gets requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Circuit {
    /// It does.
    Closed,
    /// Too many have failed: it gets none for a while.
    Open,
    /// One request shows whether it works again.
    Trial,
}

/// The state of an instance, as this gateway sees it. Another gateway may see another one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceState {
    /// Whether it gets requests.
    pub health: Health,
    /// Its requests in flight.
    pub in_flight: u64,
    /// How often it was ejected.
    pub ejections: u64,
    /// The last error, for operators.
    pub last_error: Option<String>,
    /// When its health last changed.
    pub since: Option<DateTime<Utc>>,
}
