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
    /// Ready to serve.
    #[oai(status = 200)]
    Ok(Json<Health>),
    /// Running, but better not sent any requests for now; `checks` says why.
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
    /// Is it running?
    ///
    /// Restart the process if this does not answer.
    #[oai(path = "/livez", method = "get", operation_id = "livez")]
    async fn livez(&self) -> Json<Health> {
        Json(Health::of(Vec::new()))
    }

    /// Is it ready?
    ///
    /// Send it no requests while this answers 503: the store cannot be reached, or revocations of other replicas do not
    /// arrive.
    #[oai(path = "/readyz", method = "get", operation_id = "readyz")]
    async fn readyz(&self) -> Ready {
        let health = Health::of(self.readiness.check().await);
        if health.is_ok() { Ready::Ok(Json(health)) } else { Ready::Unavailable(Json(health)) }
    }
}
