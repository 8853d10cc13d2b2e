//! The port to the container engine.

use async_trait::async_trait;
use thiserror::Error;

use crate::domain::gateway::models::container::{Container, OwnContainer};

/// What the engine lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerList {
    /// The running containers that have labels for the gateway.
    pub containers: Vec<ListedContainer>,
    /// The container in which the gateway runs; `None` if it runs in none of this engine.
    pub own: Option<OwnContainer>,
}

/// A listed container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListedContainer {
    /// The engine described it.
    Known(Container),
    /// The engine lists it, and says nothing more about it now.
    Unknown {
        /// Its id.
        id: String,
        /// Its name.
        name: String,
        /// Why nothing more is known.
        error: EngineError,
    },
}

/// The reason why the engine says nothing. The text is for the log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct EngineError(pub String);

/// A container engine.
#[async_trait]
pub trait ContainerEngine: Send + Sync + 'static {
    /// Lists the running containers that have labels for the gateway.
    async fn containers(&self) -> Result<ContainerList, EngineError>;

    /// Subscribes to changes: from now on, and some seconds back, so that none is missed between this and a list. The
    /// engine may be asked only when the first change is awaited.
    fn changes(&self) -> Box<dyn ContainerChanges>;
}

/// Changes of containers, one after another.
#[async_trait]
pub trait ContainerChanges: Send {
    /// Waits for the next change that may matter. Nothing is lost if the future is dropped. After an error there are no
    /// further changes.
    async fn next(&mut self) -> Result<(), EngineError>;
}
