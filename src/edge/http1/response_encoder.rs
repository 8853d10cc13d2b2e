//! Writes the head of a response in the form that its request needs, and decides on the framing of its body (RFC 9112
//! §6.3).

use http::{
    Method, StatusCode, Version,
    header::{CONNECTION, DATE},
};

use super::body_encoder::BodyEncoder;
use crate::edge::http::{
    field_line::{put_header, put_length},
    header_values::{all_elements, wants_trailers},
    message::{BodyLength, FramedResponse, RequestHead},
};

/// The properties of a request that determine the form of its response.
pub(crate) struct Form {
    pub(crate) version: Version,
    pub(crate) is_head: bool,
    pub(crate) keeps_alive: bool,
    pub(crate) takes_trailers: bool,
}

impl Form {
    /// The form for a request that could not be parsed.
    pub(crate) const REFUSED: Self =
        Self { version: Version::HTTP_11, is_head: false, keeps_alive: false, takes_trailers: false };

    pub(crate) fn of(request: &RequestHead) -> Self {
        let RequestHead { method, version, headers, .. } = request;
        let says = |option: &[u8]| all_elements(headers, CONNECTION).any(|name| name.eq_ignore_ascii_case(option));
        // RFC 9112 §9.3: `close` takes precedence over all other options.
        let keeps_alive = !says(b"close") && (*version != Version::HTTP_10 || says(b"keep-alive"));
        let takes_trailers = wants_trailers(headers);
        Self { version: *version, is_head: *method == Method::HEAD, keeps_alive, takes_trailers }
    }
}

/// Writes a response's head. Returns the framing of its body, and whether the connection may be reused afterwards.
///
/// `put_date` writes `Date`, if the response has none.
pub(crate) fn write_head<B>(
    response: &FramedResponse<B>,
    form: &Form,
    keeps_alive: bool,
    into: &mut Vec<u8>,
    put_date: impl FnOnce(&mut Vec<u8>),
) -> (BodyEncoder, bool) {
    let FramedResponse { status, headers, length, .. } = response;
    into.extend_from_slice(b"HTTP/1.1 ");
    into.extend_from_slice(status.as_str().as_bytes());
    into.push(b' ');
    into.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    into.extend_from_slice(b"\r\n");
    headers.put(into);
    if !headers.contains(&DATE) && !status.is_informational() {
        put_date(into);
    }
    // RFC 9110 §6.4.1.
    let is_bodiless = form.is_head || status.is_informational() || matches!(status.as_u16(), 204 | 304);
    let mut keeps_alive = keeps_alive;
    let encoder = match *length {
        // RFC 9110 §8.6: these must not have a length.
        _ if status.is_informational() || *status == StatusCode::NO_CONTENT => BodyEncoder::Nothing,
        BodyLength::Known(length) | BodyLength::Announced(length) => {
            put_length(length, into);
            BodyEncoder::Length(length)
        }
        // Only the service knows the length that the response to a GET would have.
        BodyLength::None | BodyLength::Unknown if is_bodiless => BodyEncoder::Nothing,
        BodyLength::None => {
            put_length(0, into);
            BodyEncoder::Length(0)
        }
        BodyLength::Unknown if form.version == Version::HTTP_10 => {
            keeps_alive = false;
            BodyEncoder::UntilClose
        }
        BodyLength::Unknown => {
            put_header("transfer-encoding", b"chunked", into);
            let trailers = form.takes_trailers;
            BodyEncoder::Chunked { trailers }
        }
    };
    if !headers.contains(&CONNECTION) {
        match (keeps_alive, form.version) {
            (false, _) => put_header("connection", b"close", into),
            (true, Version::HTTP_10) => put_header("connection", b"keep-alive", into),
            (true, _) => {}
        }
    }
    into.extend_from_slice(b"\r\n");
    (if is_bodiless { BodyEncoder::Nothing } else { encoder }, keeps_alive)
}
