//! `GET /livez` and `GET /readyz`: liveness and readiness.

use std::sync::Arc;

use poem_openapi::{ApiResponse, OpenApi, param::Query, payload::Json};

use super::Tag;
use crate::domain::gateway::schemas::health::{Health, HealthCheck};

/// Knows everything that a ready gateway needs.
pub trait Readiness: Send + Sync {
    /// The state of all that, without waiting for anything.
    fn check(&self) -> Vec<HealthCheck>;
}

#[derive(Clone)]
pub(super) struct HealthApi {
    readiness: Arc<dyn Readiness>,
}

#[derive(ApiResponse)]
enum Ready {
    /// The gateway is ready to serve. If `status` is `degraded`, `checks` gives the reason.
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
    /// Returns 503 while the gateway is starting, looks up the names of services for the first time, or is about to
    /// stop: send it no requests then. A store that cannot be reached is missing to all gateways, and callers with a
    /// token are served without it: the response is 200 then, with the status `degraded`.
    #[oai(path = "/readyz", method = "get", operation_id = "readyz")]
    async fn readyz(
        &self,
        /// With `1`, the response is 503 also while the status is `degraded`: for alarms, not for balancers.
        Query(strict): Query<Option<String>>,
    ) -> Ready {
        let health = Health::of(self.readiness.check());
        let is_strict = strict.is_some_and(|strict| !matches!(&*strict, "0" | "false"));
        if health.is_ready(is_strict) { Ready::Ok(Json(health)) } else { Ready::Unavailable(Json(health)) }
    }
}
