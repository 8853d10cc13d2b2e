//! Changes that a route makes to headers, and the headers that no route may change.

use std::sync::Arc;

use thiserror::Error;

use super::header::{are_alike, is_framing, is_gateway_header};

/// Headers that frame or describe a message, or concern one connection: the gateway writes them for each side.
const OF_THE_MESSAGE: [&str; 12] = [
    "connection",
    "content-encoding",
    "content-range",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "te",
    "trailer",
    "upgrade",
    "via",
];

/// Headers of requests that have rules of their own: the session's cookie and the token must not leak, a trace must not
/// be forged, and a method must not be another than the one that the route was chosen by.
const OF_REQUESTS: [&str; 8] = [
    "authorization",
    "cookie",
    "traceparent",
    "tracestate",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "origin",
];

/// Headers of responses that have rules of their own.
const OF_RESPONSES: [&str; 3] = ["ratelimit", "ratelimit-policy", "retry-after"];

/// The changes to the headers of a message: first those of `remove`, then those of `set`, then those of `add`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderRules {
    /// The headers that are removed.
    pub remove: Vec<RuledHeader>,
    /// The headers that are replaced, with their values.
    pub set: Vec<(RuledHeader, Arc<str>)>,
    /// The headers that are added to those of the same name.
    pub add: Vec<(RuledHeader, Arc<str>)>,
}

impl HeaderRules {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }
}

/// The messages that a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Requests for a service.
    Request,
    /// Responses to clients.
    Response,
}

/// What a rule does to its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Sets or adds it.
    Write,
    /// Removes it.
    Remove,
}

/// The reason why a rule is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidRule {
    /// The text is not a name.
    #[error("a header's name has 1 to 64 letters, digits and signs such as -")]
    Name,
    /// No route may change this header.
    #[error("the gateway writes or checks this header itself")]
    Reserved,
    /// Pages of other origins are a setting.
    #[error("ALLOWED_ORIGINS sets who may read responses")]
    Cors,
    /// A cookie that a rule sets would be the same for everybody.
    #[error("only a service may set cookies; a rule may remove them")]
    Cookie,
    /// The text is not a value.
    #[error("a value has up to 4096 printable ASCII characters, and no space at its ends")]
    Value,
}

/// The name of a header that a route may change, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuledHeader(Arc<str>);

impl RuledHeader {
    /// The name, if a rule for these messages may change it in this way.
    ///
    /// # Errors
    /// If it is no name, or the header is not the operator's.
    pub fn new(text: &str, direction: Direction, change: Change) -> Result<Self, InvalidRule> {
        // RFC 9110 §5.6.2.
        let in_a_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if !(1..=64).contains(&text.len()) || !text.bytes().all(in_a_token) {
            return Err(InvalidRule::Name);
        }
        let name = text.to_ascii_lowercase();
        let is_one_of = |names: &[&str]| names.iter().any(|known| are_alike(&name, known));
        let begins = |prefix: &str| name.get(..prefix.len()).is_some_and(|beginning| are_alike(beginning, prefix));
        let is_reserved = is_gateway_header(&name)
            || is_framing(&name)
            || is_one_of(&OF_THE_MESSAGE)
            || begins("proxy-")
            || match direction {
                Direction::Request => is_one_of(&OF_REQUESTS),
                Direction::Response => is_one_of(&OF_RESPONSES),
            };
        match (direction, change) {
            _ if is_reserved => Err(InvalidRule::Reserved),
            (Direction::Response, Change::Write | Change::Remove) if begins("access-control-") => {
                Err(InvalidRule::Cors)
            }
            (Direction::Response, Change::Write) if is_one_of(&["set-cookie"]) => Err(InvalidRule::Cookie),
            (Direction::Request | Direction::Response, Change::Write | Change::Remove) => Ok(Self(name.into())),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A value that a rule may write.
///
/// # Errors
/// If it is no value, such as one with a line break.
pub fn header_value(text: &str) -> Result<Arc<str>, InvalidRule> {
    const MAX_BYTES: usize = 4096;
    let good =
        text.len() <= MAX_BYTES && text.trim() == text && text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    good.then(|| text.into()).ok_or(InvalidRule::Value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str, direction: Direction, change: Change) -> Result<String, InvalidRule> {
        RuledHeader::new(text, direction, change).map(|header| header.as_str().to_owned())
    }

    #[test]
    fn no_rule_changes_what_the_gateway_owns() {
        for name in [
            "X-User-Id",
            "x_user_id",
            "X.User.Scope",
            "X-Gateway-Assertion",
            "X-Auth-Request-User",
            "X-Forwarded-For",
            "X_Forwarded_Host",
            "Forwarded",
            "X-Real-IP",
            "X-Request-Id",
            "X-Original-URL",
            "Host",
            "Content-Length",
            "content_length",
            "Transfer-Encoding",
            "Connection",
            "Keep-Alive",
            "Proxy-Authorization",
            "proxy_connection",
            "TE",
            "Trailer",
            "Upgrade",
            "Via",
            "Content-Encoding",
        ] {
            for direction in [Direction::Request, Direction::Response] {
                for change in [Change::Write, Change::Remove] {
                    assert_eq!(named(name, direction, change), Err(InvalidRule::Reserved), "{name} {direction:?}");
                }
            }
        }
        for name in ["Authorization", "Cookie", "traceparent", "X-HTTP-Method-Override", "x_http_method"] {
            for change in [Change::Write, Change::Remove] {
                assert_eq!(named(name, Direction::Request, change), Err(InvalidRule::Reserved), "{name}");
            }
        }
        for change in [Change::Write, Change::Remove] {
            for name in ["Access-Control-Allow-Origin", "access_control_allow_credentials"] {
                assert_eq!(named(name, Direction::Response, change), Err(InvalidRule::Cors), "{name}");
            }
            assert_eq!(named("RateLimit", Direction::Response, change), Err(InvalidRule::Reserved));
        }
        assert_eq!(named("Set-Cookie", Direction::Response, Change::Write), Err(InvalidRule::Cookie));
        assert!(named("Set-Cookie", Direction::Response, Change::Remove).is_ok());
    }

    #[test]
    fn all_other_headers_are_the_operators() {
        for name in ["X-Team", "Content-Security-Policy", "Content-Type", "Cache-Control", "Server", "X-Frame-Options"]
        {
            for direction in [Direction::Request, Direction::Response] {
                assert_eq!(named(name, direction, Change::Write), Ok(name.to_ascii_lowercase()));
            }
        }
        for text in ["", "X Team", "X-Team:", "X-Team\r\nX-User-Id", "팀", &"x".repeat(65)] {
            assert_eq!(named(text, Direction::Request, Change::Write), Err(InvalidRule::Name), "{text}");
        }
    }

    #[test]
    fn a_value_is_one_line_of_ascii() {
        for text in ["", "a", "max-age=60, public", "a\tb", &"x".repeat(4096)] {
            assert_eq!(header_value(text).as_deref(), Ok(text));
        }
        for text in ["a\r\nX-User-Id: 1", "a\nb", "\0", "팀", " a", "a ", &"x".repeat(4097)] {
            assert_eq!(header_value(text), Err(InvalidRule::Value), "{text:?}");
        }
    }
}
