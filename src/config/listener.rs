//! The listeners for clients and operators, and their limits.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use ipnet::IpNet;

use super::{
    ClientAddressHeader, Environment, ListenerSettings,
    reading::{
        reader::{Reader, entries, one_of},
        report::quoted,
    },
    variables::{
        ADMIN_ADDR, CLIENT_ADDRESS_HEADER, DRAIN_GRACE, DRAIN_TIMEOUT, HEAD_TIMEOUT, HOST, IDLE_TIMEOUT,
        MAX_CONNECTIONS, MAX_CONNECTIONS_PER_CLIENT, MAX_REQUESTS_PER_CLIENT, PORT, TRUSTED_PROXIES,
    },
};

const INSTANT: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_hours(1);
/// More than any gateway serves.
pub(super) const MANY: usize = 1_000_000;

/// Reads the listener's settings. In development it serves only this machine unless `HOST` is set.
pub(super) fn read(reader: &mut Reader<'_>, environment: Environment) -> Option<ListenerSettings> {
    let everywhere_or_here = match environment {
        Environment::Development => "127.0.0.1",
        Environment::Production => "0.0.0.0",
    };
    let host = reader.read_or(&HOST, everywhere_or_here, host);
    let port = reader.number(&PORT, 0..=u16::MAX);
    let head_timeout = reader.duration(&HEAD_TIMEOUT, INSTANT..=HOUR);
    let idle_timeout = reader.duration(&IDLE_TIMEOUT, INSTANT..=HOUR);
    let drain_grace = reader.duration(&DRAIN_GRACE, Duration::ZERO..=HOUR);
    let drain_timeout = reader.duration(&DRAIN_TIMEOUT, Duration::ZERO..=HOUR);
    let max_connections = reader.number(&MAX_CONNECTIONS, 1..=MANY);
    let max_connections_per_client = reader.number(&MAX_CONNECTIONS_PER_CLIENT, 1..=MANY);
    let max_requests_per_client = reader.number(&MAX_REQUESTS_PER_CLIENT, 1..=MANY);
    let trusted_proxies =
        reader.read(&TRUSTED_PROXIES, |text| entries(text).map(|entry| network(entry, text)).collect());
    let client_address_header = reader.read(&CLIENT_ADDRESS_HEADER, client_address_header);
    Some(ListenerSettings {
        address: SocketAddr::new(host?, port?),
        head_timeout: head_timeout?,
        idle_timeout: idle_timeout?,
        drain_grace: drain_grace?,
        drain_timeout: drain_timeout?,
        max_connections: max_connections?,
        max_connections_per_client: max_connections_per_client?,
        max_requests_per_client: max_requests_per_client?,
        trusted_proxies: trusted_proxies?,
        client_address_header: client_address_header?,
    })
}

/// Reads the address for operators.
pub(super) fn read_admin_address(reader: &mut Reader<'_>, clients: Option<SocketAddr>) -> Option<SocketAddr> {
    let address: SocketAddr = reader.read(&ADMIN_ADDR, |text| {
        text.parse().map_err(|_| "must be an IP address and a port, such as 127.0.0.1:9090 or [::1]:9090".to_owned())
    })?;
    // Port 0 is any free port: no conflict.
    if address.port() != 0 && clients.is_some_and(|clients| clients.port() == address.port()) {
        reader.wrong(&ADMIN_ADDR, format!("must have a port of its own; PORT is {}, too", address.port()));
    }
    Some(address)
}

fn host(text: &str) -> Result<IpAddr, String> {
    match text {
        "localhost" => Ok(Ipv4Addr::LOCALHOST.into()),
        _ => text
            .parse()
            .map_err(|_| "must be an IP address such as 127.0.0.1, 0.0.0.0 (every interface) or ::1".to_owned()),
    }
}

/// A mistake says which entry of the `list` is wrong, unless there is only one.
pub(super) fn network(text: &str, list: &str) -> Result<IpNet, String> {
    let single = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| single()).map_err(|_| {
        let which = match text {
            only if only == list => String::new(),
            hidden if hidden.contains('@') => "; the one with an @ is neither".to_owned(),
            shown => format!("; {} is neither", quoted(shown)),
        };
        format!("must be addresses or CIDRs separated by commas, such as 10.0.0.0/8,192.0.2.7{which}")
    })
}

/// The name of a header, in any case.
fn client_address_header(text: &str) -> Result<ClientAddressHeader, String> {
    const NAMES: [(&str, ClientAddressHeader); 2] =
        [("X-Forwarded-For", ClientAddressHeader::ForwardedFor), ("X-Real-IP", ClientAddressHeader::RealIp)];
    let named = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    named.map_or_else(|| one_of(text, &NAMES), |(_, header)| Ok(*header))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_an_address() {
        assert_eq!(host("0.0.0.0").unwrap(), Ipv4Addr::UNSPECIFIED);
        assert_eq!(host("localhost").unwrap(), Ipv4Addr::LOCALHOST);
        assert!(host("::1").unwrap().is_ipv6());
        assert!(host("www.jinmini.com").is_err() && host("127.0.0.1:80").is_err());
    }

    #[test]
    fn a_proxy_is_an_address_or_a_network() {
        for (text, read) in [("10.0.0.0/8", "10.0.0.0/8"), ("192.0.2.7", "192.0.2.7/32"), ("fd00::/8", "fd00::/8")] {
            assert_eq!(network(text, text).unwrap().to_string(), read);
        }
        let among = network("10.0.0.0/33", "::1,10.0.0.0/33").unwrap_err();
        assert!(among.ends_with("; \"10.0.0.0/33\" is neither"), "{among}");
        assert!(network("all", "all").unwrap_err().ends_with("such as 10.0.0.0/8,192.0.2.7"));
    }

    #[test]
    fn the_header_with_the_clients_address_is_one_of_two() {
        for (text, header) in [
            ("X-Forwarded-For", ClientAddressHeader::ForwardedFor),
            ("X-Real-IP", ClientAddressHeader::RealIp),
            ("x-real-ip", ClientAddressHeader::RealIp),
        ] {
            assert_eq!(client_address_header(text), Ok(header));
        }
        for text in ["CF-Connecting-IP", "X-Real-IP, X-Forwarded-For", ""] {
            assert_eq!(client_address_header(text).unwrap_err(), "must be X-Forwarded-For or X-Real-IP");
        }
    }
}
