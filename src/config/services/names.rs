//! The name servers that are asked for the names of services.

use std::net::{IpAddr, SocketAddr};

use crate::config::{
    reading::reader::{Reader, entries},
    variables::DNS_SERVERS,
};

/// The port of name servers (RFC 1035 §4.2).
const DNS_PORT: u16 = 53;

/// Reads the name servers; none if the system's are meant.
pub(in crate::config) fn read_servers(reader: &mut Reader<'_>) -> Option<Vec<SocketAddr>> {
    reader.read(&DNS_SERVERS, |text| entries(text).map(server).collect())
}

fn server(entry: &str) -> Result<SocketAddr, String> {
    let with_port = || entry.parse().ok().filter(|address: &SocketAddr| address.port() != 0);
    let alone = || entry.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    with_port().or_else(|| Some(SocketAddr::new(alone()?, DNS_PORT))).ok_or_else(|| {
        "must be the IP addresses of name servers, separated by commas; a port other than 53 is written as in \
         127.0.0.1:8600 or [::1]:8600"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_server_is_an_address_with_or_without_a_port() {
        let read = |entry| server(entry).map(|server| server.to_string()).ok();
        assert_eq!(read("10.0.0.2").as_deref(), Some("10.0.0.2:53"));
        assert_eq!(read("127.0.0.1:8600").as_deref(), Some("127.0.0.1:8600"));
        assert_eq!(read("::1").as_deref(), Some("[::1]:53"));
        assert_eq!(read("[::1]").as_deref(), Some("[::1]:53"));
        assert_eq!(read("[fd00::53]:5353").as_deref(), Some("[fd00::53]:5353"));
        for entry in ["", "localhost", "10.0.0.2:0", "10.0.0.2:dns", "tls://1.1.1.1", "10.0.0"] {
            assert_eq!(read(entry), None, "{entry}");
        }
    }
}
