//! Header names: which of them only the gateway sets, and in which header a route may send a provider's token.

use std::{fmt, str::FromStr, sync::Arc};

use thiserror::Error;

/// Only the gateway sets headers with these prefixes.
const OUR_PREFIXES: [&str; 4] = ["x-user-", "x-gateway-", "x-auth-", "x-forwarded-"];

/// The gateway sets these headers or removes them: the last three make some frameworks treat a request as a different
/// one (CVE-2025-29927, and the rewriting of IIS and Symfony).
const OUR_NAMES: [&str; 6] =
    ["forwarded", "x-real-ip", "x-request-id", "x-middleware-subrequest", "x-original-url", "x-rewrite-url"];

/// Also reserved: headers about one connection, headers that frame or route a message, and headers that the gateway
/// reads or writes.
const RESERVED: [&str; 15] = [
    "connection",
    "cookie",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "set-cookie",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];
const RESERVED_PREFIXES: [&str; 2] = ["content-", "proxy-"];

/// Headers that make no sense in trailers, besides the reserved ones.
const NEVER_BEHIND: [&str; 14] = [
    "age",
    "authorization",
    "cache-control",
    "date",
    "expires",
    "location",
    "pragma",
    "range",
    "retry-after",
    "set-cookie2",
    "strict-transport-security",
    "vary",
    "warning",
    "www-authenticate",
];

/// Whether only the gateway may set a name (in lower case), or a name that a server would map to such a one because it
/// reads `_` (CGI, WSGI) or `.` (PHP) as `-`.
pub fn is_gateway_header(name: &str) -> bool {
    // The first letter rules out most names.
    matches!(name.as_bytes().first(), Some(b'x' | b'f')) && is_among(name, &OUR_PREFIXES, &OUR_NAMES)
}

/// Whether a name (in lower case) frames a message, possibly only in such a server. The body length is written anew for
/// each side, so these headers are never forwarded.
pub fn is_framing(name: &str) -> bool {
    match name.as_bytes().first() {
        Some(b'c') => are_alike(name, "content-length"),
        Some(b't') => are_alike(name, "transfer-encoding"),
        _ => false,
    }
}

/// Whether a name (in lower case) may be a trailer. Headers that route, frame, authenticate or change the meaning of a
/// message may not (RFC 9110 §6.5.1), nor may headers that the gateway vouches for: a server that merges trailers into
/// headers would take them for ours.
pub fn may_be_trailer(name: &str) -> bool {
    !is_gateway_header(name)
        && !is_among(name, &RESERVED_PREFIXES, &RESERVED)
        && !is_among(name, &["if-", "access-control-"], &NEVER_BEHIND)
}

/// Whether such a server would treat two names (in lower case) as one.
pub fn are_alike(one: &str, other: &str) -> bool {
    let fold = |byte: u8| if matches!(byte, b'_' | b'.') { b'-' } else { byte };
    one.len() == other.len() && one.bytes().map(fold).eq(other.bytes().map(fold))
}

fn is_among(name: &str, prefixes: &[&str], names: &[&str]) -> bool {
    let begins = |prefix: &&str| name.get(..prefix.len()).is_some_and(|beginning| are_alike(beginning, prefix));
    prefixes.iter().any(begins) || names.iter().any(|known| are_alike(name, known))
}

/// The text is not the name of a header that a token may be sent in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "a header's name must have 1 to 64 letters, digits and signs such as -; headers that the gateway sets itself, and those about the message or its connection, are not allowed"
)]
pub struct InvalidTokenHeader;

/// The header that a provider's token is sent in, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenHeader(Arc<str>);

impl TokenHeader {
    /// `Authorization`, with the token after `Bearer` (RFC 6750 §2.1).
    pub fn authorization() -> Self {
        Self("authorization".into())
    }

    /// Whether it is `Authorization`. In any other header the token stands alone.
    pub fn is_authorization(&self) -> bool {
        &*self.0 == "authorization"
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TokenHeader {
    type Err = InvalidTokenHeader;

    fn from_str(text: &str) -> Result<Self, InvalidTokenHeader> {
        // RFC 9110 §5.6.2.
        let in_a_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        let name = text.to_ascii_lowercase();
        let good = (1..=64).contains(&name.len())
            && name.bytes().all(in_a_token)
            && !is_gateway_header(&name)
            && !is_among(&name, &RESERVED_PREFIXES, &RESERVED);
        good.then(|| Self(name.into())).ok_or(InvalidTokenHeader)
    }
}

impl fmt::Display for TokenHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_count_before_a_body_are_no_trailers() {
        for name in ["grpc-status", "grpc-message", "grpc-status-details-bin", "etag", "server-timing", "x-checksum"] {
            assert!(may_be_trailer(name), "{name}");
        }
        for name in [
            "authorization",
            "x-user-id",
            "x_user_id",
            "content-length",
            "content_length",
            "transfer-encoding",
            "host",
            "set-cookie",
            "if-match",
            "x-request-id",
            "te",
            "trailer",
            "www-authenticate",
            "proxy-authorization",
        ] {
            assert!(!may_be_trailer(name), "{name}");
        }
    }

    #[test]
    fn two_names_frame_a_message_however_they_are_written() {
        for name in ["content-length", "content_length", "content.length", "transfer-encoding", "transfer_encoding"] {
            assert!(is_framing(name), "{name}");
        }
        for name in ["content-type", "content-length-x", "te", "trailer", "transfer", "x-content-length", "host", ""] {
            assert!(!is_framing(name), "{name}");
        }
    }

    #[test]
    fn a_token_goes_into_authorization_or_a_header_of_its_own() {
        assert_eq!("X-Google-Token".parse::<TokenHeader>().unwrap().as_str(), "x-google-token");
        assert!("private_token".parse::<TokenHeader>().is_ok() && "x-users".parse::<TokenHeader>().is_ok());
        assert_eq!("Authorization".parse(), Ok(TokenHeader::authorization()));
        for (text, is_authorization) in [("AUTHORIZATION", true), ("X-Authorization", false), ("private_token", false)]
        {
            let header: TokenHeader = text.parse().unwrap();
            assert_eq!(header.is_authorization(), is_authorization, "{text}");
            assert_eq!(header.to_string(), text.to_ascii_lowercase());
        }
        for text in [
            "",
            "X Token",
            "X-Token:",
            "X-Token\r\nX-User-Id",
            "토큰",
            &"x".repeat(65),
            "X-User-Id",
            "x_user.anything",
            "X-Auth-Token",
            "X-Forwarded-Token",
            "X-Request-Id",
            "Forwarded",
            "Host",
            "Content-Length",
            "content_type",
            "Cookie",
            "Proxy-Authorization",
            "Transfer.Encoding",
            "TE",
            "traceparent",
        ] {
            assert_eq!(text.parse::<TokenHeader>(), Err(InvalidTokenHeader), "{text}");
        }
    }

    #[test]
    fn names_are_alike_if_a_server_takes_one_for_the_other() {
        assert!(are_alike("x-a-b", "x_a.b") && are_alike("x_a", "x.a") && are_alike("x-a", "x-a"));
        assert!(!are_alike("x-a", "x-b") && !are_alike("x-a", "xa") && !are_alike("x-a", "x-a-"));
    }
}
