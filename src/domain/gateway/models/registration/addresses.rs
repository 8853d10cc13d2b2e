//! The addresses that may be registered: those of `SERVICE_CIDRS`, never one that leads to a metadata service of a cloud,
//! to the local network itself, or to the gateway (CVE-2026-1180).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use thiserror::Error;

/// The reason why an address may not be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AddressRefusal {
    /// It names no host.
    #[error("must not be an unspecified address")]
    Unspecified,
    /// It names a group of hosts.
    #[error("must not be a multicast or broadcast address")]
    Group,
    /// It is valid on one link only; clouds have their metadata services there.
    #[error("must not be a link-local address")]
    LinkLocal,
    /// A cloud has its metadata service there.
    #[error("must not be the address of a cloud's metadata service")]
    Metadata,
    /// The gateway listens there.
    #[error("must not be the address of the gateway itself")]
    Gateway,
    /// The operator does not allow it.
    #[error("must be an address in one of the networks of SERVICE_CIDRS; the operator can add its network")]
    Outside,
}

/// The addresses that may be registered.
#[derive(Debug, Clone)]
pub struct AddressPolicy {
    /// `SERVICE_CIDRS`
    networks: Vec<IpNet>,
    /// The addresses at which the gateway listens.
    listeners: Vec<SocketAddr>,
}

impl AddressPolicy {
    /// Allows these networks, without these listeners of the gateway.
    pub fn new(networks: Vec<IpNet>, listeners: Vec<SocketAddr>) -> Self {
        Self { networks, listeners }
    }

    /// Checks an address and a port that were found under a name, or at a container: these may be in any network.
    pub fn check_found(&self, address: IpAddr, port: u16) -> Result<(), AddressRefusal> {
        let address = address.to_canonical();
        match never(address) {
            Some(refusal) => Err(refusal),
            None if self.listeners.iter().any(|listener| reaches(address, port, *listener)) => {
                Err(AddressRefusal::Gateway)
            }
            None => Ok(()),
        }
    }

    /// Checks an address and a port.
    pub fn check(&self, address: IpAddr, port: u16) -> Result<(), AddressRefusal> {
        self.check_found(address, port)?;
        let address = address.to_canonical();
        let is_allowed = self.networks.iter().any(|network| network.contains(&address));
        if is_allowed { Ok(()) } else { Err(AddressRefusal::Outside) }
    }
}

/// Whether the address and port reach the listener. Which addresses the machine has besides loopback is not known.
fn reaches(address: IpAddr, port: u16, listener: SocketAddr) -> bool {
    let here = listener.ip().to_canonical();
    port == listener.port()
        && (address == here || (address.is_loopback() && (here.is_unspecified() || here.is_loopback())))
}

/// The reason why an address may not be registered, whatever the settings say.
fn never(address: IpAddr) -> Option<AddressRefusal> {
    match address {
        IpAddr::V4(address) => never_v4(address),
        IpAddr::V6(address) => never_v6(address).or_else(|| embedded(address).and_then(never_v4)),
    }
}

/// The addresses of metadata services outside of the link-local network: Alibaba Cloud, Azure (`WireServer`).
const METADATA_V4: [Ipv4Addr; 2] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16)];

/// The same in IPv6: Google Cloud, Oracle Cloud. AWS reserves the whole network `fd00:ec2::/32`.
const METADATA_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254), Ipv6Addr::new(0xfd00, 0x00c1, 0, 0, 0, 0, 0xa9fe, 0xa9fe)];

fn never_v4(address: Ipv4Addr) -> Option<AddressRefusal> {
    // All of 0.0.0.0/8 is "this network" (RFC 1122 §3.2.1.3); Linux takes 0.0.0.0 for loopback.
    match address.octets() {
        [0, ..] => Some(AddressRefusal::Unspecified),
        _ if address.is_multicast() || address.is_broadcast() => Some(AddressRefusal::Group),
        _ if address.is_link_local() => Some(AddressRefusal::LinkLocal),
        _ if METADATA_V4.contains(&address) => Some(AddressRefusal::Metadata),
        _ => None,
    }
}

fn never_v6(address: Ipv6Addr) -> Option<AddressRefusal> {
    match address.segments() {
        _ if address.is_unspecified() => Some(AddressRefusal::Unspecified),
        _ if address.is_multicast() => Some(AddressRefusal::Group),
        _ if address.is_unicast_link_local() => Some(AddressRefusal::LinkLocal),
        [0xfd00, 0x0ec2, ..] => Some(AddressRefusal::Metadata),
        _ if METADATA_V6.contains(&address) => Some(AddressRefusal::Metadata),
        _ => None,
    }
}

/// The IPv4 address to which a translator or a tunnel would forward: NAT64 (RFC 6052, RFC 8215), 6to4 (RFC 3056),
/// IPv4-translated and IPv4-compatible addresses (RFC 2765, RFC 4291 §2.5.5). IPv4-mapped ones are IPv4 by now.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0x0064, 0xff9b, 0 | 1, .., high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] | [0x2002, high, low, ..] => {
            Some(v4(high, low))
        }
        [0, 0, 0, 0, 0, 0, high, low] if !address.is_loopback() => Some(v4(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(networks: &[&str]) -> AddressPolicy {
        let listeners = ["0.0.0.0:8080", "127.0.0.1:9090", "10.0.0.5:8443"].map(|one| one.parse().unwrap());
        AddressPolicy::new(networks.iter().map(|one| one.parse().unwrap()).collect(), listeners.into())
    }

    fn check(policy: &AddressPolicy, address: &str, port: u16) -> Result<(), AddressRefusal> {
        policy.check(address.parse().unwrap(), port)
    }

    #[test]
    fn an_address_lies_in_an_allowed_network() {
        let private = policy(&["10.0.0.0/8", "fd00::/8"]);
        for address in ["10.1.2.3", "fd12::1", "::ffff:10.1.2.3"] {
            assert_eq!(check(&private, address, 1), Ok(()), "{address}");
        }
        for address in ["11.0.0.1", "8.8.8.8", "2001:db8::1", "::ffff:8.8.8.8", "127.0.0.1", "::1"] {
            assert_eq!(check(&private, address, 1), Err(AddressRefusal::Outside), "{address}");
        }
        assert_eq!(check(&policy(&[]), "10.1.2.3", 1), Err(AddressRefusal::Outside));
    }

    #[test]
    fn some_addresses_are_refused_whatever_is_allowed() {
        use AddressRefusal::{Group, LinkLocal, Metadata, Unspecified};
        let everything = policy(&["0.0.0.0/0", "::/0"]);
        for (refusal, addresses) in [
            (Unspecified, &["0.0.0.0", "0.1.2.3", "::", "::ffff:0.0.0.0", "64:ff9b::"][..]),
            (Group, &["224.0.0.1", "239.255.255.255", "255.255.255.255", "ff02::1", "::ffff:255.255.255.255"]),
            (
                LinkLocal,
                &[
                    "169.254.169.254",
                    "169.254.0.0",
                    "169.254.255.255",
                    "fe80::1",
                    "febf:ffff::1",
                    "::ffff:169.254.169.254",
                    "::ffff:a9fe:a9fe",
                    "::169.254.169.254",
                    "::ffff:0:169.254.169.254",
                    "64:ff9b::169.254.169.254",
                    "64:ff9b:1::169.254.169.254",
                    "2002:a9fe:a9fe::1",
                ],
            ),
            (
                Metadata,
                &[
                    "100.100.100.200",
                    "168.63.129.16",
                    "fd00:ec2::254",
                    "fd00:ec2::23",
                    "fd20:ce::254",
                    "fd00:c1::a9fe:a9fe",
                ],
            ),
        ] {
            for address in addresses {
                assert_eq!(check(&everything, address, 1), Err(refusal), "{address}");
            }
        }
        for address in ["169.253.255.255", "169.255.0.1", "1.0.0.0", "::1", "fec0::1", "2002:808:808::1", "8.8.8.8"] {
            assert_eq!(check(&everything, address, 1), Ok(()), "{address}");
        }
    }

    #[test]
    fn the_gateway_is_no_instance() {
        let everything = policy(&["0.0.0.0/0", "::/0"]);
        for (address, port) in [("127.0.0.1", 8080), ("::1", 8080), ("127.0.0.9", 9090), ("10.0.0.5", 8443)] {
            assert_eq!(check(&everything, address, port), Err(AddressRefusal::Gateway), "{address}:{port}");
        }
        for (address, port) in [("127.0.0.1", 8001), ("10.0.0.6", 9090), ("10.0.0.6", 8080), ("127.0.0.1", 8443)] {
            assert_eq!(check(&everything, address, port), Ok(()), "{address}:{port}");
        }
    }
}
