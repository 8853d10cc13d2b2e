//! Writes `Forwarded` (RFC 7239), which tells the service how the request looked from outside.

/// The value of `Forwarded`: one element, about the client, whose address is `client`. `host` is an authority that was
/// found valid, if the request named one. Returned in pieces, which need not be joined to be sent.
pub(crate) fn forwarded<'p>(client: &'p str, host: Option<&'p str>, scheme: &'p str) -> [&'p str; 9] {
    // An IPv6 address needs brackets and therefore quotes (RFC 7239 §6); a port needs quotes, too.
    let (before, behind) = if client.bytes().any(|byte| byte == b':') { ("for=\"[", "]\"") } else { ("for=", "") };
    let name = if host.is_some() { ";host=" } else { "" };
    let host = host.unwrap_or_default();
    let quote = if host.bytes().any(|byte| matches!(byte, b':' | b'[')) { "\"" } else { "" };
    [before, client, behind, name, quote, host, quote, ";proto=", scheme]
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
