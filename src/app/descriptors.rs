//! File descriptors: the limit of the process, and its division between clients and services. The rest is a reserve for
//! the admin listener, the store and others.

use std::num::NonZeroUsize;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{debug, warn};

use crate::config::ListenerSettings;

/// Descriptors of the process itself: listeners, the log, connections to the store and to providers, operators'
/// connections.
const RESERVE: usize = 64;

/// Descriptors per core, to wait for sockets.
const RESERVE_PER_CORE: usize = 4;

/// Stands for no limit; Linux does not exceed it unless it is configured to.
const UNLIMITED: u64 = 1 << 20;

/// Divides the descriptors, and lowers the connection limits to fit. Returns the limit for connections to services.
pub(super) fn share_out(listener: &mut ListenerSettings, cores: NonZeroUsize) -> usize {
    let descriptors = Descriptors::of(raise_limit(), cores.get());
    descriptors.fit(listener);
    descriptors.services
}

/// Raises the soft limit to the hard one, which needs no privilege. Returns the limit in effect.
fn raise_limit() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        debug!(%error, "the limit of open files cannot be raised");
    }
    usize::try_from(getrlimit(Resource::Nofile).current.unwrap_or(UNLIMITED)).unwrap_or(usize::MAX)
}

/// The division of the descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Descriptors {
    limit: usize,
    /// For connections of clients.
    clients: usize,
    /// For connections to services.
    services: usize,
}

impl Descriptors {
    /// Half for clients, as each request needs one connection of either kind; the rest, without the reserve, for
    /// services.
    fn of(limit: usize, cores: usize) -> Self {
        let clients = limit / 2;
        let reserve = (RESERVE + RESERVE_PER_CORE * cores).min(limit / 4);
        Self { limit, clients, services: limit - clients - reserve }
    }

    /// Lowers the connection limits to the available descriptors, and logs it.
    fn fit(self, listener: &mut ListenerSettings) {
        let Self { limit, clients, .. } = self;
        let wanted = listener.max_connections;
        if wanted <= clients {
            return;
        }
        listener.max_connections = clients;
        // One client must not hold all connections, unless the settings allowed it.
        let most = if listener.max_connections_per_client < wanted { clients / 2 } else { clients };
        listener.max_connections_per_client = listener.max_connections_per_client.min(most.max(1));
        warn!(
            open_files = limit,
            max_connections = clients,
            max_connections_per_client = listener.max_connections_per_client,
            "MAX_CONNECTIONS={wanted} needs a limit of open files of {} or more (ulimit -n); it was lowered",
            wanted.saturating_mul(2)
        );
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::ClientAddressHeader;

    fn listener(max_connections: usize, max_connections_per_client: usize) -> ListenerSettings {
        ListenerSettings {
            address: ([127, 0, 0, 1], 0).into(),
            head_timeout: Duration::ZERO,
            idle_timeout: Duration::ZERO,
            drain_grace: Duration::ZERO,
            drain_timeout: Duration::ZERO,
            max_connections,
            max_connections_per_client,
            max_requests_per_client: 1,
            trusted_proxies: Vec::new(),
            client_address_header: ClientAddressHeader::default(),
        }
    }

    fn fitted(limit: usize, max_connections: usize, per_client: usize) -> (usize, usize) {
        let mut listener = listener(max_connections, per_client);
        Descriptors::of(limit, 2).fit(&mut listener);
        (listener.max_connections, listener.max_connections_per_client)
    }

    #[test]
    fn clients_get_half_of_the_descriptors_at_most() {
        assert_eq!(fitted(20_000, 10_000, 1000), (10_000, 1000));
        assert_eq!(fitted(19_999, 10_000, 1000), (9999, 1000));
        assert_eq!(fitted(1024, 10_000, 1000), (512, 256));
        assert_eq!(fitted(1024, 10_000, 10_000), (512, 512), "a proxy's address may have all");
        assert_eq!(fitted(1024, 100, 50), (100, 50));
    }

    #[test]
    fn services_get_the_other_half_without_the_reserve() {
        assert_eq!(Descriptors::of(1024, 2).services, 440);
        assert_eq!(Descriptors::of(1 << 20, 8).services, (1 << 19) - 96);
        assert_eq!(Descriptors::of(64, 64).services, 16, "a quarter is reserved at most");
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let limit = raise_limit();
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!(current, maximum);
        assert!(maximum.is_none_or(|maximum| maximum == limit as u64));
    }
}
