//! Instances that register themselves: schema → service → schema.

use std::{net::IpAddr, sync::Arc};

use chrono_tz::Tz;
use http::StatusCode;

use super::{caller::Credentials, failed, service::holder};
use crate::{
    domain::gateway::{
        models::{
            registration::{InstanceAddress, RegistrationLimit, RegistrationRequest},
            service::{InvalidServiceName, ServiceName},
            values::id::RegistrationId,
        },
        schemas::{
            converted,
            registration::{InstanceDeregistered, InstanceLease, InstanceRegistered, RegisterInstance},
        },
        services::{
            registration::{DeregisterError, RegisterError, Registered, Registrations, RenewError},
            token::TokenService,
        },
    },
    problem::Problem,
};

/// The endpoints of registration.
#[derive(Clone)]
pub struct RegistrationController {
    registrations: Arc<Registrations>,
    tokens: Arc<TokenService>,
    timezone: Tz,
}

impl RegistrationController {
    /// Times are written with the offset of `timezone`.
    pub fn new(registrations: Arc<Registrations>, tokens: Arc<TokenService>, timezone: Tz) -> Self {
        Self { registrations, tokens, timezone }
    }

    /// `POST /services/{name}/instances`. `client` is the address that the request came from, and `prefix` what was
    /// removed from its path.
    pub async fn register(
        &self,
        credentials: &Credentials,
        name: &str,
        request: RegisterInstance,
        client: Option<IpAddr>,
        prefix: &str,
    ) -> Result<InstanceRegistered, Problem> {
        let caller = holder(&self.tokens, credentials).await?;
        let service: ServiceName = name.parse().map_err(|invalid: InvalidServiceName| {
            Problem::new(
                StatusCode::NOT_FOUND,
                "service_not_found",
                format!("there can be no service of this name: {invalid}"),
            )
        })?;
        let request: RegistrationRequest = converted(request)?;
        let is_of_caller = matches!(request.address, InstanceAddress::OfCaller { .. });
        let field = if is_of_caller { "port" } else { "url" };
        match self.registrations.register(&caller, &service, request, client).await {
            Ok(Registered::Added(registered)) => {
                let lease = InstanceLease::from_model(&registered, self.timezone);
                let location = format!("{prefix}/services/{service}/instances/{}", lease.id);
                Ok(InstanceRegistered::added(lease, location))
            }
            Ok(Registered::Extended(registered)) => {
                Ok(InstanceRegistered::extended(InstanceLease::from_model(&registered, self.timezone)))
            }
            Err(RegisterError::Denied(denied)) => Err(Problem::denied(denied)),
            Err(RegisterError::Reserved) => Err(Problem::invalid_field(
                "name",
                "reserved",
                "must not be the name of a service of the gateway itself",
            )),
            Err(RegisterError::UnknownCaller) => Err(Problem::invalid_field(
                "port",
                "unknown_address",
                "cannot be used, because the address of this request is not known; send `url`",
            )),
            Err(RegisterError::Url(invalid)) => Err(Problem::invalid_field(field, "url", invalid.to_string())),
            Err(RegisterError::Address(refusal)) => {
                let whose =
                    if is_of_caller { "is that of an instance at the address of this request, which " } else { "" };
                Err(Problem::invalid_field(field, "address", format!("{whose}{refusal}")))
            }
            Err(RegisterError::LimitReached(limit)) => Err(self.too_many(limit)),
            Err(RegisterError::Failed(failure)) => Err(failed(&failure)),
        }
    }

    /// `PUT /services/{name}/instances/{id}`
    pub async fn renew(&self, credentials: &Credentials, name: &str, id: &str) -> Result<InstanceLease, Problem> {
        let caller = holder(&self.tokens, credentials).await?;
        let (service, id) = registration(name, id)?;
        match self.registrations.renew(&caller, &service, id).await {
            Ok(registered) => Ok(InstanceLease::from_model(&registered, self.timezone)),
            Err(RenewError::Denied(denied)) => Err(Problem::denied(denied)),
            Err(RenewError::Gone) => Err(not_registered()),
            Err(RenewError::Failed(failure)) => Err(failed(&failure)),
        }
    }

    /// `DELETE /services/{name}/instances/{id}`
    pub async fn deregister(
        &self,
        credentials: &Credentials,
        name: &str,
        id: &str,
    ) -> Result<InstanceDeregistered, Problem> {
        let caller = holder(&self.tokens, credentials).await?;
        let (service, id) = registration(name, id)?;
        match self.registrations.deregister(&caller, &service, id).await {
            Ok(()) => Ok(InstanceDeregistered::Done),
            Err(DeregisterError::Denied(denied)) => Err(Problem::denied(denied)),
            Err(DeregisterError::Failed(failure)) => Err(failed(&failure)),
        }
    }

    fn too_many(&self, limit: RegistrationLimit) -> Problem {
        let limits = self.registrations.limits();
        let detail = match limit {
            RegistrationLimit::InstancesOfService => {
                format!("this service has {} registered instances, and may not have more", limits.instances_per_service)
            }
            RegistrationLimit::Services => {
                format!("{} services have registered instances, and no more may have any", limits.services)
            }
            RegistrationLimit::Instances => {
                format!("{} instances are registered, and no more may be", limits.instances)
            }
        };
        Problem::new(
            StatusCode::CONFLICT,
            "too_many_instances",
            format!("{detail}; deregister some, or let their leases end"),
        )
    }
}

/// An invalid name or id names no instance.
fn registration(name: &str, id: &str) -> Result<(ServiceName, RegistrationId), Problem> {
    let service = name.parse().map_err(|_| not_registered())?;
    Ok((service, id.parse().map_err(|_| not_registered())?))
}

fn not_registered() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "instance_not_registered",
        "the service has no registered instance with this id, or its lease has ended; register it again",
    )
}
