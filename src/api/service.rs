//! `GET /services…`: the services and their instances, for callers with the scope and for operators.

use std::sync::{Arc, OnceLock};

use poem_openapi::{OpenApi, param::Path, payload::Json};

use super::{
    Tag,
    shared::{extract::BearerToken, problems::problems},
};
use crate::{
    domain::gateway::{
        controllers::service::ServiceController,
        schemas::service::{ServiceDocument, Services},
    },
    problem::Problem,
};

problems! {
    /// Problems of `GET /services`.
    ListProblems: 401, 403, 500, 503;
    /// Problems of `GET /services/{name}`.
    ShowProblems: 401, 403, 404, 500, 503;
    /// Problems of `GET /services` for operators.
    OperatorListProblems: 500, 503;
    /// Problems of `GET /services/{name}` for operators.
    OperatorShowProblems: 404, 500, 503;
}

#[derive(Clone)]
pub(super) struct ServiceApi {
    services: ServiceController,
}

impl ServiceApi {
    pub(super) fn new(services: ServiceController) -> Self {
        Self { services }
    }
}

#[OpenApi(prefix_path = "/services", tag = "Tag::Services")]
impl ServiceApi {
    /// List the services
    ///
    /// Returns every service with its instances: where each was found, and its state at this gateway. Operators get the same
    /// without a token at `GET /services` on `ADMIN_ADDR`.
    ///
    /// Allowed for a token with the scope `services:read`.
    #[oai(path = "/", method = "get", operation_id = "list_services")]
    async fn list(&self, caller: BearerToken) -> Result<Json<Services>, ListProblems> {
        Ok(Json(self.services.list(&caller.0).await?))
    }

    /// Get a service
    ///
    /// Returns the service with its instances.
    ///
    /// Allowed for a token with the scope `services:read`.
    #[oai(path = "/:name", method = "get", operation_id = "get_service")]
    async fn show(
        &self,
        caller: BearerToken,
        /// Name of the service.
        name: Path<String>,
    ) -> Result<Json<ServiceDocument>, ShowProblems> {
        Ok(Json(self.services.show(&caller.0, &name.0).await?))
    }
}

/// The list of services, once the gateway has started: the listener for operators responds earlier.
#[derive(Clone, Default)]
pub struct LateServices(Arc<OnceLock<ServiceController>>);

impl LateServices {
    /// The gateway has started. Called once.
    pub fn complete(&self, services: ServiceController) {
        let _ = self.0.set(services);
    }

    fn get(&self) -> Result<&ServiceController, Problem> {
        self.0.get().ok_or_else(|| Problem { detail: "the gateway is still starting".into(), ..Problem::unavailable() })
    }
}

#[derive(Clone)]
pub(super) struct OperatorServiceApi {
    services: LateServices,
}

impl OperatorServiceApi {
    pub(super) fn new(services: LateServices) -> Self {
        Self { services }
    }
}

#[OpenApi(prefix_path = "/services", tag = "Tag::Services")]
impl OperatorServiceApi {
    /// List the services
    #[oai(path = "/", method = "get", operation_id = "list_services")]
    async fn list(&self) -> Result<Json<Services>, OperatorListProblems> {
        Ok(Json(self.services.get()?.list_for_operator().await?))
    }

    /// Get a service
    #[oai(path = "/:name", method = "get", operation_id = "get_service")]
    async fn show(
        &self,
        /// Name of the service.
        name: Path<String>,
    ) -> Result<Json<ServiceDocument>, OperatorShowProblems> {
        Ok(Json(self.services.get()?.show_to_operator(&name.0).await?))
    }
}
