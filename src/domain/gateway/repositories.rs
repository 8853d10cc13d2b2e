//! Ports to the store, named after their promises: the write is the check. Each has an adapter in memory and one over
//! SeaORM (SQLite, PostgreSQL), that of sessions also one over Redis, and one contract suite runs over all of them.

use chrono::{DateTime, SubsecRound, Utc};
use thiserror::Error;

pub mod account;
pub mod client;
pub mod memory;
pub mod notice;
pub mod oauth;
pub mod redis;
pub mod sea_orm;
pub mod session;
pub mod signing_key;
pub mod throttle;
pub mod token;

#[cfg(test)]
mod contract;

/// The reason why a store operation failed.
#[derive(Debug, Error)]
pub enum RepositoryError {
    /// An entry with the same identity exists already.
    #[error("it exists already")]
    Conflict,
    /// The store cannot be reached or does not respond. The text is for the log, never for a caller.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The stored data cannot be read back as what was stored.
    #[error("the store holds something unreadable: {0}")]
    Corrupt(String),
}

/// Truncates a time to the precision of every store: the microsecond.
fn truncate_to_micros(time: DateTime<Utc>) -> DateTime<Utc> {
    time.trunc_subsecs(6)
}
