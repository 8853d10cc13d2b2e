//! Determines the client of a request. A peer's statement about its own address is the only one believed; a trusted
//! proxy (`TRUSTED_PROXIES`) is also believed about the hop before it, and so on up to the first address that is not
//! trusted: that is the client. Entries further left in `X-Forwarded-For` are unverified and are not passed on.
//!
//! A proxy that does not write `X-Real-IP` itself passes on its client's. Such a proxy writes `X-Forwarded-For` or
//! `Forwarded`, so `X-Real-IP` counts only if a request has neither. A proxy that writes only `X-Real-IP` may pass on
//! its client's `X-Forwarded-For`: with `CLIENT_ADDRESS_HEADER=X-Real-IP` nothing else counts.

use std::{
    cell::OnceCell,
    net::{IpAddr, SocketAddr},
    rc::Rc,
};

use bytes::Bytes;
use http::{HeaderValue, header::FORWARDED};
use ipnet::IpNet;

use super::{
    authority::is_authority,
    header_list::HeaderList,
    header_names::{X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO, X_REAL_IP},
};
use crate::{
    config::ClientAddressHeader,
    edge::limits::in_flight::{ClientPermits, CoreLimits},
};

/// The other end of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    address: SocketAddr,
    is_trusted: bool,
    /// The scheme of its connection.
    scheme: &'static str,
    text: HeaderValue,
    /// The limits on its requests in flight, once they were needed.
    permits: OnceCell<Rc<ClientPermits>>,
}

/// The client that sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Client {
    /// The client's address; the port is 0 if only a proxy knows it.
    pub(crate) address: SocketAddr,
    /// `X-Forwarded-For` as the gateway sends it: the client, then the proxies that vouch for it.
    pub(crate) forwarded_for: HeaderValue,
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
}

impl Client {
    /// The client's address without a port.
    pub(crate) fn text(&self) -> &str {
        let chain = self.forwarded_for.to_str().unwrap_or_default();
        &chain[..chain.bytes().position(|byte| byte == b',').unwrap_or(chain.len())]
    }
}

impl Peer {
    pub(crate) fn new(address: SocketAddr, trusted_proxies: &[IpNet], by_tls: bool) -> Self {
        let ip = address.ip().to_canonical();
        Self {
            address: SocketAddr::new(ip, address.port()),
            is_trusted: is_in(trusted_proxies, ip),
            scheme: if by_tls { "https" } else { "http" },
            text: header_value(&ip.to_string()),
            permits: OnceCell::new(),
        }
    }

    /// Whether it is a trusted proxy.
    pub(crate) fn is_trusted(&self) -> bool {
        self.is_trusted
    }

    /// The client that sent a request with these unmodified headers. Proxies state the address in `address_header`.
    pub(crate) fn client(
        &self,
        headers: &HeaderList,
        trusted_proxies: &[IpNet],
        address_header: ClientAddressHeader,
    ) -> Client {
        if !self.is_trusted {
            return Client { address: self.address, forwarded_for: self.text.clone(), scheme: self.scheme };
        }
        let mut chain = vec![self.address.ip()];
        for claimed in claimed_addresses(headers, address_header).into_iter().rev() {
            // An invalid address ends the chain: only the last proxy with a valid one is known.
            let Some(address) = claimed else { break };
            chain.push(address);
            if !is_in(trusted_proxies, address) {
                break;
            }
        }
        let client = chain.last().copied().unwrap_or(self.address.ip());
        let texts: Vec<String> = chain.iter().rev().map(ToString::to_string).collect();
        Client {
            address: if chain.len() == 1 { self.address } else { SocketAddr::new(client, 0) },
            forwarded_for: header_value(&texts.join(", ")),
            scheme: match headers.get(&X_FORWARDED_PROTO) {
                Some(b"https") => "https",
                Some(_) => "http",
                None => self.scheme,
            },
        }
    }

    /// The host that the client asked for, according to a trusted proxy: one authority. A list of hosts is ignored,
    /// because it is unknown who wrote which of them.
    pub(crate) fn forwarded_host(&self, headers: &HeaderList) -> Option<Bytes> {
        if !self.is_trusted || headers.all(X_FORWARDED_HOST).nth(1).is_some() {
            return None;
        }
        headers.share(&X_FORWARDED_HOST).filter(|host| std::str::from_utf8(host).is_ok_and(is_authority))
    }

    /// The limits on the client's requests in flight. A proxy that does not name its client is not limited.
    pub(crate) fn permits(
        &self,
        client: &Client,
        limits: &CoreLimits,
        trusted_proxies: &[IpNet],
    ) -> Option<Rc<ClientPermits>> {
        let address = client.address.ip();
        if !self.is_trusted {
            return Some(Rc::clone(self.permits.get_or_init(|| limits.of_client(address))));
        }
        (!is_in(trusted_proxies, address)).then(|| limits.of_client(address))
    }
}

/// Whether `address` lies in one of `networks`.
pub(crate) fn is_in(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// The addresses that a request passed through according to a proxy, the client's first; `None` for an invalid address.
fn claimed_addresses(headers: &HeaderList, header: ClientAddressHeader) -> Vec<Option<IpAddr>> {
    let has_chain = headers.contains(&X_FORWARDED_FOR) || headers.contains(&FORWARDED);
    if header == ClientAddressHeader::RealIp || !has_chain {
        return vec![real_ip(headers)];
    }
    let values = headers.all(X_FORWARDED_FOR);
    let items = values.flat_map(|value| value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii));
    items.map(address).collect()
}

/// The address in `X-Real-IP`, if there is one such header with one address.
fn real_ip(headers: &HeaderList) -> Option<IpAddr> {
    let mut lines = headers.all(X_REAL_IP);
    lines.next().filter(|_| lines.next().is_none()).and_then(address)
}

/// An address, with or without a port.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let ip = text.parse().or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip())).ok()?;
    Some(IpAddr::to_canonical(&ip))
}

fn header_value(addresses: &str) -> HeaderValue {
    // Addresses are plain ASCII.
    HeaderValue::from_str(addresses).unwrap_or(HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUSTED: [&str; 2] = ["10.0.0.0/8", "2001:db8::/32"];

    fn client(peer: &str, headers: &[(&'static str, &str)]) -> Client {
        client_by(ClientAddressHeader::ForwardedFor, peer, headers)
    }

    fn client_by(header: ClientAddressHeader, peer: &str, headers: &[(&'static str, &str)]) -> Client {
        self::peer(peer).client(&map(headers), &trusted(), header)
    }

    fn peer(address: &str) -> Peer {
        Peer::new(address.parse().unwrap(), &trusted(), false)
    }

    fn trusted() -> Vec<IpNet> {
        TRUSTED.iter().map(|net| net.parse().unwrap()).collect()
    }

    fn map(headers: &[(&'static str, &str)]) -> HeaderList {
        headers.iter().map(|(name, value)| (http::HeaderName::from_static(name), value)).collect()
    }

    #[test]
    fn forwarding_headers_of_an_untrusted_peer_are_ignored() {
        let said = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "a.example")];
        for said in [&said[..], &[("x-real-ip", "1.1.1.1")]] {
            for header in [ClientAddressHeader::ForwardedFor, ClientAddressHeader::RealIp] {
                let client = client_by(header, "192.0.2.1:5", said);
                assert_eq!(client.address, "192.0.2.1:5".parse().unwrap());
                assert_eq!((client.forwarded_for, client.scheme), (HeaderValue::from_static("192.0.2.1"), "http"));
            }
            assert_eq!(peer("192.0.2.1:5").forwarded_host(&map(said)), None);
        }
    }

    #[test]
    fn x_real_ip_counts_if_there_is_no_chain() {
        for (said, who, passed_on) in [
            (&[("x-real-ip", "1.1.1.1")][..], "1.1.1.1:0", "1.1.1.1, 10.0.0.1"),
            (&[("x-real-ip", "2001:db7::7")], "[2001:db7::7]:0", "2001:db7::7, 10.0.0.1"),
            (&[("x-real-ip", "::ffff:1.1.1.1")], "1.1.1.1:0", "1.1.1.1, 10.0.0.1"),
            // Written by the client, and passed on by a proxy that sends a chain.
            (&[("x-real-ip", "6.6.6.6"), ("x-forwarded-for", "1.1.1.1")], "1.1.1.1:0", "1.1.1.1, 10.0.0.1"),
            (&[("x-real-ip", "6.6.6.6"), ("x-forwarded-for", "nonsense")], "10.0.0.1:5", "10.0.0.1"),
            (&[("x-real-ip", "6.6.6.6"), ("forwarded", "for=1.1.1.1")], "10.0.0.1:5", "10.0.0.1"),
            // More than one address.
            (&[("x-real-ip", "1.1.1.1"), ("x-real-ip", "6.6.6.6")], "10.0.0.1:5", "10.0.0.1"),
            (&[("x-real-ip", "1.1.1.1"), ("x-real-ip", "1.1.1.1")], "10.0.0.1:5", "10.0.0.1"),
            (&[("x-real-ip", "1.1.1.1, 6.6.6.6")], "10.0.0.1:5", "10.0.0.1"),
            (&[("x-real-ip", "unknown")], "10.0.0.1:5", "10.0.0.1"),
            (&[("x-real-ip", "")], "10.0.0.1:5", "10.0.0.1"),
        ] {
            let client = client("10.0.0.1:5", said);
            let passed: (SocketAddr, _) = (who.parse().unwrap(), passed_on);
            assert_eq!((client.address, client.forwarded_for.to_str().unwrap()), passed, "{said:?}");
        }
    }

    #[test]
    fn if_the_proxy_writes_only_x_real_ip_nothing_else_counts() {
        let forged = [("x-forwarded-for", "6.6.6.6"), ("forwarded", "for=6.6.6.6")];
        for (real_ip, who) in [
            (&[("x-real-ip", "1.1.1.1")][..], "1.1.1.1:0"),
            (&[("x-real-ip", "nonsense")], "10.0.0.1:5"),
            (&[("x-real-ip", "1.1.1.1"), ("x-real-ip", "6.6.6.6")], "10.0.0.1:5"),
            (&[], "10.0.0.1:5"),
        ] {
            let client = client_by(ClientAddressHeader::RealIp, "10.0.0.1:5", &[real_ip, &forged].concat());
            assert_eq!(client.address, who.parse().unwrap(), "{real_ip:?}");
            assert!(!client.forwarded_for.to_str().unwrap().contains("6.6.6.6"), "{real_ip:?}");
        }
    }

    #[test]
    fn a_trusted_proxy_sets_the_host_if_it_is_valid() {
        let host = |lines: &[&str]| {
            let lines: Vec<_> = lines.iter().map(|&value| ("x-forwarded-host", value)).collect();
            peer("10.0.0.1:5").forwarded_host(&map(&lines))
        };
        for one in ["app.example.com", "app.example.com:8443", "[2001:db8::1]:443"] {
            assert_eq!(host(&[one]).as_deref(), Some(one.as_bytes()));
        }
        for none in [
            &[][..],
            &[""],
            &["a.example, b.example"],
            &["a.example", "a.example"],
            &["a.example/b"],
            &["user@a.example"],
            &["a.example:99999"],
            &["é.example"],
        ] {
            assert_eq!(host(none), None, "{none:?}");
        }
    }

    #[test]
    fn the_client_is_the_right_most_address_that_is_not_trusted() {
        for (chain, who, passed_on) in [
            (&["1.1.1.1"][..], "1.1.1.1:0", "1.1.1.1, 10.0.0.1"),
            (&["6.6.6.6, 1.1.1.1"], "1.1.1.1:0", "1.1.1.1, 10.0.0.1"),
            (&["6.6.6.6", "1.1.1.1 , 10.0.0.2:80"], "1.1.1.1:0", "1.1.1.1, 10.0.0.2, 10.0.0.1"),
            (&["[2001:db8::7]:443"], "[2001:db8::7]:0", "2001:db8::7, 10.0.0.1"),
            (&["::ffff:1.1.1.1"], "1.1.1.1:0", "1.1.1.1, 10.0.0.1"),
            (&["1.1.1.1, nonsense, 10.0.0.2"], "10.0.0.2:0", "10.0.0.2, 10.0.0.1"),
            (&["1.1.1.1, "], "10.0.0.1:5", "10.0.0.1"),
            (&[], "10.0.0.1:5", "10.0.0.1"),
        ] {
            let headers: Vec<_> = chain.iter().map(|&value| ("x-forwarded-for", value)).collect();
            let client = client("10.0.0.1:5", &headers);
            assert_eq!(
                (client.address, client.forwarded_for.to_str().unwrap()),
                (who.parse().unwrap(), passed_on),
                "{chain:?}"
            );
        }
    }

    #[test]
    fn a_trusted_proxy_sets_the_scheme() {
        let scheme = |value| client("[::ffff:10.0.0.1]:5", &[("x-forwarded-proto", value)]).scheme;
        assert_eq!(
            (scheme("https"), scheme("http"), scheme("https, http"), scheme("javascript")),
            ("https", "http", "http", "http")
        );
    }
}
