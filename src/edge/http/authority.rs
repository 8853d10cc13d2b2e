//! The authority of a request: its host and port.

/// Whether `text` is `host` or `host:port`. Stricter than RFC 3986 §3.2: no user, no escapes, none of the characters
/// that only ever appear in attacks.
pub(crate) fn is_authority(text: &str) -> bool {
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

    #[test]
    fn an_authority_is_a_host_with_an_optional_port() {
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
