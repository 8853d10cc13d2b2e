//! The declared address of a service.

use std::{fmt, str::FromStr};

use thiserror::Error;

use super::UpstreamProtocol;

/// The text is not the URL of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "it must be http://host, http://host:port or http://host:port/base (https:// by TLS, h2c:// or h2s:// for HTTP/2, \
     srv+http:// and so on for SRV records), without user, query or fragment; ;weight=3 behind it is a weight from 1 to 1000"
)]
pub struct InvalidServiceUrl;

/// A URL at which instances of a service are found: `http://auth:8001`, or `srv+http://_http._tcp.auth.internal`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServiceUrl {
    /// The protocol of the instances.
    pub protocol: UpstreamProtocol,
    /// Whether they are called by TLS.
    pub tls: bool,
    /// Whether the host is the name of SRV records (RFC 2782), which have the ports.
    pub srv: bool,
    /// A name or an address, without the brackets of an IPv6 address.
    pub host: String,
    /// TCP port; 0 with SRV records.
    pub port: u16,
    /// Prefixed to every path sent there: empty, or `/…` without a slash at its end.
    pub base_path: String,
    /// The share of the requests of each instance there, relative to other ones: 1 to 1000.
    pub weight: u16,
}

/// Precedes the weight.
const WEIGHT: &str = ";weight=";
/// The weight without one.
const USUAL_WEIGHT: u16 = 1;
const MAX_WEIGHT: u16 = 1000;

/// The schemes: protocol and TLS. Each also exists with `srv+` before it.
const SCHEMES: [(&str, UpstreamProtocol, bool); 4] = [
    ("http", UpstreamProtocol::Http1, false),
    ("https", UpstreamProtocol::Http1, true),
    ("h2c", UpstreamProtocol::Http2, false),
    ("h2s", UpstreamProtocol::Http2, true),
];

impl ServiceUrl {
    /// `host:port`, as sent in `Host` and written in logs. The name of SRV records has no port.
    pub fn authority(&self) -> String {
        if self.srv { self.host.clone() } else { authority(&self.host, self.port) }
    }

    fn scheme(&self) -> &'static str {
        scheme(self.protocol, self.tls)
    }
}

/// The scheme of a protocol.
pub(super) fn scheme(protocol: UpstreamProtocol, tls: bool) -> &'static str {
    let of = |(_, its, by_tls): &&(&str, UpstreamProtocol, bool)| *its == protocol && *by_tls == tls;
    SCHEMES.iter().find(of).map_or("http", |(scheme, ..)| scheme)
}

/// `host:port`, with brackets around an IPv6 address.
pub(super) fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let srv = if self.srv { "srv+" } else { "" };
        write!(f, "{srv}{}://{}{}", self.scheme(), self.authority(), self.base_path)?;
        if self.weight == USUAL_WEIGHT { Ok(()) } else { write!(f, "{WEIGHT}{}", self.weight) }
    }
}

impl FromStr for ServiceUrl {
    type Err = InvalidServiceUrl;

    fn from_str(text: &str) -> Result<Self, InvalidServiceUrl> {
        let (text, weight) = match text.split_once(WEIGHT) {
            None => (text, USUAL_WEIGHT),
            Some((text, weight)) => (text, weight_of(weight)?),
        };
        let (scheme, rest) = text.split_once("://").ok_or(InvalidServiceUrl)?;
        let (srv, scheme) = scheme.strip_prefix("srv+").map_or((false, scheme), |scheme| (true, scheme));
        let (_, protocol, tls) = SCHEMES.into_iter().find(|(known, ..)| *known == scheme).ok_or(InvalidServiceUrl)?;
        // Parsed as an http or https URL: `url` checks less for unknown schemes.
        let usual = if tls { "https" } else { "http" };
        let url = ::url::Url::parse(&format!("{usual}://{rest}")).map_err(|_| InvalidServiceUrl)?;
        let plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
            && !(srv && (url.port().is_some() || !matches!(url.host(), Some(::url::Host::Domain(_)))));
        let host = url.host_str().filter(|_| plain).ok_or(InvalidServiceUrl)?;
        let port = url.port_or_known_default().ok_or(InvalidServiceUrl)?;
        Ok(Self {
            protocol,
            tls,
            srv,
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: if srv { 0 } else { port },
            base_path: url.path().trim_end_matches('/').to_owned(),
            weight,
        })
    }
}

fn weight_of(text: &str) -> Result<u16, InvalidServiceUrl> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|weight| is_plain && (1..=MAX_WEIGHT).contains(weight)).ok_or(InvalidServiceUrl)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_protocol_host_port_and_base() {
        let read =
            |text: &str| text.parse::<ServiceUrl>().map(|url| (url.authority(), url.base_path, url.tls, url.srv));
        assert_eq!(read("http://localhost:8001"), Ok(("localhost:8001".to_owned(), String::new(), false, false)));
        assert_eq!(read("http://[::1]/base/"), Ok(("[::1]:80".to_owned(), "/base".to_owned(), false, false)));
        assert_eq!(read("https://a"), Ok(("a:443".to_owned(), String::new(), true, false)));
        assert_eq!(read("srv+https://_api._tcp.a.b/x"), Ok(("_api._tcp.a.b".to_owned(), "/x".to_owned(), true, true)));
        for text in [
            "",
            "localhost:8001",
            "ftp://a",
            "http://u@a",
            "http://u:p@a",
            "http://a?q",
            "http://a#f",
            "http://",
            "srv+http://a:1",
            "srv+http://10.0.0.1",
            "http://a;weight=0",
            "http://a;weight=1001",
            "http://a;weight=+1",
            "http://a;weight=",
            "http://a;weight=1;weight=2",
        ] {
            assert_eq!(text.parse::<ServiceUrl>(), Err(InvalidServiceUrl), "{text}");
        }
    }

    #[test]
    fn a_url_is_written_as_it_was_read() {
        for text in [
            "http://a:80",
            "http://a:80/b;weight=3",
            "srv+http://a.b;weight=1000",
            "https://a:443/base",
            "h2c://[::1]:50051",
            "h2s://a:1",
            "srv+http://_http._tcp.a.b/x",
        ] {
            assert_eq!(text.parse::<ServiceUrl>().map(|url| url.to_string()).as_deref(), Ok(text));
        }
    }
}
