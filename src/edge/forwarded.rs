//! How the request looked from outside, for the service: `Forwarded` (RFC 7239) and the prefix that was taken off its path.

use crate::domain::gateway::models::service::Route;

/// `Forwarded`: one element, about the client, of which `client` is the address. `host` is an authority that was found
/// well-formed, if the request named one. In pieces, which need not be put together to be sent.
pub(super) fn forwarded<'p>(client: &'p str, host: Option<&'p str>, scheme: &'p str) -> [&'p str; 9] {
    // An IPv6 address stands in brackets and therefore in quotes (RFC 7239 §6); a port, too, makes quotes necessary.
    let (before, behind) = if client.bytes().any(|byte| byte == b':') { ("for=\"[", "]\"") } else { ("for=", "") };
    let name = if host.is_some() { ";host=" } else { "" };
    let host = host.unwrap_or_default();
    let quote = if host.bytes().any(|byte| matches!(byte, b':' | b'[')) { "\"" } else { "" };
    [before, client, behind, name, quote, host, quote, ";proto=", scheme]
}

/// What has to be put before a path of the service's own to get the path outside: `/api` for a route from `/api/users` to
/// `/users`. If the two have nothing in common, the route's prefix is all there is to tell.
pub(super) fn stripped_prefix(route: &Route) -> &str {
    let outside = route.prefix.as_str();
    outside.strip_suffix(route.upstream_prefix.as_str()).unwrap_or(outside)
}

/// Whether `text` is `host` or `host:port`. Stricter than RFC 3986 §3.2: no user, no escapes, none of the characters that
/// only ever turn up in attacks.
pub(super) fn is_authority(text: &str) -> bool {
    let (host_is_good, port) = if let Some(rest) = text.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        (address.parse::<std::net::Ipv6Addr>().is_ok(), port)
    } else {
        let (host, port) = text.split_at(text.bytes().position(|byte| byte == b':').unwrap_or(text.len()));
        let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        (!host.is_empty() && host.bytes().all(good), port)
    };
    let port_is_good = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()) && digits.parse::<u16>().is_ok());
    host_is_good && port_is_good
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::test_support::route;

    #[test]
    fn addresses_and_hosts_are_quoted_where_they_must_be() {
        for (client, host, expected) in [
            ("192.0.2.1", "www.jinmini.com", "for=192.0.2.1;host=www.jinmini.com;proto=http"),
            ("192.0.2.1", "localhost:8080", "for=192.0.2.1;host=\"localhost:8080\";proto=http"),
            ("2001:db8::1", "[::1]", "for=\"[2001:db8::1]\";host=\"[::1]\";proto=http"),
        ] {
            assert_eq!(forwarded(client, Some(host), "http").concat(), expected);
        }
        assert_eq!(forwarded("192.0.2.1", None, "http").concat(), "for=192.0.2.1;proto=http");
    }

    #[test]
    fn prefix_and_path_at_the_service_make_the_path_outside() {
        for (outside, inside, prefix) in [
            ("/api/users", "/users", "/api"),
            ("/api/users", "/", "/api/users"),
            ("/api/users", "/people", "/api/users"),
            ("/api/users", "/api/users", ""),
            ("/", "/", ""),
        ] {
            assert_eq!(stripped_prefix(&route(outside, "auth", inside)), prefix);
        }
    }

    #[test]
    fn an_authority_is_a_host_and_perhaps_a_port() {
        for good in ["a", "www.jinmini.com", "localhost:8080", "127.0.0.1:1", "[::1]", "[::1]:80", "a_b-c"] {
            assert!(is_authority(good), "{good}");
        }
        for bad in [
            "", ":80", "a:", "a:x", "a:+1", "a:65536", "a:1:2", "u@a", "a b", "a/b", "a,b", "a\"b", "a\\b", "[::1",
            "[x]", "[::1]x", "[::1]80", "é", "a?b", "a#b", "a%2fb", "a;b",
        ] {
            assert!(!is_authority(bad), "{bad}");
        }
    }
}
