//! Parses the head of a service's response (RFC 9112 §4, §5), and the framing of its body.

use std::{mem::MaybeUninit, ops::Range};

use bytes::BytesMut;
use http::{
    HeaderName, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING},
    response::Parts,
};
use httparse::{ParserConfig, Status};

use super::body_framing::{BodyFraming, number};
use crate::edge::http::{
    header_list::{HeaderList, Line},
    header_values::{all_elements, elements},
    message::BodyLength,
};

/// The longest response head that is read, and the limit of all interim responses together.
pub(crate) const MAX_RESPONSE_HEAD_BYTES: usize = 64 * 1024;

/// The most headers of a response.
const MAX_HEADERS: usize = 100;

/// Capacity for the headers that the gateway adds.
const ROOM_FOR_OURS: usize = 4;

/// The input is not the head of a response, or not a reliable one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadResponseHead;

/// The head of a service's response.
#[derive(Debug)]
pub(crate) struct ResponseHead {
    pub(crate) status: StatusCode,
    pub(crate) version: Version,
    /// Without `Content-Length`.
    pub(crate) headers: HeaderList,
    said: Said,
}

/// The combined values of `Content-Length`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// There are none.
    Nothing,
    Length(u64),
    /// No valid length, or two that differ.
    Malformed,
}

impl Said {
    /// Adds another value. A length may be repeated, but must not differ (RFC 9110 §8.6).
    fn and(self, line: &[u8]) -> Self {
        let mut lengths = elements(line).map(number);
        match (self, lengths.next().flatten()) {
            (Self::Nothing, Some(first)) if lengths.all(|other| other == Some(first)) => Self::Length(first),
            (Self::Length(known), Some(first)) if known == first && lengths.all(|other| other == Some(first)) => self,
            _ => Self::Malformed,
        }
    }

    fn length(self) -> Result<Option<u64>, BadResponseHead> {
        match self {
            Self::Nothing => Ok(None),
            Self::Length(length) => Ok(Some(length)),
            Self::Malformed => Err(BadResponseHead),
        }
    }
}

impl ResponseHead {
    /// Takes a head from the start of `input`; `None` if more input is needed.
    pub(crate) fn take(input: &mut BytesMut) -> Result<Option<Self>, BadResponseHead> {
        let mut lines = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut []);
        let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut response, input, &mut lines);
        let Status::Complete(end) = parsed.map_err(|_| BadResponseHead)? else { return Ok(None) };
        let version = if response.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
        let status = response.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(BadResponseHead)?;
        let (mut lines, mut said) = (Vec::with_capacity(response.headers.len() + ROOM_FOR_OURS), Said::Nothing);
        for line in &*response.headers {
            let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| BadResponseHead)?;
            if name == CONTENT_LENGTH {
                said = said.and(line.value);
            } else {
                lines.push(Line::new(name, place(input, line.name.as_bytes()).start, place(input, line.value)));
            }
        }
        Ok(Some(Self { status, version, headers: HeaderList::new(input.split_to(end).freeze(), lines), said }))
    }

    /// The head of an HTTP/2 response.
    pub(crate) fn of_stream(parts: Parts) -> Self {
        let Parts { status, version, mut headers, .. } = parts;
        let lines = headers.get_all(CONTENT_LENGTH);
        let said = lines.into_iter().fold(Said::Nothing, |said, line| said.and(line.as_bytes()));
        headers.remove(CONTENT_LENGTH);
        Self { status, version, headers: headers.into(), said }
    }

    /// Whether another head follows for the same request.
    pub(crate) fn is_interim(&self) -> bool {
        self.status.is_informational() && self.status != StatusCode::SWITCHING_PROTOCOLS
    }

    /// The framing and the length of the body (RFC 9112 §6.3). `is_head`: whether this is the response to a `HEAD`.
    pub(crate) fn framing(&self, is_head: bool) -> Result<(BodyFraming, BodyLength), BadResponseHead> {
        let is_coded = self.headers.contains(&TRANSFER_ENCODING);
        if self.has_no_body(is_head) {
            let length = if is_coded { BodyLength::None } else { self.announced()? };
            return Ok((BodyFraming::Length(0), length));
        }
        if is_coded {
            // Another coding would be passed on without its name (RFC 9112 §6.1). HTTP/1.0 has no transfer codings.
            let mut codings = all_elements(&self.headers, TRANSFER_ENCODING);
            let is_chunked = codings.next().is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked"));
            let is_only = codings.next().is_none() && self.version == Version::HTTP_11;
            let chunked = (BodyFraming::Chunked, BodyLength::Unknown);
            return if is_chunked && is_only { Ok(chunked) } else { Err(BadResponseHead) };
        }
        Ok(match self.said.length()? {
            Some(length) => (BodyFraming::Length(length), BodyLength::Known(length)),
            None => (BodyFraming::UntilClose, BodyLength::Unknown),
        })
    }

    /// The length of the body on an HTTP/2 stream; `has_ended` is whether the stream ended with the head.
    pub(crate) fn length_on_stream(&self, is_head: bool, has_ended: bool) -> Result<BodyLength, BadResponseHead> {
        if self.has_no_body(is_head) {
            return self.announced();
        }
        match self.said.length()? {
            Some(length) if length > 0 && has_ended => Err(BadResponseHead),
            Some(length) => Ok(BodyLength::Known(length)),
            None if has_ended => Ok(BodyLength::None),
            None => Ok(BodyLength::Unknown),
        }
    }

    fn has_no_body(&self, is_head: bool) -> bool {
        is_head || self.status.is_informational() || matches!(self.status.as_u16(), 204 | 304)
    }

    /// The announced length of a response without a body. It is passed on, so it has to be valid; it is dropped where
    /// no length is allowed (RFC 9110 §8.6).
    fn announced(&self) -> Result<BodyLength, BadResponseHead> {
        let may_be_said = !self.status.is_informational() && self.status != StatusCode::NO_CONTENT;
        let length = self.said.length()?.filter(|_| may_be_said);
        Ok(length.map_or(BodyLength::None, BodyLength::Announced))
    }

    /// Whether the connection can be reused (RFC 9112 §9.3). Not if the response was framed in two ways (RFC 9112
    /// §6.3).
    pub(crate) fn stays_open(&self) -> bool {
        let says =
            |option: &[u8]| all_elements(&self.headers, CONNECTION).any(|name| name.eq_ignore_ascii_case(option));
        let is_framed_twice = self.headers.contains(&TRANSFER_ENCODING) && self.said != Said::Nothing;
        let keeps_alive = self.version != Version::HTTP_10 || says(b"keep-alive");
        keeps_alive && !says(b"close") && !is_framed_twice
    }
}

/// The range of a part within its head.
fn place(head: &[u8], part: &[u8]) -> Range<usize> {
    // An empty part may point anywhere.
    let begins = if part.is_empty() { 0 } else { part.as_ptr().addr().wrapping_sub(head.as_ptr().addr()) };
    begins..begins + part.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> Result<Option<ResponseHead>, BadResponseHead> {
        ResponseHead::take(&mut BytesMut::from(text))
    }

    fn head(lines: &str) -> ResponseHead {
        taken(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n")).unwrap().unwrap()
    }

    #[test]
    fn a_head_is_taken_once_it_is_complete() {
        let text = "HTTP/1.1 201 Created\r\nX-A:  b c \r\nX-Empty:\r\nset-cookie: a\r\nSet-Cookie: b\r\n\r\nbody";
        for upto in 0..text.len() - 4 {
            assert!(taken(&text[..upto]).unwrap().is_none(), "{upto}");
        }
        let mut input = BytesMut::from(text);
        let head = ResponseHead::take(&mut input).unwrap().unwrap();
        assert_eq!((head.status.as_u16(), head.version, &input[..]), (201, Version::HTTP_11, &b"body"[..]));
        assert_eq!((&head.headers["x-a"], &head.headers["x-empty"]), ("b c", ""));
        assert_eq!(head.headers.all(http::header::SET_COOKIE).count(), 2);
    }

    #[test]
    fn an_invalid_response_is_refused() {
        for text in [
            "garbage\r\n\r\n",
            "HTTP/1.1 abc\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 099 Low\r\n\r\n",
            "HTTP/1.1 200 OK\r\nBad Name: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: \0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: 1\r\n folded\r\n\r\n",
            &format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: 1\r\n".repeat(MAX_HEADERS + 1)),
        ] {
            assert!(taken(text).is_err(), "{text:?}");
        }
        assert!(taken(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: 1\r\n".repeat(MAX_HEADERS))).is_ok());
    }

    #[test]
    fn a_body_is_delimited_as_the_standard_says() {
        let (until_close, chunked) =
            ((BodyFraming::UntilClose, BodyLength::Unknown), (BodyFraming::Chunked, BodyLength::Unknown));
        let five = (BodyFraming::Length(5), BodyLength::Known(5));
        for (lines, expected) in [
            ("", Ok(until_close)),
            ("Content-Length: 5\r\n", Ok(five)),
            ("Content-Length: 5, 5\r\nContent-Length: 5\r\n", Ok(five)),
            ("Content-Length: 5\r\nContent-Length: 6\r\n", Err(BadResponseHead)),
            ("Content-Length: 5, 6\r\n", Err(BadResponseHead)),
            ("Content-Length: +5\r\n", Err(BadResponseHead)),
            ("Content-Length: 05\r\n", Err(BadResponseHead)),
            ("Content-Length: -5\r\n", Err(BadResponseHead)),
            ("Content-Length:\r\n", Err(BadResponseHead)),
            ("Transfer-Encoding: Chunked\r\n", Ok(chunked)),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Ok(chunked)),
            ("Transfer-Encoding: gzip, chunked\r\n", Err(BadResponseHead)),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Err(BadResponseHead)),
            ("Transfer-Encoding: gzip\r\n", Err(BadResponseHead)),
        ] {
            assert_eq!(head(lines).framing(false), expected, "{lines:?}");
            assert!(!head(lines).headers.contains(&CONTENT_LENGTH), "{lines:?}");
            let is_length_wrong = expected.is_err() && lines.starts_with("Content-Length");
            let announced = if expected == Ok(five) { BodyLength::Announced(5) } else { BodyLength::None };
            let without_body =
                if is_length_wrong { Err(BadResponseHead) } else { Ok((BodyFraming::Length(0), announced)) };
            assert_eq!(head(lines).framing(true), without_body, "{lines:?}, and it was HEAD");
            let not_modified = taken(&format!("HTTP/1.1 304 Not Modified\r\n{lines}\r\n")).unwrap().unwrap();
            assert_eq!(not_modified.framing(false), without_body, "{lines:?} in a 304");
        }
        let of = |line: &str, more: &str| taken(&format!("{line}\r\n{more}\r\n\r\n")).unwrap().unwrap();
        let none = Ok((BodyFraming::Length(0), BodyLength::None));
        for line in ["HTTP/1.1 204 No Content", "HTTP/1.1 101 Switching Protocols"] {
            assert_eq!(of(line, "Transfer-Encoding: chunked").framing(false), none, "{line}");
            assert_eq!(of(line, "Content-Length: 0").framing(false), none, "{line}");
        }
        assert_eq!(of("HTTP/1.0 200 OK", "Transfer-Encoding: chunked").framing(false), Err(BadResponseHead));
    }

    #[test]
    fn over_http2_the_length_has_to_agree_with_the_end_of_the_stream() {
        let length = |status: u16, lines: &[&str], is_head, has_ended| {
            let mut response = http::Response::builder().status(status);
            for line in lines {
                response = response.header(CONTENT_LENGTH, *line);
            }
            let head = ResponseHead::of_stream(response.body(()).unwrap().into_parts().0);
            assert!(!head.headers.contains(&CONTENT_LENGTH));
            head.length_on_stream(is_head, has_ended)
        };
        assert_eq!(length(200, &[], false, false), Ok(BodyLength::Unknown));
        assert_eq!(length(200, &[], false, true), Ok(BodyLength::None));
        assert_eq!(length(200, &["5"], false, false), Ok(BodyLength::Known(5)));
        assert_eq!(length(200, &["0"], false, true), Ok(BodyLength::Known(0)));
        assert_eq!(length(200, &["5"], false, true), Err(BadResponseHead));
        for lines in [&["05"][..], &["+5"], &["5", "6"], &["5, 6"], &[""]] {
            assert_eq!(length(200, lines, false, false), Err(BadResponseHead), "{lines:?}");
        }
        for (status, is_head) in [(200, true), (304, false)] {
            assert_eq!(length(status, &["5"], is_head, true), Ok(BodyLength::Announced(5)), "{status}");
            assert_eq!(length(status, &["05"], is_head, true), Err(BadResponseHead), "{status}");
        }
        assert_eq!(length(204, &["0"], false, true), Ok(BodyLength::None));
    }

    #[test]
    fn a_connection_is_reused_if_both_sides_agree_on_its_state() {
        assert!(head("").stays_open() && head("Connection: x, keep-alive\r\n").stays_open());
        assert!(!head("Connection: x, Close\r\n").stays_open());
        assert!(!head("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n").stays_open());
        let old = |lines: &str| taken(&format!("HTTP/1.0 200 OK\r\n{lines}\r\n")).unwrap().unwrap();
        assert!(!old("").stays_open() && old("Connection: Keep-Alive\r\n").stays_open());
        assert!(!old("Connection: keep-alive, close\r\n").stays_open(), "close counts");
    }
}
