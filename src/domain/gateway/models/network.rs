//! Whom an address stands for.

use std::net::{IpAddr, Ipv6Addr};

/// The address of a client as limits count it: an IPv4 address by itself, of IPv6 the network (/64), of which anybody has as many
/// addresses as they like. An IPv4 address that is written as an IPv6 one counts as itself.
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
    fn a_network_of_ipv6_is_one_client() {
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
