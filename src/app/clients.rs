//! Machine clients: at the endpoints of a running gateway, and from the command line beside it.

use std::sync::Arc;

use super::{
    StartError, World,
    store::{Store, StoreError},
};
use crate::{
    adapters::client_keys::AwsLcClientKeys,
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

/// The clients in the store of these settings; `None` if there is no store that outlives a gateway.
pub async fn registry(settings: &Settings) -> Result<Option<ClientRegistry>, StartError> {
    if settings.database == Database::Memory {
        return Ok(None);
    }
    let (store, world) = (Store::open(&settings.database).await?, World::real(settings.log_format));
    Ok(Some(ClientRegistry { store: store.clients, tokens: store.tokens, clock: world.clock, entropy: world.entropy }))
}

/// Whether the store has a client already, without changing anything in it.
pub async fn is_there_any(database: &Database) -> Result<bool, StoreError> {
    match Store::look_at_clients(database).await? {
        Some(clients) => Ok(!clients.list().await.map_err(StoreError::from)?.is_empty()),
        None => Ok(false),
    }
}
