//! Validates a request, calls one use case, and turns its result or its closed error into a response or a problem.

pub mod account;
pub mod caller;
pub mod client;
pub mod login;
pub mod notice;
pub mod oauth;
mod provider;
pub mod registration;
pub mod service;
pub mod session;
pub mod signing_key;
pub mod token;

use tracing::error;

use super::services::Failure;
use crate::problem::Problem;

/// Logs an internal failure, and returns the part of it that a caller may know.
fn failed(failure: &Failure) -> Problem {
    error!(%failure, "a call failed");
    match failure {
        Failure::Unavailable(_) => Problem::unavailable(),
        Failure::Overloaded(_) => Problem::overloaded(),
        Failure::Broken(_) => Problem::internal(),
    }
}
