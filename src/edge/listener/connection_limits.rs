//! Limits the number of connections, in total and per client address. Counts change only when a connection begins or
//! ends; no request touches them.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::domain::gateway::models::http::network::client_network;

/// Counts connections.
#[derive(Debug)]
pub(crate) struct ConnectionLimits {
    most: usize,
    most_of_one_client: usize,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    of_client: HashMap<IpAddr, usize>,
}

/// A permit for one connection. Dropping it releases it.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    limits: Arc<ConnectionLimits>,
    client: Option<IpAddr>,
}

impl ConnectionLimits {
    pub(crate) fn new(most: usize, most_of_one_client: usize) -> Arc<Self> {
        Arc::new(Self { most, most_of_one_client, counts: Mutex::default() })
    }

    /// A permit for one more connection, if one is free. A trusted proxy speaks for many clients (`is_proxy`): only the
    /// total limit applies to it.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr, is_proxy: bool) -> Option<ConnectionPermit> {
        let client = (!is_proxy).then(|| client_network(address));
        let mut counts = self.counts();
        if counts.all >= self.most {
            return None;
        }
        if let Some(client) = client {
            let of_client = counts.of_client.entry(client).or_default();
            if *of_client >= self.most_of_one_client {
                return None;
            }
            *of_client += 1;
        }
        counts.all += 1;
        drop(counts);
        Some(ConnectionPermit { limits: Arc::clone(self), client })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // A panic while the lock was held can at worst have left a count too high.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut counts = self.limits.counts();
        counts.all = counts.all.saturating_sub(1);
        if let Some(client) = self.client
            && let Some(of_client) = counts.of_client.get_mut(&client)
        {
            *of_client = of_client.saturating_sub(1);
            if *of_client == 0 {
                counts.of_client.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn there_is_a_total_limit_and_one_per_client() {
        let limits = ConnectionLimits::new(3, 2);
        let first = limits.admit(ip("192.0.2.1"), false).unwrap();
        let _second = limits.admit(ip("::ffff:192.0.2.1"), false).unwrap();
        assert!(limits.admit(ip("192.0.2.1"), false).is_none(), "the client's limit");
        let third = limits.admit(ip("192.0.2.2"), false).unwrap();
        assert!(limits.admit(ip("192.0.2.3"), false).is_none(), "the overall limit");
        drop(third);
        assert!(limits.admit(ip("192.0.2.1"), false).is_none());
        drop(first);
        assert!(limits.admit(ip("192.0.2.1"), false).is_some());
        assert_eq!(limits.counts().of_client.len(), 1, "clients without a connection are forgotten");
    }

    #[test]
    fn a_network_counts_as_one_client_and_a_proxy_as_many() {
        let limits = ConnectionLimits::new(10, 1);
        let _held = limits.admit(ip("2001:db8::1"), false).unwrap();
        assert!(limits.admit(ip("2001:db8::2"), false).is_none());
        assert!(limits.admit(ip("2001:db8:0:1::1"), false).is_some());
        let proxied: Vec<_> = (0..9).map_while(|_| limits.admit(ip("10.0.0.1"), true)).collect();
        assert_eq!(proxied.len(), 9);
    }
}
