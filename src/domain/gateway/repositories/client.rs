//! The store of machine clients, and of their used assertions.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::RepositoryError;
use crate::domain::gateway::models::{
    client::{Client, ClientCredential},
    values::{digest::Sha256Digest, id::ClientId},
};

/// Stores clients and the ids of used assertions. Times are stored to the microsecond.
#[async_trait]
pub trait ClientRepository: Send + Sync {
    /// Stores a client.
    ///
    /// # Errors
    /// `Conflict`: `Id` or `Name` if another client has it.
    async fn add(&self, client: &Client) -> Result<(), RepositoryError>;

    /// The client with this id.
    async fn find(&self, id: ClientId) -> Result<Option<Client>, RepositoryError>;

    /// All clients, oldest first.
    async fn list(&self) -> Result<Vec<Client>, RepositoryError>;

    /// Replaces a client's credential; the old one is no longer valid. `false` if there is no such client.
    async fn replace_credential(&self, id: ClientId, credential: &ClientCredential) -> Result<bool, RepositoryError>;

    /// Deletes a client and returns it. Deleting it again returns `None`.
    async fn remove(&self, id: ClientId) -> Result<Option<Client>, RepositoryError>;

    /// Uses an assertion up: `true` the first time, `false` ever after, until it is forgotten at `expires_at`. Of two
    /// racing calls one gets `true`.
    async fn redeem(&self, assertion: &Sha256Digest, expires_at: DateTime<Utc>) -> Result<bool, RepositoryError>;

    /// Deletes assertions that have expired by `now`; returns how many.
    async fn purge_expired(&self, now: DateTime<Utc>) -> Result<u64, RepositoryError>;
}
