//! Machine clients: for the endpoints of a running gateway, and for the command line beside it.

use std::sync::Arc;

use crate::{
    adapters::client_keys::AwsLcClientKeys,
    app::{
        StartError, World,
        store::{Store, StoreError},
    },
    config::{Database, Settings},
    domain::gateway::{
        controllers::client::ClientController,
        schemas::client::ServerMetadata,
        services::{
            client::{ClientParts, ClientService, registry::ClientRegistry},
            token::TokenService,
        },
    },
};

pub(super) fn controller(
    settings: &Settings,
    world: &World,
    store: &Store,
    tokens: &Arc<TokenService>,
) -> ClientController {
    let metadata = ServerMetadata::new(settings.public.base(), &settings.public.api_base());
    let parts = ClientParts {
        store: store.clients.clone(),
        tokens: tokens.clone(),
        keys: Arc::new(AwsLcClientKeys),
        clock: world.clock.clone(),
        audiences: metadata.audiences(),
    };
    ClientController::new(Arc::new(ClientService::new(parts)), metadata)
}

/// The clients in the store of these settings; `None` without a durable store.
pub async fn registry(settings: &Settings) -> Result<Option<ClientRegistry>, StartError> {
    if settings.database == Database::Memory {
        return Ok(None);
    }
    let (store, world) = (Store::open(&settings.database).await?, World::real(settings.log_format));
    Ok(Some(ClientRegistry { store: store.clients, tokens: store.tokens, clock: world.clock, entropy: world.entropy }))
}

/// The contents of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// There is no durable store.
    Nothing,
    /// The gateway's tables are missing.
    NoTables,
    /// There are tables, but no clients.
    NoClients,
    /// There are clients.
    Clients,
}

/// Reads what the store contains, without changing it.
pub async fn stored(database: &Database) -> Result<Stored, StoreError> {
    if *database == Database::Memory {
        return Ok(Stored::Nothing);
    }
    let Some(clients) = Store::look_at_clients(database).await? else { return Ok(Stored::NoTables) };
    let is_empty = clients.list().await.map_err(StoreError::from)?.is_empty();
    Ok(if is_empty { Stored::NoClients } else { Stored::Clients })
}
