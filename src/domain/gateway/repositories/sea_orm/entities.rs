//! The rows as SeaORM sees them, and their conversion to models: an invalid row is `Corrupt`.
#![expect(unreachable_pub, reason = "SeaORM's derives make their items pub")]

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;

use crate::domain::gateway::{models::values::digest::Sha256Digest, repositories::RepositoryError};

pub mod account_endings;
pub mod account_identities;
pub mod accounts;
pub mod clients;
pub mod grants;
pub mod login_attempts;
pub mod notices;
pub mod password_logins;
pub mod redeemed_assertions;
pub mod redeemed_logins;
pub mod registration_generation;
pub mod registrations;
pub mod sessions;
pub mod signing_keys;
pub mod tokens;

/// Microseconds since 1970, as `migration` explains.
pub(super) fn micros(time: DateTime<Utc>) -> i64 {
    time.timestamp_micros()
}

pub(super) fn time(micros: i64) -> Result<DateTime<Utc>, RepositoryError> {
    DateTime::from_timestamp_micros(micros).ok_or_else(|| corrupt("a time"))
}

pub(super) fn digest(bytes: Vec<u8>) -> Result<Sha256Digest, RepositoryError> {
    <[u8; 32]>::try_from(bytes).map(Sha256Digest::from).map_err(|_| corrupt("a digest"))
}

/// JSON is stored as text, as `migration` explains.
fn from_json<T: DeserializeOwned>(text: &str, what: &str) -> Result<T, RepositoryError> {
    serde_json::from_str(text).map_err(|_| corrupt(what))
}

pub(super) fn corrupt(what: &str) -> RepositoryError {
    RepositoryError::Corrupt(what.to_owned())
}
