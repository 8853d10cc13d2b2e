//! Validates, calls one use case, and turns its outcome or its closed error into an answer or a problem.

pub mod oauth;
pub mod signing_key;
pub mod token;

use tracing::error;

use super::{
    models::identity::Identity,
    services::{Failure, token::TokenService},
};
use crate::problem::Problem;

/// Logs a failure that is not the caller's, and says as much of it as a caller may know.
fn failed(failure: &Failure) -> Problem {
    error!(%failure, "a call failed");
    match failure {
        Failure::Unavailable(_) => Problem::unavailable(),
        Failure::Broken(_) => Problem::internal(),
    }
}

/// Who calls, by the bearer token that was sent along, if any.
async fn caller(tokens: &TokenService, bearer: Option<String>) -> Result<Option<Identity>, Problem> {
    let Some(bearer) = bearer else { return Ok(None) };
    match tokens.authenticate(&bearer).await {
        Ok(Ok(identity)) => Ok(Some(identity)),
        Ok(Err(rejection)) => Err(Problem::invalid_token(rejection)),
        Err(failure) => Err(failed(&failure)),
    }
}
