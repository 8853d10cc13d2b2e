//! Machine clients at the gateway's endpoints: who one is, and what it gets. Tokens themselves are the business of
//! [`TokenService`], here as for `/tokens/…`.

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
            oauth::Secret,
            scope::Scope,
            token::{IssuedToClient, Verification},
        },
        repositories::client::ClientRepository,
    },
    ports::Clock,
};

/// What [`ClientService`] is made of.
pub struct ClientParts {
    /// Where clients are kept.
    pub store: Arc<dyn ClientRepository>,
    /// Their tokens.
    pub tokens: Arc<TokenService>,
    /// What checks their signatures.
    pub keys: Arc<dyn ClientKeys>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What an assertion may call us: the issuer, and the token endpoint (RFC 7523 §3).
    pub audiences: Vec<String>,
}

/// Machine clients: one method per use case.
pub struct ClientService {
    parts: ClientParts,
}

/// Why a client is not believed to be who it says. To the client all of them are `invalid_client` (RFC 6749 §5.2).
#[derive(Debug, Error)]
pub enum AuthenticationError {
    /// There is no such client, it has no secret, or another one.
    #[error("there is no such client, or its proof is not good")]
    Unknown,
    /// The assertion is not authentic.
    #[error(transparent)]
    Assertion(#[from] AssertionError),
    /// The assertion says what it must not.
    #[error(transparent)]
    Fault(#[from] AssertionFault),
    /// `client_id` is not the assertion's `sub` (RFC 7521 §4.2).
    #[error("client_id is not the sub of the assertion")]
    TwoClients,
    /// The assertion was used before.
    #[error("the assertion was used before; each is good once")]
    Replayed,
    /// The store failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// Why a client gets no token for itself.
#[derive(Debug, Error)]
pub enum GrantError {
    /// It asks for more than it may have: `invalid_scope`.
    #[error(transparent)]
    Scope(#[from] ScopeExceeded),
    /// It asks for another audience than its own: `invalid_target` (RFC 8707 §2).
    #[error("the client's tokens are not meant for that resource")]
    Resource,
    /// It was removed in this moment: `invalid_client`.
    #[error("the client was removed")]
    Removed,
    /// The store or the keys failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl ClientService {
    /// Puts the parts together.
    pub fn new(parts: ClientParts) -> Self {
        Self { parts }
    }

    /// Who issued tokens that do not say so themselves.
    pub fn issuer(&self) -> &str {
        &self.parts.tokens.policy().issuer
    }

    /// The client that a request is from, if its proof is good. An assertion is used up by that.
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
        claims.judge(id, audiences, clock.now())?;
        // Last, and by the write itself: of all replicas one takes it, and nobody can fill the store with bad ones.
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
        // Whoever removes a client takes it away first and then looks for its families: either that search has seen this one,
        // or this look misses the client.
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

    /// Ends a token (RFC 7009).
    pub async fn revoke(&self, client: &Client, token: &str) -> Result<(), ClientRevokeError> {
        self.parts.tokens.revoke_for(client.id, token).await
    }

    /// Tells what a token of ours is (RFC 7662). Any client may ask: whoever holds a token may know what it is.
    pub async fn introspect(&self, token: &str) -> Result<Verification, Failure> {
        self.parts.tokens.introspect(token).await
    }
}

#[cfg(test)]
mod tests;
