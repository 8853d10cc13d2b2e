//! The registry of machine clients: operators add, list and remove them while gateways are running.

use std::sync::Arc;

use thiserror::Error;

use crate::{
    domain::gateway::{
        models::{
            client::{Client, ClientCredential, ClientKey, ClientName, ClientSecret},
            values::{id::ClientId, scope::Scope},
        },
        repositories::{Constraint, RepositoryError, client::ClientRepository, token::TokenRepository},
        services::Failure,
    },
    ports::{Clock, Entropy},
};

/// Adds and removes clients.
pub struct ClientRegistry {
    /// Stores clients.
    pub store: Arc<dyn ClientRepository>,
    /// Stores their tokens.
    pub tokens: Arc<dyn TokenRepository>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// A client to be added.
#[derive(Debug, Clone)]
pub struct NewClient {
    /// The display name.
    pub name: ClientName,
    /// The largest scope of its tokens.
    pub scope: Scope,
    /// The `aud` of its tokens; `None`: the gateway's own.
    pub audience: Option<String>,
    /// Its public keys; without any, it gets a secret.
    pub keys: Option<Vec<ClientKey>>,
}

/// The reason why a client was not added.
#[derive(Debug, Error)]
pub enum AddClientError {
    /// Another client has this name.
    #[error("a client with this name already exists")]
    NameTaken,
    /// The store failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// The reason why a client's credential was not replaced.
#[derive(Debug, Error)]
pub enum RotateClientError {
    /// There is no such client.
    #[error("the client does not exist")]
    Unknown,
    /// It has keys, and no new ones were given.
    #[error("the client authenticates by a key instead of a secret, so its next key is required")]
    HasKeys,
    /// The store failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl ClientRegistry {
    /// Adds a client. Returns its secret, unless it has keys: only this once.
    pub async fn add(&self, new: NewClient) -> Result<(Client, Option<ClientSecret>), AddClientError> {
        let (credential, secret) = self.credential(new.keys);
        let client = Client {
            id: ClientId::from_random(self.entropy.bytes()),
            name: new.name,
            scope: new.scope,
            audience: new.audience,
            credential,
            created_at: self.clock.now(),
        };
        match self.store.add(&client).await {
            Ok(()) => Ok((client, secret)),
            Err(RepositoryError::Conflict(Constraint::Name)) => Err(AddClientError::NameTaken),
            Err(error) => Err(Failure::from(error).into()),
        }
    }

    /// All clients, oldest first.
    pub async fn list(&self) -> Result<Vec<Client>, Failure> {
        Ok(self.store.list().await?)
    }

    /// Gives a client a new secret, or these keys. Its old credential is no longer valid; its tokens stay valid.
    pub async fn rotate(
        &self,
        id: ClientId,
        keys: Option<Vec<ClientKey>>,
    ) -> Result<Option<ClientSecret>, RotateClientError> {
        let client = self.store.find(id).await.map_err(Failure::from)?.ok_or(RotateClientError::Unknown)?;
        match (&client.credential, &keys) {
            (ClientCredential::Keys(_), None) => return Err(RotateClientError::HasKeys),
            (ClientCredential::Secret(_), _) | (ClientCredential::Keys(_), Some(_)) => {}
        }
        let (credential, secret) = self.credential(keys);
        let replaced = self.store.replace_credential(id, &credential).await.map_err(Failure::from)?;
        if replaced { Ok(secret) } else { Err(RotateClientError::Unknown) }
    }

    /// Removes a client, then ends every token that was issued to it: by the deny-list, which every gateway follows.
    /// Returns the client, if there was one, and the number of ended token families. A repeated call finishes an
    /// interrupted one.
    pub async fn remove(&self, id: ClientId) -> Result<(Option<Client>, usize), Failure> {
        let removed = self.store.remove(id).await?;
        let ended = self.tokens.revoke_families_of_client(id, self.clock.now()).await?;
        Ok((removed, ended.len()))
    }

    fn credential(&self, keys: Option<Vec<ClientKey>>) -> (ClientCredential, Option<ClientSecret>) {
        if let Some(keys) = keys {
            return (ClientCredential::Keys(keys), None);
        }
        let secret = ClientSecret::from_random(self.entropy.bytes());
        (ClientCredential::Secret(secret.digest()), Some(secret))
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{
        domain::gateway::repositories::memory::{MemoryClients, MemoryTokens},
        ports::testing::{CountingEntropy, TestClock},
    };

    fn registry() -> (ClientRegistry, Arc<TestClock>) {
        let clock = TestClock::at(1_800_000_000);
        let registry = ClientRegistry {
            store: Arc::new(MemoryClients::default()),
            tokens: Arc::new(MemoryTokens::default()),
            clock: clock.clone(),
            entropy: Arc::new(CountingEntropy::default()),
        };
        (registry, clock)
    }

    fn new(name: &str, keys: Option<Vec<ClientKey>>) -> NewClient {
        NewClient { name: name.parse().unwrap(), scope: "read".parse().unwrap(), audience: None, keys }
    }

    #[tokio::test]
    async fn a_client_is_added_listed_and_removed() {
        let (registry, clock) = registry();
        let (one, secret) = registry.add(new("one", None)).await.unwrap();
        assert!(one.has_secret(secret.unwrap().expose()));
        clock.pass(TimeDelta::seconds(1));
        let (other, none) = registry.add(new("other", Some(Vec::new()))).await.unwrap();
        assert_eq!(none, None);
        assert!(matches!(registry.add(new("one", None)).await, Err(AddClientError::NameTaken)));
        assert_eq!(registry.list().await.unwrap(), [one.clone(), other]);
        assert_eq!(registry.remove(one.id).await.unwrap(), (Some(one.clone()), 0));
        assert_eq!(registry.remove(one.id).await.unwrap(), (None, 0));
    }

    #[tokio::test]
    async fn a_rotated_secret_replaces_the_one_before() {
        let (registry, _) = registry();
        let (client, first) = registry.add(new("one", None)).await.unwrap();
        let second = registry.rotate(client.id, None).await.unwrap().unwrap();
        let kept = registry.list().await.unwrap().remove(0);
        assert!(kept.has_secret(second.expose()) && !kept.has_secret(first.unwrap().expose()));
        assert_eq!(registry.rotate(client.id, Some(Vec::new())).await.unwrap(), None);
        assert!(matches!(registry.rotate(client.id, None).await, Err(RotateClientError::HasKeys)));
        let unknown = ClientId::from_random([0; 16]);
        assert!(matches!(registry.rotate(unknown, None).await, Err(RotateClientError::Unknown)));
    }
}
