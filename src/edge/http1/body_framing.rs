//! How the body after a head is delimited (RFC 9112 §6.3).

use crate::edge::http::message::BodyLength;

/// The framing of the body after a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyFraming {
    /// By its length; zero if there is no body.
    Length(u64),
    /// By chunks.
    Chunked,
    /// By the end of the connection: responses only.
    UntilClose,
}

impl BodyFraming {
    /// The framing of a request's body, and its announced length. A request with both `Transfer-Encoding` and
    /// `Content-Length` has none (request smuggling, RFC 9112 §6.1).
    pub(crate) fn of_request(is_chunked: bool, length: Option<u64>) -> Option<(Self, BodyLength)> {
        match (is_chunked, length) {
            (true, Some(_)) => None,
            (true, None) => Some((Self::Chunked, BodyLength::Unknown)),
            (false, Some(length)) => Some((Self::Length(length), BodyLength::Known(length))),
            (false, None) => Some((Self::Length(0), BodyLength::None)),
        }
    }
}

/// Parses a `Content-Length`.
pub(crate) fn number(text: &[u8]) -> Option<u64> {
    // Only digits, and no leading zero, which some server might read as octal.
    if text.is_empty() || (text.len() > 1 && text[0] == b'0') {
        return None;
    }
    let mut number: u64 = 0;
    for &byte in text {
        let digit = byte.checked_sub(b'0').filter(|&digit| digit < 10)?;
        number = number.checked_mul(10)?.checked_add(digit.into())?;
    }
    Some(number).filter(|&number| number < u64::MAX - 2)
}
