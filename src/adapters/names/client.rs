//! Asks name servers.
//!
//! The search list is applied here. The library would apply it per record type: a name could get its IPv4 addresses from
//! one domain and its IPv6 addresses from another. It would also go on to the next domain when a name server does not
//! answer, and so find another service of the same name.

use std::{
    collections::HashSet,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures_util::{FutureExt, future::select};
use hickory_resolver::{
    Resolver, TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::rr::{Name, RData, Record, RecordType},
};
use tokio::time::timeout;

use crate::domain::gateway::services::ports::{NameError, Resolved};

/// Time limit for one attempt; all name servers have been asked within it.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// A question without an answer is asked again this often: a datagram may get lost.
const REPETITIONS: usize = 1;

/// How long the second kind of address is waited for once the first is there. Some name servers never answer for `AAAA`.
const OTHER_KIND_TIMEOUT: Duration = Duration::from_millis(500);

/// Which name servers are asked, and how relative names are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NameServers {
    pub(super) addresses: Vec<SocketAddr>,
    /// The domains that are appended to relative names.
    pub(super) search: Vec<Name>,
    /// A name with at least this many dots is tried as it is first.
    pub(super) ndots: usize,
}

/// Asks name servers.
pub(super) struct Client {
    resolver: TokioResolver,
    search: Vec<Name>,
    ndots: usize,
}

/// The target of an SRV record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// Without a dot at the end.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) priority: u16,
    pub(super) weight: u16,
}

impl Client {
    pub(super) fn new(servers: &NameServers) -> Result<Self, String> {
        let NameServers { addresses, search, ndots } = servers.clone();
        let config = ResolverConfig::from_parts(None, Vec::new(), addresses.into_iter().map(server).collect());
        let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options();
        let resolver = builder.build().map_err(|error| without_code(&error))?;
        Ok(Self { resolver, search, ndots })
    }

    /// The addresses of a host.
    pub(super) async fn addresses(&self, host: &str) -> Result<Resolved<IpAddr>, NameError> {
        for name in self.candidates(host) {
            match self.addresses_of(&name).await {
                Err(NameError::Missing) => {}
                outcome @ (Ok(_) | Err(NameError::Unanswered(_))) => return outcome,
            }
        }
        Err(NameError::Missing)
    }

    /// The targets of SRV records. A target `.` says that there is no such service (RFC 2782).
    pub(super) async fn targets(&self, name: &str) -> Result<Resolved<Target>, NameError> {
        for name in self.candidates(name) {
            match self.ask(&name, RecordType::SRV, target).await {
                Err(NameError::Missing) => {}
                outcome @ (Ok(_) | Err(NameError::Unanswered(_))) => return outcome,
            }
        }
        Err(NameError::Missing)
    }

    /// Both kinds of address of an absolute name. One kind will do.
    async fn addresses_of(&self, name: &Name) -> Result<Resolved<IpAddr>, NameError> {
        let v4 = self.ask(name, RecordType::A, address).boxed();
        let v6 = self.ask(name, RecordType::AAAA, address).boxed();
        let (first, other) = select(v4, v6).await.factor_first();
        let second = match &first {
            Ok(_) => timeout(OTHER_KIND_TIMEOUT, other).await.unwrap_or_else(|_| Err(no_answer())),
            Err(_) => other.await,
        };
        match (first, second) {
            (Ok(mut found), Ok(others)) => {
                found.records.extend(others.records);
                found.ttl = found.ttl.min(others.ttl);
                Ok(found)
            }
            (Ok(found), Err(error)) | (Err(error), Ok(found)) => {
                Ok(Resolved { is_complete: error == NameError::Missing, ..found })
            }
            (Err(NameError::Missing), Err(error)) | (Err(error), Err(_)) => Err(error),
        }
    }

    async fn ask<T>(
        &self,
        name: &Name,
        kind: RecordType,
        read: impl Fn(&Record) -> Option<T>,
    ) -> Result<Resolved<T>, NameError> {
        let answer = self.resolver.lookup(name.clone(), kind).await.map_err(|error| match error {
            NetError::Dns(DnsError::NoRecordsFound(_)) => NameError::Missing,
            NetError::Timeout => no_answer(),
            other => NameError::Unanswered(without_code(&other)),
        })?;
        let records: Vec<T> = answer.answers().iter().filter_map(read).collect();
        // Aliases on the way to the records count, too.
        let ttl = answer.answers().iter().map(|record| record.ttl).min().unwrap_or_default();
        let ttl = Duration::from_secs(u64::from(ttl));
        if records.is_empty() { Err(NameError::Missing) } else { Ok(Resolved { records, ttl, is_complete: true }) }
    }

    /// The absolute names that a name may stand for, in the order in which they are tried (resolv.conf(5)).
    fn candidates(&self, host: &str) -> Vec<Name> {
        // A text that is no name, such as one with a label of 64 letters, does not exist.
        let Ok(name) = Name::from_ascii(host) else { return Vec::new() };
        let mut absolute = name.clone();
        absolute.set_fqdn(true);
        if name.is_fqdn() {
            return vec![absolute];
        }
        let dots = host.bytes().filter(|&byte| byte == b'.').count();
        let mut found: Vec<Name> =
            self.search.iter().filter_map(|domain| name.clone().append_domain(domain).ok()).collect();
        found.insert(if dots >= self.ndots { 0 } else { found.len() }, absolute);
        for name in &mut found {
            name.set_fqdn(true);
        }
        let mut known = HashSet::new();
        found.retain(|name| known.insert(name.clone()));
        found
    }
}

fn server(address: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.to_vec())
}

fn options() -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = ATTEMPT_TIMEOUT;
    options.attempts = REPETITIONS;
    // A repeated lookup asks again.
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options
}

/// Servers that block a name answer 0.0.0.0, where the gateway would reach itself.
fn address(record: &Record) -> Option<IpAddr> {
    record.data.ip_addr().filter(|address| !address.is_unspecified() && !address.is_multicast())
}

fn target(record: &Record) -> Option<Target> {
    let RData::SRV(srv) = &record.data else { return None };
    let host = srv.target.to_ascii();
    let host = host.strip_suffix('.').unwrap_or(&host);
    (!host.is_empty()).then(|| Target {
        host: host.to_ascii_lowercase(),
        port: srv.port,
        priority: srv.priority,
        weight: srv.weight,
    })
}

fn no_answer() -> NameError {
    NameError::Unanswered("the time limit has passed".to_owned())
}

/// The error in words, without the operating system's number for it.
pub(super) fn without_code(error: &NetError) -> String {
    let words = error.to_string();
    words.split(" (os error").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(host: &str, search: &[&str], ndots: usize) -> Vec<String> {
        let servers = NameServers {
            addresses: vec!["127.0.0.1:53".parse().unwrap()],
            search: search.iter().map(|domain| domain.parse().unwrap()).collect(),
            ndots,
        };
        let client = Client::new(&servers).unwrap();
        client.candidates(host).iter().map(Name::to_ascii).collect()
    }

    #[tokio::test]
    async fn relative_names_are_read_by_search_list_and_dots() {
        let search = ["shop.svc.cluster.local", "svc.cluster.local"];
        assert_eq!(
            candidates("auth", &search, 5),
            ["auth.shop.svc.cluster.local.", "auth.svc.cluster.local.", "auth."]
        );
        assert_eq!(
            candidates("auth.internal", &search, 1),
            ["auth.internal.", "auth.internal.shop.svc.cluster.local.", "auth.internal.svc.cluster.local."]
        );
        assert_eq!(candidates("auth.internal.", &search, 5), ["auth.internal."]);
        assert_eq!(candidates("auth", &["."], 1), ["auth."]);
        assert_eq!(candidates("_http._tcp.auth", &[], 1), ["_http._tcp.auth."]);
        assert_eq!(candidates(&"a".repeat(64), &search, 1), [""; 0]);
    }
}
