//! Ports to the store, named after their promises: the write is the check. Each has an adapter in memory and one over
//! SeaORM (SQLite, PostgreSQL), that of sessions also one over Redis, and one contract suite runs over all of them.

use chrono::{DateTime, SubsecRound, Utc};
use thiserror::Error;

pub mod account;
pub mod availability;
pub mod client;
pub mod login;
pub mod memory;
pub mod notice;
pub mod oauth;
pub mod rate_limit;
pub mod redis;
pub mod registration;
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
    /// The write would have broken this constraint. Nothing was written.
    #[error("a constraint of the store is violated: {0}")]
    Conflict(Constraint),
    /// The store cannot be reached or does not respond. The text is for the log, never for a caller.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The stored data cannot be read back as what was stored.
    #[error("the store contains unreadable data: {0}")]
    Corrupt(String),
    /// This version of the gateway cannot work with the store's tables.
    #[error("{0}")]
    Misfit(String),
}

/// A constraint that every store enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Constraint {
    /// Another entry has the id or the digest.
    #[error("the id is taken")]
    Id,
    /// The account must exist.
    #[error("the account does not exist")]
    Account,
    /// An identity at a provider belongs to one account, and a grant to an identity of its account.
    #[error("the identity does not belong to the account")]
    Identity,
    /// An account has one password login.
    #[error("the account already has a password login")]
    Login,
    /// Another password login has the e-mail.
    #[error("the e-mail is taken")]
    Email,
    /// Another client has the name.
    #[error("the name is taken")]
    Name,
    /// Another signing key of the algorithm has the generation.
    #[error("the generation is taken")]
    Generation,
}

/// Truncates a time to the precision of every store: the microsecond.
fn truncate_to_micros(time: DateTime<Utc>) -> DateTime<Utc> {
    time.trunc_subsecs(6)
}
