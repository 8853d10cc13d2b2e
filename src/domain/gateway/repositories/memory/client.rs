//! Machine clients in memory.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    sync::Mutex,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::lock;
use crate::domain::gateway::{
    models::{
        client::{Client, ClientCredential},
        values::{digest::Sha256Digest, id::ClientId},
    },
    repositories::{Constraint, RepositoryError, client::ClientRepository, truncate_to_micros},
};

/// Machine clients in memory.
#[derive(Debug, Default)]
pub struct MemoryClients(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    clients: BTreeMap<ClientId, Client>,
    redeemed: HashMap<Sha256Digest, DateTime<Utc>>,
}

#[async_trait]
impl ClientRepository for MemoryClients {
    async fn add(&self, client: &Client) -> Result<(), RepositoryError> {
        let clients = &mut lock(&self.0).clients;
        if clients.contains_key(&client.id) {
            return Err(RepositoryError::Conflict(Constraint::Id));
        }
        if clients.values().any(|other| other.name == client.name) {
            return Err(RepositoryError::Conflict(Constraint::Name));
        }
        clients.insert(client.id, Client { created_at: truncate_to_micros(client.created_at), ..client.clone() });
        Ok(())
    }

    async fn find(&self, id: ClientId) -> Result<Option<Client>, RepositoryError> {
        Ok(lock(&self.0).clients.get(&id).cloned())
    }

    async fn list(&self) -> Result<Vec<Client>, RepositoryError> {
        let mut clients: Vec<_> = lock(&self.0).clients.values().cloned().collect();
        clients.sort_by_key(|client| (client.created_at, client.id));
        Ok(clients)
    }

    async fn replace_credential(&self, id: ClientId, credential: &ClientCredential) -> Result<bool, RepositoryError> {
        let clients = &mut lock(&self.0).clients;
        Ok(clients.get_mut(&id).map(|client| client.credential = credential.clone()).is_some())
    }

    async fn remove(&self, id: ClientId) -> Result<Option<Client>, RepositoryError> {
        Ok(lock(&self.0).clients.remove(&id))
    }

    async fn redeem(&self, assertion: &Sha256Digest, expires_at: DateTime<Utc>) -> Result<bool, RepositoryError> {
        match lock(&self.0).redeemed.entry(*assertion) {
            Entry::Vacant(vacant) => {
                vacant.insert(truncate_to_micros(expires_at));
                Ok(true)
            }
            Entry::Occupied(_) => Ok(false),
        }
    }

    async fn purge_expired(&self, now: DateTime<Utc>) -> Result<u64, RepositoryError> {
        let now = truncate_to_micros(now);
        let redeemed = &mut lock(&self.0).redeemed;
        let before = redeemed.len();
        redeemed.retain(|_, expires_at| now < *expires_at);
        Ok((before - redeemed.len()) as u64)
    }
}
