//! Machine clients at the gateway's endpoints: authentication, and the tokens that they get. The tokens themselves are
//! the business of [`TokenService`], as for `/tokens/…`.

pub mod registry;

use std::sync::Arc;

use thiserror::Error;

use super::{
    Failure,
    ports::{AssertionError, ClientKeys},
    token::{
        TokenService,
        clients::{ClientRefreshError, ClientRevokeError},
    },
};
use crate::{
    domain::gateway::{
        models::{
            client::{AssertionFault, Client, ClientCredential, PresentedClient, ScopeExceeded},
            token::{IssuedToClient, Verification},
            values::{scope::Scope, secret::Secret},
        },
        repositories::client::ClientRepository,
    },
    ports::Clock,
};

/// The dependencies of [`ClientService`].
pub struct ClientParts {
    /// Stores clients.
    pub store: Arc<dyn ClientRepository>,
    /// Their tokens.
    pub tokens: Arc<TokenService>,
    /// Verifies their signatures.
    pub keys: Arc<dyn ClientKeys>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The names of this gateway in an assertion's `aud`: the issuer, and the token endpoint (RFC 7523 §3).
    pub audiences: Vec<String>,
}

/// Machine clients: one method per use case.
pub struct ClientService {
    parts: ClientParts,
}

/// The reason why a client is not authenticated. For the client, all of them are `invalid_client` (RFC 6749 §5.2).
#[derive(Debug, Error)]
pub enum AuthenticationError {
    /// The client does not exist, has no secret, or a different one.
    #[error("the client is unknown, or its proof is invalid")]
    Unknown,
    /// The assertion is not authentic.
    #[error(transparent)]
    Assertion(#[from] AssertionError),
    /// The assertion's claims are not acceptable.
    #[error(transparent)]
    Fault(#[from] AssertionFault),
    /// `client_id` is not the assertion's `sub` (RFC 7521 §4.2).
    #[error("client_id must be the sub of the assertion")]
    TwoClients,
    /// The assertion was used before.
    #[error("the assertion was used before; each may be used once")]
    Replayed,
    /// The store failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// The reason why a client gets no token for itself.
#[derive(Debug, Error)]
pub enum GrantError {
    /// It asks for a larger scope than it may have: `invalid_scope`.
    #[error(transparent)]
    Scope(#[from] ScopeExceeded),
    /// It asks for an audience that is not its own: `invalid_target` (RFC 8707 §2).
    #[error("the client's tokens are for another resource")]
    Resource,
    /// It was removed at this moment: `invalid_client`.
    #[error("the client was removed")]
    Removed,
    /// The store or the keys failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl ClientService {
    /// Creates the service.
    pub fn new(parts: ClientParts) -> Self {
        Self { parts }
    }

    /// The issuer of our tokens, also of those that do not name it.
    pub fn issuer(&self) -> &str {
        &self.parts.tokens.policy().issuer
    }

    /// Authenticates the client of a request. That uses its assertion up.
    pub async fn authenticate(&self, presented: PresentedClient) -> Result<Client, AuthenticationError> {
        match presented {
            PresentedClient::Secret { id, secret } => {
                let id = id.ok_or(AuthenticationError::Unknown)?;
                let found = self.parts.store.find(id).await.map_err(Failure::from)?;
                found.filter(|client| client.has_secret(secret.expose())).ok_or(AuthenticationError::Unknown)
            }
            PresentedClient::Assertion { client_id, assertion } => self.by_assertion(client_id, &assertion).await,
        }
    }

    async fn by_assertion(&self, client_id: Option<String>, assertion: &Secret) -> Result<Client, AuthenticationError> {
        let ClientParts { store, keys, clock, audiences, .. } = &self.parts;
        let subject = keys.unverified_subject(assertion.expose())?;
        if client_id.is_some_and(|other| other != subject) {
            return Err(AuthenticationError::TwoClients);
        }
        let id = subject.parse().map_err(|_| AuthenticationError::Unknown)?;
        let client = store.find(id).await.map_err(Failure::from)?.ok_or(AuthenticationError::Unknown)?;
        let ClientCredential::Keys(own) = &client.credential else { return Err(AuthenticationError::Unknown) };
        let claims = keys.verify(assertion.expose(), own)?;
        claims.validate(id, audiences, clock.now())?;
        // Last, and decided by the write itself: only one replica accepts it, and invalid assertions cannot fill the
        // store.
        let (digest, expires_at) = claims.use_of(id);
        if store.redeem(&digest, expires_at).await.map_err(Failure::from)? {
            Ok(client)
        } else {
            Err(AuthenticationError::Replayed)
        }
    }

    /// An access token for the client itself (RFC 6749 §4.4).
    pub async fn grant(
        &self,
        client: &Client,
        scope: Option<Scope>,
        resource: Option<&str>,
    ) -> Result<IssuedToClient, GrantError> {
        let ClientParts { store, tokens, .. } = &self.parts;
        let scope = client.narrowed(scope)?;
        let audience = client.audience.as_deref().unwrap_or(&tokens.policy().audience);
        if resource.is_some_and(|wanted| wanted != audience) {
            return Err(GrantError::Resource);
        }
        let (issued, family) = tokens.issue_to(client, scope).await?;
        // Removing a client deletes it first and then looks for its families: either that search finds this one, or the
        // client is missing here.
        if store.find(client.id).await.map_err(Failure::from)?.is_none() {
            tokens.take_back(family).await?;
            return Err(GrantError::Removed);
        }
        Ok(issued)
    }

    /// Exchanges a refresh token (RFC 6749 §6).
    pub async fn refresh(
        &self,
        client: &Client,
        refresh_token: &str,
        scope: Option<Scope>,
    ) -> Result<IssuedToClient, ClientRefreshError> {
        self.parts.tokens.refresh_for(client.id, refresh_token, scope).await
    }

    /// Revokes a token (RFC 7009).
    pub async fn revoke(&self, client: &Client, token: &str) -> Result<(), ClientRevokeError> {
        self.parts.tokens.revoke_for(client.id, token).await
    }

    /// Describes a token of ours (RFC 7662). Any client may ask: a holder of a token may know what it is.
    pub async fn introspect(&self, token: &str) -> Result<Verification, Failure> {
        self.parts.tokens.introspect(token).await
    }
}

#[cfg(test)]
mod tests;
