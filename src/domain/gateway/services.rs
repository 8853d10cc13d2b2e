//! Use cases: one method each. They take and return models, reach the world through ports, and own no HTTP and no SQL.

pub mod account;
pub mod assertion;
pub mod client;
pub mod container;
pub mod discovery;
mod last_known;
pub mod login;
pub mod notice;
pub mod oauth;
pub mod ports;
pub mod provider;
pub mod registration;
pub mod resealing;
pub mod revocation;
pub mod service;
pub mod session;
pub mod signing_key;
pub mod throttle;
pub mod token;

#[cfg(test)]
pub(crate) mod testing;

use thiserror::Error;

use self::{ports::HashingError, signing_key::SigningKeyError};
use super::repositories::RepositoryError;

/// A failure that is not the caller's fault. The texts are for the log, never for a caller.
#[derive(Debug, Error)]
pub enum Failure {
    /// A dependency cannot be reached for now: worth another try.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// Too many requests at once: worth another try.
    #[error("overloaded: {0}")]
    Overloaded(String),
    /// Something is broken: another try would fail as well.
    #[error("broken: {0}")]
    Broken(String),
}

impl From<RepositoryError> for Failure {
    fn from(error: RepositoryError) -> Self {
        match error {
            RepositoryError::Unavailable(_) => Self::Unavailable(error.to_string()),
            RepositoryError::Conflict(_) | RepositoryError::Corrupt(_) | RepositoryError::Misfit(_) => {
                Self::Broken(error.to_string())
            }
        }
    }
}

impl From<SigningKeyError> for Failure {
    fn from(error: SigningKeyError) -> Self {
        match error {
            SigningKeyError::Store(error) => error.into(),
            SigningKeyError::NoneInForce => Self::Unavailable(error.to_string()),
            SigningKeyError::Key(_) | SigningKeyError::Sealed { .. } => Self::Broken(error.to_string()),
        }
    }
}

impl From<HashingError> for Failure {
    fn from(error: HashingError) -> Self {
        match error {
            HashingError::Overloaded => Self::Overloaded(error.to_string()),
            HashingError::Broken(_) => Self::Broken(error.to_string()),
        }
    }
}
