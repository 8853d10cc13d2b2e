//! Looks names up.

use std::{io, net::IpAddr, time::Duration};

use async_trait::async_trait;

use crate::domain::gateway::services::ports::{NameError, NameResolver, Resolved, SrvTarget};

/// The system's resolver.
pub struct SystemNames;

#[async_trait]
impl NameResolver for SystemNames {
    async fn addresses(&self, host: &str) -> Result<Resolved<IpAddr>, NameError> {
        let found = tokio::net::lookup_host((host, 0)).await;
        let records: Vec<IpAddr> = found
            .map_err(|error: io::Error| NameError::Unanswered(error.to_string()))?
            .map(|address| address.ip())
            .collect();
        if records.is_empty() { Err(NameError::Missing) } else { Ok(Resolved { records, ttl: Duration::from_secs(5) }) }
    }

    async fn targets(&self, _: &str) -> Result<Resolved<SrvTarget>, NameError> {
        Err(NameError::Missing)
    }
}
