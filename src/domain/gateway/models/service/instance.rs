//! An instance of a service.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use super::url::{ServiceUrl, authority, scheme};

/// The protocol of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpstreamProtocol {
    /// HTTP/1.1: `http://…`, `https://…`
    Http1,
    /// HTTP/2 with prior knowledge (RFC 9113 §3.3), or by TLS: `h2c://…`, `h2s://…`
    Http2,
}

/// Where an instance was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The settings contain its address.
    Static,
    /// The settings contain a name, and DNS its address.
    Dns,
    /// It registered itself.
    Registered,
    /// A container with labels.
    Docker,
}

impl Source {
    /// Its name in the API and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Dns => "dns",
            Self::Registered => "registered",
            Self::Docker => "docker",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What tells an instance from others: addresses, port, host, base path, protocol, and whether it is called by TLS.
pub type InstanceIdentity<'i> = (&'i [IpAddr], u16, &'i str, &'i str, UpstreamProtocol, bool);

/// One instance of a service: a process that listens at a known address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Instance {
    /// Its protocol.
    pub protocol: UpstreamProtocol,
    /// Whether it is called by TLS.
    pub tls: bool,
    /// The name or address by which it was found, sent in `Host` and verified in its certificate.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Prefixed to every path sent there: empty, or `/…` without a slash at its end.
    pub base_path: String,
    /// Its addresses, in the order in which they are tried. More than one if a name has one IPv4 and one IPv6 address:
    /// that is one host.
    pub addresses: Vec<IpAddr>,
    /// Its share of the requests, relative to the other instances.
    pub weight: u16,
    /// Where it was found.
    pub source: Source,
}

impl Instance {
    /// The instance at `addresses` that was declared by `url`.
    pub fn at(url: &ServiceUrl, port: u16, addresses: Vec<IpAddr>, source: Source) -> Self {
        Self {
            protocol: url.protocol,
            tls: url.tls,
            host: url.host.clone(),
            port,
            base_path: url.base_path.clone(),
            addresses,
            weight: url.weight,
            source,
        }
    }

    /// `host:port`, as sent in `Host`.
    pub fn authority(&self) -> String {
        authority(&self.host, self.port)
    }

    /// The scheme of its URL: `http`, `https`, `h2c` or `h2s`.
    pub fn scheme(&self) -> &'static str {
        scheme(self.protocol, self.tls)
    }

    /// The address that it is listed and logged by: `10.0.0.3:8001`.
    pub fn address(&self) -> String {
        match self.addresses[..] {
            [address] => SocketAddr::new(address, self.port).to_string(),
            _ => self.authority(),
        }
    }

    /// What tells it from other instances. Its weight and source may change.
    pub fn identity(&self) -> InstanceIdentity<'_> {
        (&self.addresses, self.port, &self.host, &self.base_path, self.protocol, self.tls)
    }
}
