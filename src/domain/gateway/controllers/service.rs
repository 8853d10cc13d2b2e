//! The list of services: schema → service → schema.

use std::sync::Arc;

use chrono_tz::Tz;
use http::StatusCode;

use super::caller::{Credentials, of_bearer};
use crate::{
    domain::gateway::{
        models::{
            access::{Accepted, Denied},
            service::ServiceName,
            values::identity::Identity,
        },
        schemas::service::{InstanceDocument, ServiceDocument, Services},
        services::{
            service::{InstanceView, ServiceDirectory, ServiceView, Viewer},
            token::TokenService,
        },
    },
    problem::Problem,
};

/// The endpoints that list services.
#[derive(Clone)]
pub struct ServiceController {
    directory: Arc<ServiceDirectory>,
    tokens: Arc<TokenService>,
    timezone: Tz,
}

impl ServiceController {
    /// Times are written with the offset of `timezone`.
    pub fn new(directory: Arc<ServiceDirectory>, tokens: Arc<TokenService>, timezone: Tz) -> Self {
        Self { directory, tokens, timezone }
    }

    /// `GET /services`
    pub async fn list(&self, credentials: &Credentials) -> Result<Services, Problem> {
        self.listed(&self.viewer(credentials).await?).await
    }

    /// `GET /services/{name}`
    pub async fn show(&self, credentials: &Credentials, name: &str) -> Result<ServiceDocument, Problem> {
        self.shown(&self.viewer(credentials).await?, name).await
    }

    /// `GET /services` at the listener for operators
    pub async fn list_for_operator(&self) -> Result<Services, Problem> {
        self.listed(&Viewer::Operator).await
    }

    /// `GET /services/{name}` at the listener for operators
    pub async fn show_to_operator(&self, name: &str) -> Result<ServiceDocument, Problem> {
        self.shown(&Viewer::Operator, name).await
    }

    async fn viewer(&self, credentials: &Credentials) -> Result<Viewer, Problem> {
        Ok(Viewer::Caller(Box::new(holder(&self.tokens, credentials).await?)))
    }

    async fn listed(&self, viewer: &Viewer) -> Result<Services, Problem> {
        let services = self.directory.list(viewer).await.map_err(Problem::denied)?;
        Ok(Services { services: services.into_iter().map(|service| self.document(service)).collect() })
    }

    async fn shown(&self, viewer: &Viewer, name: &str) -> Result<ServiceDocument, Problem> {
        let unknown = || {
            Problem::new(
                StatusCode::NOT_FOUND,
                "service_not_found",
                "there is no service of this name; GET /services lists all",
            )
        };
        // An invalid name names no service.
        let service = match name.parse::<ServiceName>() {
            Ok(name) => self.directory.find(viewer, &name).await.map_err(Problem::denied)?,
            Err(_) => None,
        };
        service.map(|service| self.document(service)).ok_or_else(unknown)
    }

    fn document(&self, service: ServiceView) -> ServiceDocument {
        let ServiceView { name, circuit, instances, names } = service;
        let document = |view: InstanceView| {
            InstanceDocument::from_model(&view.instance, view.registered.as_ref(), view.state, self.timezone)
        };
        let names = names.into_iter().map(|state| (state.name, state.trouble));
        ServiceDocument::new(&name, circuit, instances.into_iter().map(document).collect(), names)
    }
}

/// The holder of the bearer token. A session is not accepted: it has no scope.
pub(super) async fn holder(tokens: &TokenService, credentials: &Credentials) -> Result<Identity, Problem> {
    match &credentials.bearer {
        Some(bearer) => of_bearer(tokens, bearer).await,
        None => Err(Problem::denied(Denied::CredentialMissing(Accepted::Token))),
    }
}
