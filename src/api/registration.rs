//! `/services/{name}/instances…`: instances that register themselves.

use poem::Request;
use poem_openapi::{OpenApi, param::Path, payload::Json};

use super::{
    RequestContext, Tag,
    shared::{
        extract::{BearerToken, JsonBody},
        problems::problems,
    },
};
use crate::domain::gateway::{
    controllers::registration::RegistrationController,
    schemas::registration::{InstanceDeregistered, InstanceLease, InstanceRegistered, RegisterInstance},
};

problems! {
    /// Problems of `POST /services/{name}/instances`.
    RegisterProblems: 400, 401, 403, 404, 409, 413, 415, 422, 500, 503;
    /// Problems of `PUT /services/{name}/instances/{id}` and `DELETE`.
    InstanceProblems: 401, 403, 404, 500, 503;
}

#[derive(Clone)]
pub(super) struct RegistrationApi {
    registrations: RegistrationController,
}

impl RegistrationApi {
    pub(super) fn new(registrations: RegistrationController) -> Self {
        Self { registrations }
    }
}

#[OpenApi(tag = "Tag::Services")]
impl RegistrationApi {
    /// Register an instance
    ///
    /// Adds an instance to a service under a lease. Every gateway on the same store sends it requests within a second, at
    /// `/api/<name>/…` or by the routes of the service. The settings need not know the service. If they do, its instances are
    /// merged.
    ///
    /// - `url` must have an IP address in one of the networks of `SERVICE_CIDRS`, by default the private and loopback ones.
    ///   Link-local addresses and metadata services of clouds are never accepted.
    /// - `port` instead of `url` registers the address that the request came from.
    /// - Send heartbeats with `PUT /services/{name}/instances/{id}`. Without any, the lease ends after `ttl_seconds`, and the
    ///   instance gets no more requests.
    /// - The same URL registered again is the same instance: it keeps its id, its weight and TTL are replaced, and its lease
    ///   begins anew (200 instead of 201).
    /// - Returns 409 `too_many_instances` beyond 1000 registered instances of a service, 1000 services or 10000 instances.
    ///
    /// Allowed for a token with the scope `services:register`.
    #[oai(path = "/services/:name/instances", method = "post", operation_id = "register_instance")]
    async fn register(
        &self,
        request: &Request,
        caller: BearerToken,
        /// Name of the service.
        name: Path<String>,
        body: JsonBody<RegisterInstance>,
    ) -> Result<InstanceRegistered, RegisterProblems> {
        let context = RequestContext::of(request);
        let registered =
            self.registrations.register(&caller.0, &name.0, body.0, context.client, &context.prefix).await?;
        Ok(registered)
    }

    /// Send a heartbeat
    ///
    /// Begins the lease of the instance anew. Returns 404 `instance_not_registered` if it has ended: register again then.
    ///
    /// Allowed for a token with the scope `services:register`.
    #[oai(path = "/services/:name/instances/:id", method = "put", operation_id = "renew_instance")]
    async fn renew(
        &self,
        caller: BearerToken,
        /// Name of the service.
        name: Path<String>,
        /// Id of the instance.
        id: Path<String>,
    ) -> Result<Json<InstanceLease>, InstanceProblems> {
        Ok(Json(self.registrations.renew(&caller.0, &name.0, &id.0).await?))
    }

    /// Deregister an instance
    ///
    /// The instance gets no new requests; those in flight may finish. Returns 204 whether or not it was registered.
    ///
    /// Allowed for a token with the scope `services:register`.
    #[oai(path = "/services/:name/instances/:id", method = "delete", operation_id = "deregister_instance")]
    async fn deregister(
        &self,
        caller: BearerToken,
        /// Name of the service.
        name: Path<String>,
        /// Id of the instance.
        id: Path<String>,
    ) -> Result<InstanceDeregistered, InstanceProblems> {
        Ok(self.registrations.deregister(&caller.0, &name.0, &id.0).await?)
    }
}
