//! Looks names up: in the system's hosts file first, then at its name servers, or at those of `DNS_SERVERS`.
//!
//! Every call asks: nothing is cached here, since discovery decides when to look a name up again.

mod client;
mod hosts;
mod system;

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, timeout_at};

use self::system::System;
use crate::domain::gateway::services::ports::{NameError, NameResolver, Resolved, SrvTarget};

/// The TTL of what the hosts file says, which has none.
const HOSTS_TTL: Duration = Duration::from_secs(5);

/// The most targets of one SRV name whose addresses are asked for at once. Each takes a socket per kind of address and
/// name server.
const MAX_TARGETS_AT_ONCE: usize = 8;

/// Time limit for the addresses of all targets of an SRV name: a target whose domain is dead must not delay the others
/// for longer.
const TARGETS_TIMEOUT: Duration = Duration::from_secs(5);

/// The system's names.
pub struct SystemNames {
    system: System,
}

impl SystemNames {
    /// Asks these name servers; if there are none, those of the system.
    pub fn new(servers: Vec<SocketAddr>) -> Self {
        Self { system: System::new(servers) }
    }

    async fn target(&self, of: client::Target, until: Instant) -> Option<(SrvTarget, Duration)> {
        // The name of a target is absolute: no search domain is tried.
        let found = timeout_at(until, self.addresses(&format!("{}.", of.host))).await;
        let (addresses, ttl) = match found {
            Ok(Ok(found)) => (found.records, found.ttl),
            Ok(Err(NameError::Missing)) => return None,
            // Empty addresses say that no name server answered.
            Ok(Err(NameError::Unanswered(_))) | Err(_) => (Vec::new(), Duration::ZERO),
        };
        let client::Target { host, port, priority, weight } = of;
        Some((SrvTarget { host, port, priority, weight, addresses }, ttl))
    }
}

#[async_trait]
impl NameResolver for SystemNames {
    async fn addresses(&self, host: &str) -> Result<Resolved<IpAddr>, NameError> {
        let current = self.system.current();
        if let Some(records) = current.hosts.addresses(host) {
            return Ok(Resolved { records, ttl: HOSTS_TTL, is_complete: true });
        }
        current.client()?.addresses(host).await
    }

    async fn targets(&self, name: &str) -> Result<Resolved<SrvTarget>, NameError> {
        let found = self.system.current().client()?.targets(name).await?;
        let until = Instant::now() + TARGETS_TIMEOUT;
        let targets: Vec<_> = stream::iter(found.records)
            .map(|target| self.target(target, until))
            .buffer_unordered(MAX_TARGETS_AT_ONCE)
            .collect()
            .await;
        let (records, ttls): (Vec<SrvTarget>, Vec<Duration>) = targets.into_iter().flatten().unzip();
        if records.is_empty() {
            return Err(NameError::Missing);
        }
        let is_complete = records.iter().all(|target| !target.addresses.is_empty());
        let ttl = ttls.into_iter().fold(found.ttl, Duration::min);
        Ok(Resolved { records, ttl, is_complete })
    }
}

#[cfg(test)]
mod tests;
