//! `GET /livez` and `GET /readyz`: liveness and readiness.

use std::sync::Arc;

use async_trait::async_trait;
use poem_openapi::{ApiResponse, OpenApi, payload::Json};

use super::Tag;
use crate::domain::gateway::schemas::health::{Health, HealthCheck};

/// Checks everything that a ready gateway needs.
#[async_trait]
pub trait Readiness: Send + Sync {
    /// Runs the checks.
    async fn check(&self) -> Vec<HealthCheck>;
}

#[derive(Clone)]
pub(super) struct HealthApi {
    readiness: Arc<dyn Readiness>,
}

#[derive(ApiResponse)]
enum Ready {
    /// The gateway is ready to serve.
    #[oai(status = 200)]
    Ok(Json<Health>),
    /// The gateway runs but should receive no requests for now. `checks` gives the reason.
    #[oai(status = 503)]
    Unavailable(Json<Health>),
}

impl HealthApi {
    pub(super) fn new(readiness: Arc<dyn Readiness>) -> Self {
        Self { readiness }
    }
}

#[OpenApi(tag = "Tag::Health")]
#[expect(clippy::unused_async, reason = "poem-openapi wants async operations")]
impl HealthApi {
    /// Check liveness
    ///
    /// Returns 200 while the process runs. Restart the process if it does not respond.
    #[oai(path = "/livez", method = "get", operation_id = "livez")]
    async fn livez(&self) -> Json<Health> {
        Json(Health::of(Vec::new()))
    }

    /// Check readiness
    ///
    /// Returns 503 if the gateway is still starting or looks up the names of services for the first time, if it cannot
    /// reach its store, or if revocations of other replicas do not arrive. Send it no requests until it returns 200.
    #[oai(path = "/readyz", method = "get", operation_id = "readyz")]
    async fn readyz(&self) -> Ready {
        let health = Health::of(self.readiness.check().await);
        if health.is_ok() { Ready::Ok(Json(health)) } else { Ready::Unavailable(Json(health)) }
    }
}
