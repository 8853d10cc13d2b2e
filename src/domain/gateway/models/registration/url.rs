//! The URL of an instance that registers itself: a [`ServiceUrl`] whose host is an address.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use thiserror::Error;

use crate::domain::gateway::models::service::ServiceUrl;

/// The longest URL, in bytes.
pub const MAX_URL_BYTES: usize = 512;

/// The reason why a URL is not that of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidInstanceUrl {
    /// It is no URL of a service.
    #[error(
        "must be http://address:port or http://address:port/base, with https:// for TLS, h2c:// or h2s:// for HTTP/2, of at most \
         512 characters, without user, query or fragment"
    )]
    Malformed,
    /// Its host is a name. The gateway does not look it up: the name could mean another address later.
    #[error(
        "must have an IP address as its host, such as http://10.0.0.7:8001; to register the address that you call from, send `port` instead"
    )]
    Name,
}

/// The URL of an instance. Its host is an address, and an IPv4-mapped IPv6 address is written as IPv4.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InstanceUrl {
    url: ServiceUrl,
    address: IpAddr,
}

impl InstanceUrl {
    /// `http://address:port`
    pub fn http(address: SocketAddr) -> Result<Self, InvalidInstanceUrl> {
        format!("http://{}", SocketAddr::new(address.ip().to_canonical(), address.port())).parse()
    }

    /// The address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// TCP port.
    pub fn port(&self) -> u16 {
        self.url.port
    }

    /// The URL as that of a service.
    pub fn as_service_url(&self) -> &ServiceUrl {
        &self.url
    }
}

impl fmt::Display for InstanceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

impl FromStr for InstanceUrl {
    type Err = InvalidInstanceUrl;

    fn from_str(text: &str) -> Result<Self, InvalidInstanceUrl> {
        if text.len() > MAX_URL_BYTES {
            return Err(InvalidInstanceUrl::Malformed);
        }
        let mut url: ServiceUrl = text.parse().map_err(|_| InvalidInstanceUrl::Malformed)?;
        // The weight of a registration is a field of its own.
        if url.srv || url.port == 0 || text.contains(';') {
            return Err(InvalidInstanceUrl::Malformed);
        }
        let address = url.host.parse::<IpAddr>().map_err(|_| InvalidInstanceUrl::Name)?.to_canonical();
        url.host = address.to_string();
        // Escapes make a path longer.
        if url.to_string().len() > MAX_URL_BYTES {
            return Err(InvalidInstanceUrl::Malformed);
        }
        Ok(Self { url, address })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_an_address_and_one_form() {
        for (text, form) in [
            ("http://10.0.0.7:8001", "http://10.0.0.7:8001"),
            ("http://10.0.0.7", "http://10.0.0.7:80"),
            ("https://10.0.0.7/base/", "https://10.0.0.7:443/base"),
            ("h2c://[FD00:0::7]:1", "h2c://[fd00::7]:1"),
            ("h2s://[::1]:1/a", "h2s://[::1]:1/a"),
            // Other spellings of an IPv4 address (WHATWG URL §3.5), and an address in an address.
            ("http://0x7f.1:1", "http://127.0.0.1:1"),
            ("http://2852039166:1", "http://169.254.169.254:1"),
            ("http://[::ffff:10.0.0.7]:1", "http://10.0.0.7:1"),
        ] {
            assert_eq!(text.parse::<InstanceUrl>().map(|url| url.to_string()).as_deref(), Ok(form), "{text}");
            assert_eq!(form.parse::<InstanceUrl>().map(|url| url.to_string()).as_deref(), Ok(form));
        }
        let here = InstanceUrl::http("[::ffff:10.0.0.7]:8001".parse().unwrap()).unwrap();
        assert_eq!((here.to_string().as_str(), here.port()), ("http://10.0.0.7:8001", 8001));
    }

    #[test]
    fn names_and_other_urls_are_refused() {
        for text in ["http://orders:8001", "http://localhost", "h2c://a.internal:1", "http://10.0.0.7.example.com"] {
            assert_eq!(text.parse::<InstanceUrl>(), Err(InvalidInstanceUrl::Name), "{text}");
        }
        let long = format!("http://10.0.0.7/{}", "a".repeat(MAX_URL_BYTES));
        let escaped = format!("http://10.0.0.7/{}", "김".repeat(100));
        for text in [
            "",
            "10.0.0.7:8001",
            "ftp://10.0.0.7",
            "srv+http://_http._tcp.a",
            "http://10.0.0.7:0",
            "http://u@10.0.0.7",
            "http://10.0.0.7?q",
            "http://10.0.0.7#f",
            "http://[fe80::1%25eth0]:1",
            &long,
            &escaped,
        ] {
            assert_eq!(text.parse::<InstanceUrl>(), Err(InvalidInstanceUrl::Malformed), "{text}");
        }
    }
}
