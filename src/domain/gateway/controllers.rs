//! Validates, calls one use case, and turns its outcome or its closed error into an answer or a problem.

pub mod account;
pub mod caller;
pub mod client;
pub mod login;
pub mod notice;
pub mod oauth;
mod provider;
pub mod session;
pub mod signing_key;
pub mod token;

use tracing::error;

use super::services::Failure;
use crate::problem::Problem;

/// Logs a failure that is not the caller's, and says as much of it as a caller may know.
fn failed(failure: &Failure) -> Problem {
    error!(%failure, "a call failed");
    match failure {
        Failure::Unavailable(_) => Problem::unavailable(),
        Failure::Overloaded(_) => Problem::overloaded(),
        Failure::Broken(_) => Problem::internal(),
    }
}
