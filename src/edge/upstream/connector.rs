//! Opens sockets to one endpoint.

use std::{cell::Cell, sync::Arc, time::Duration};

use tokio::net::TcpStream;

use crate::edge::{
    error::Failure,
    net::names::{Host, Names},
};

/// Opens sockets to one endpoint.
pub(crate) struct Connector {
    /// Resolves the endpoint's host.
    host: Host,
    port: u16,
    /// The reason for the last failed connect, until it is taken.
    trouble: Cell<Option<String>>,
}

impl Connector {
    pub(crate) fn new(host: &str, port: u16, names: &Arc<Names>) -> Self {
        Self { host: Host::new(host, Arc::clone(names)), port, trouble: Cell::default() }
    }

    /// The reason for the last failed connect, if it is known and was not taken before.
    pub(crate) fn take_trouble(&self) -> Option<String> {
        self.trouble.take()
    }

    /// Opens a socket within `limit`.
    pub(crate) async fn connect(&self, limit: Duration) -> Result<TcpStream, Failure> {
        let connecting = async {
            let addresses = self.host.addresses(self.port).await.ok_or_else(|| {
                self.trouble.set(Some("the name is unknown".to_owned()));
                Failure::Unreachable
            })?;
            TcpStream::connect(&addresses[..]).await.map_err(|error| {
                // Without the error number of the operating system.
                let said = error.to_string();
                self.trouble.set(Some(said.split(" (os error").next().unwrap_or_default().to_lowercase()));
                Failure::Unreachable
            })
        };
        let stream = tokio::time::timeout(limit, connecting).await.map_err(|_| Failure::ConnectTimeout)??;
        // Heads and bodies are written whole; waiting to fill packets would only delay them.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }
}
