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

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use tracing::error;

use super::{models::values::pace::Pace, services::Failure};
use crate::problem::Problem;

/// The lines about stores that are away: one for many calls.
static UNAVAILABLE: Mutex<Pace> = Mutex::new(Pace::NEW);

/// Logs an internal failure, and returns the part of it that a caller may know.
fn failed(failure: &Failure) -> Problem {
    match failure {
        Failure::Unavailable(_) => {
            let mut lines = UNAVAILABLE.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(calls) = lines.due(Instant::now()) {
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
