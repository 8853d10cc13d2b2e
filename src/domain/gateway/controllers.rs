//! Validates a request, calls one use case, and turns its result or its closed error into a response or a problem.

pub mod account;
pub mod caller;
pub mod client;
pub mod login;
pub mod notice;
pub mod oauth;
pub mod pace;
mod provider;
pub mod registration;
pub mod service;
pub mod session;
pub mod signing_key;
pub mod token;

use std::time::Instant;

use tracing::error;

use self::pace::Pace;
use super::services::Failure;
use crate::problem::Problem;

/// The lines about stores that are away: one for many calls.
static UNAVAILABLE: Pace = Pace::new();

/// Logs an internal failure, and returns the part of it that a caller may know.
fn failed(failure: &Failure) -> Problem {
    match failure {
        Failure::Unavailable(_) => {
            if let Some(calls) = UNAVAILABLE.due(Instant::now()) {
                error!(%failure, calls, "calls fail");
            }
        }
        Failure::Overloaded(_) | Failure::Broken(_) => error!(%failure, "a call failed"),
    }
    match failure {
        Failure::Unavailable(_) => Problem::unavailable(),
        Failure::Overloaded(_) => Problem::overloaded(),
        Failure::Broken(_) => Problem::internal(),
    }
}
