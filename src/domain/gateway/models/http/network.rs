//! Networks that count as one client.

use std::net::{IpAddr, Ipv6Addr};

/// The client that an address counts as in limits: an IPv4 address itself, the network (/64) of an IPv6 address, since
/// a client can have any number of addresses in it. An IPv4-mapped IPv6 address counts as the IPv4 address.
pub fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_is_one_client() {
        for (address, network) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::"),
            ("2001:db8:0:1:ffff::", "2001:db8:0:1::"),
        ] {
            assert_eq!(client_network(address.parse().unwrap()), network.parse::<IpAddr>().unwrap(), "{address}");
        }
    }
}
