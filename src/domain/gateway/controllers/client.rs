//! Machine clients: form → service → document or error of RFC 6749 §5.2.

use std::sync::Arc;

use http::StatusCode;

use super::failed as problem_of;
use crate::domain::gateway::{
    models::client::{Client, PresentedClient, PresentedClientError},
    schemas::client::{ClientForm, ClientTokens, Introspection, OAuthError, PostedForm, ServerMetadata},
    services::{
        Failure,
        client::{AuthenticationError, ClientService, GrantError},
        token::{
            RefreshError,
            clients::{ClientRefreshError, ClientRevokeError},
        },
    },
};

/// A request of a client: its `Authorization` headers and its form. Nothing is verified yet.
pub struct ClientCall {
    /// Every `Authorization` header.
    pub authorization: Vec<String>,
    /// The form.
    pub form: PostedForm,
}

/// The endpoints of machine clients.
#[derive(Clone)]
pub struct ClientController {
    clients: Arc<ClientService>,
    metadata: ServerMetadata,
}

impl ClientController {
    /// `metadata` lists the endpoints.
    pub fn new(clients: Arc<ClientService>, metadata: ServerMetadata) -> Self {
        Self { clients, metadata }
    }

    /// `GET /.well-known/oauth-authorization-server`
    pub fn metadata(&self) -> ServerMetadata {
        self.metadata.clone()
    }

    /// `POST /oauth2/token`
    pub async fn token(&self, call: ClientCall) -> Result<ClientTokens, OAuthError> {
        let (client, mut form) = self.authenticate(call).await?;
        match form.require("grant_type")?.as_str() {
            "client_credentials" => {
                let (scope, resource) = (form.scope()?, form.take("resource"));
                match self.clients.grant(&client, scope, resource.as_deref()).await {
                    Ok(issued) => Ok(issued.into()),
                    Err(GrantError::Scope(exceeded)) => Err(OAuthError::invalid_scope(exceeded.to_string())),
                    Err(error @ GrantError::Resource) => Err(OAuthError::invalid_target(error.to_string())),
                    Err(error @ GrantError::Removed) => Err(OAuthError::invalid_client(error.to_string())),
                    Err(GrantError::Failed(failure)) => Err(failed(&failure)),
                }
            }
            "refresh_token" => {
                let (token, scope) = (form.require("refresh_token")?, form.scope()?);
                match self.clients.refresh(&client, &token, scope).await {
                    Ok(issued) => Ok(issued.into()),
                    Err(ClientRefreshError::Anothers(anothers)) => Err(OAuthError::invalid_grant(anothers.to_string())),
                    Err(ClientRefreshError::Scope(_)) => {
                        Err(OAuthError::invalid_scope("the requested scope exceeds the granted scope"))
                    }
                    Err(ClientRefreshError::Refused(
                        refused @ (RefreshError::Unknown
                        | RefreshError::Expired
                        | RefreshError::Revoked
                        | RefreshError::Superseded
                        | RefreshError::Reused
                        | RefreshError::OfClient),
                    )) => Err(OAuthError::invalid_grant(refused.to_string())),
                    Err(ClientRefreshError::Refused(RefreshError::Failed(failure))) => Err(failed(&failure)),
                }
            }
            _ => Err(OAuthError::unsupported_grant_type()),
        }
    }

    /// `POST /oauth2/revoke`
    pub async fn revoke(&self, call: ClientCall) -> Result<(), OAuthError> {
        let (client, mut form) = self.authenticate(call).await?;
        match self.clients.revoke(&client, &form.require("token")?).await {
            Ok(()) => Ok(()),
            Err(ClientRevokeError::Anothers(anothers)) => Err(OAuthError::invalid_grant(anothers.to_string())),
            Err(ClientRevokeError::Failed(failure)) => Err(failed(&failure)),
        }
    }

    /// `POST /oauth2/introspect`
    pub async fn introspect(&self, call: ClientCall) -> Result<Introspection, OAuthError> {
        let (_, mut form) = self.authenticate(call).await?;
        match self.clients.introspect(&form.require("token")?).await {
            Ok(verification) => Ok(Introspection::from_model(verification, self.clients.issuer())),
            Err(failure) => Err(failed(&failure)),
        }
    }

    /// The authenticated client, and the rest of the form.
    async fn authenticate(&self, call: ClientCall) -> Result<(Client, ClientForm), OAuthError> {
        let mut form = ClientForm::read(call.form)?;
        let authorization = match call.authorization.as_slice() {
            [] => None,
            [one] => Some(one.as_str()),
            [_, _, ..] => {
                return Err(OAuthError::invalid_request("the Authorization header must be sent once"));
            }
        };
        let presented = PresentedClient::find(authorization, form.client()).map_err(|error| match error {
            PresentedClientError::Contradictory(contradiction) => {
                OAuthError::invalid_request(contradiction.to_string())
            }
            PresentedClientError::Missing => OAuthError::invalid_client(error.to_string()),
        })?;
        match self.clients.authenticate(presented).await {
            Ok(client) => Ok((client, form)),
            Err(AuthenticationError::Unknown) => {
                Err(OAuthError::invalid_client("the client or its credential is wrong"))
            }
            Err(
                refused @ (AuthenticationError::Assertion(_)
                | AuthenticationError::Fault(_)
                | AuthenticationError::TwoClients
                | AuthenticationError::Replayed),
            ) => Err(OAuthError::invalid_client(refused.to_string())),
            Err(AuthenticationError::Failed(failure)) => Err(failed(&failure)),
        }
    }
}

/// Logs an internal failure, and returns the part of it that a client may know.
fn failed(failure: &Failure) -> OAuthError {
    match problem_of(failure).status() {
        StatusCode::SERVICE_UNAVAILABLE => OAuthError::unavailable(),
        _ => OAuthError::internal(),
    }
}
