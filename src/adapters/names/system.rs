//! The system's settings for names: the hosts file, the name servers, and how relative names are read. They are read
//! again when they have changed: a laptop that joins a VPN, or a container that joins a network, needs no restart.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use hickory_resolver::{
    config::{ResolverConfig, ResolverOpts},
    net::NetError,
    proto::rr::Name,
};

use super::{
    client::{Client, NameServers, without_code},
    hosts::Hosts,
};
use crate::domain::gateway::services::ports::NameError;

/// How long what was read is taken for current.
const RECHECK: Duration = Duration::from_secs(2);

/// The system's settings.
pub(super) struct System {
    /// `DNS_SERVERS`; empty for those of the system.
    servers: Vec<SocketAddr>,
    hosts_file: PathBuf,
    resolv_conf: PathBuf,
    recheck: Duration,
    known: Mutex<Option<Known>>,
}

struct Known {
    read_at: Instant,
    hosts_text: Vec<u8>,
    name_servers: Result<NameServers, String>,
    current: Arc<Current>,
}

/// The settings at the moment.
pub(super) struct Current {
    pub(super) hosts: Hosts,
    client: Result<Client, String>,
}

impl Current {
    /// Asks name servers.
    pub(super) fn client(&self) -> Result<&Client, NameError> {
        self.client.as_ref().map_err(|reason| NameError::Unanswered(reason.clone()))
    }
}

impl System {
    pub(super) fn new(servers: Vec<SocketAddr>) -> Self {
        Self::of_files(servers, hosts_file(), PathBuf::from("/etc/resolv.conf"), RECHECK)
    }

    /// With these files, which are read again after `recheck`.
    pub(super) fn of_files(
        servers: Vec<SocketAddr>,
        hosts_file: PathBuf,
        resolv_conf: PathBuf,
        recheck: Duration,
    ) -> Self {
        Self { servers, hosts_file, resolv_conf, recheck, known: Mutex::default() }
    }

    /// The settings at the moment. Two small files are read, unless that was done a moment ago.
    pub(super) fn current(&self) -> Arc<Current> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(known) = &*known
            && now.duration_since(known.read_at) < self.recheck
        {
            return Arc::clone(&known.current);
        }
        // No file: no names.
        let hosts_text = fs::read(&self.hosts_file).unwrap_or_default();
        let name_servers = self.name_servers();
        if let Some(known) = &mut *known
            && known.hosts_text == hosts_text
            && known.name_servers == name_servers
        {
            known.read_at = now;
            return Arc::clone(&known.current);
        }
        let current = Arc::new(Current {
            hosts: Hosts::parse(&String::from_utf8_lossy(&hosts_text)),
            client: name_servers.clone().and_then(|servers| Client::new(&servers)),
        });
        *known = Some(Known { read_at: now, hosts_text, name_servers, current: Arc::clone(&current) });
        current
    }

    /// `DNS_SERVERS` replaces the servers alone: relative names are read as the system reads them.
    fn name_servers(&self) -> Result<NameServers, String> {
        let of_system = read(&self.resolv_conf).map(|(config, options)| NameServers {
            addresses: config.name_servers().iter().map(|server| SocketAddr::new(server.ip, 53)).collect(),
            search: search_list(&config),
            ndots: options.ndots,
        });
        if self.servers.is_empty() {
            return of_system.map_err(|error| {
                let reason = without_code(&error);
                format!("{} names none ({reason}); set DNS_SERVERS", self.resolv_conf.display())
            });
        }
        let (search, ndots) = of_system.map_or((Vec::new(), 1), |system| (system.search, system.ndots));
        Ok(NameServers { addresses: self.servers.clone(), search, ndots })
    }
}

/// `domain` is an older form of `search`, which wins (resolv.conf(5)).
fn search_list(config: &ResolverConfig) -> Vec<Name> {
    if config.search().is_empty() { config.domain().cloned().into_iter().collect() } else { config.search().to_vec() }
}

#[cfg(all(unix, not(any(target_os = "android", target_vendor = "apple"))))]
fn read(resolv_conf: &Path) -> Result<(ResolverConfig, ResolverOpts), NetError> {
    hickory_resolver::system_conf::parse_resolv_conf(fs::read(resolv_conf)?)
}

/// Other systems keep this elsewhere.
#[cfg(not(all(unix, not(any(target_os = "android", target_vendor = "apple")))))]
fn read(_: &Path) -> Result<(ResolverConfig, ResolverOpts), NetError> {
    hickory_resolver::system_conf::read_system_conf()
}

#[cfg(not(windows))]
fn hosts_file() -> PathBuf {
    PathBuf::from("/etc/hosts")
}

#[cfg(windows)]
fn hosts_file() -> PathBuf {
    PathBuf::from(r"C:\Windows\System32\drivers\etc\hosts")
}
