//! Reads the head of a service's answer (RFC 9112 §4, §5), and how its body is delimited.

use std::{mem::MaybeUninit, ops::Range};

use bytes::BytesMut;
use http::{
    HeaderName, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING},
};
use httparse::{ParserConfig, Status};

use super::{
    head::{Extent, number},
    header_list::{HeaderList, Line},
    headers::names,
};

/// The most header lines of an answer.
const MAX_HEADERS: usize = 100;

/// What we add.
const ROOM_FOR_OURS: usize = 4;

/// What came is no head of an answer, or none that can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadAnswerHead;

/// See the module.
#[derive(Debug)]
pub(super) struct AnswerHead {
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) headers: HeaderList,
}

impl AnswerHead {
    /// Takes a head out of what `input` begins with; `None` if more of it has to come first.
    pub(super) fn take(input: &mut BytesMut) -> Result<Option<Self>, BadAnswerHead> {
        let mut lines = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut answer = httparse::Response::new(&mut []);
        let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut answer, input, &mut lines);
        let Status::Complete(end) = parsed.map_err(|_| BadAnswerHead)? else { return Ok(None) };
        let version = if answer.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
        let status = answer.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(BadAnswerHead)?;
        let mut lines = Vec::with_capacity(answer.headers.len() + ROOM_FOR_OURS);
        for line in &*answer.headers {
            let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| BadAnswerHead)?;
            lines.push(Line::new(name, place(input, line.name.as_bytes()).start, place(input, line.value)));
        }
        Ok(Some(Self { status, version, headers: HeaderList::new(input.split_to(end).freeze(), lines) }))
    }

    /// Whether another head follows for the same request.
    pub(super) fn is_interim(&self) -> bool {
        self.status.is_informational() && self.status != StatusCode::SWITCHING_PROTOCOLS
    }

    /// How the body is delimited (RFC 9112 §6.3), for the answer to a `HEAD` or to anything else.
    pub(super) fn extent(&self, is_head: bool) -> Result<Extent, BadAnswerHead> {
        let has_none = is_head || self.status.is_informational() || matches!(self.status.as_u16(), 204 | 304);
        if self.headers.contains(&TRANSFER_ENCODING) && has_none {
            return Ok(Extent::Length(0));
        }
        if self.headers.contains(&TRANSFER_ENCODING) {
            // Another coding would be passed on without its name (RFC 9112 §6.1). HTTP/1.0 does not know any.
            let mut codings = names(&self.headers, TRANSFER_ENCODING);
            let is_chunked = codings.next().is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked"));
            let is_only = codings.next().is_none() && self.version == Version::HTTP_11;
            return if is_chunked && is_only { Ok(Extent::Chunked) } else { Err(BadAnswerHead) };
        }
        // A length goes on even where there is no body, so it has to be one.
        let length = self.length()?;
        if has_none { Ok(Extent::Length(0)) } else { Ok(length.map_or(Extent::UntilClose, Extent::Length)) }
    }

    /// `Content-Length`, which may be said more than once, but not differently (RFC 9110 §8.6).
    fn length(&self) -> Result<Option<u64>, BadAnswerHead> {
        let mut lengths = names(&self.headers, CONTENT_LENGTH).map(number);
        match lengths.next() {
            None if self.headers.contains(&CONTENT_LENGTH) => Err(BadAnswerHead),
            None => Ok(None),
            Some(first) => first.filter(|_| lengths.all(|other| other == first)).map(Some).ok_or(BadAnswerHead),
        }
    }

    /// Whether the connection can be used again (RFC 9112 §9.3). Not if the answer was framed in two ways (RFC 9112 §6.3).
    pub(super) fn stays_open(&self) -> bool {
        let says = |option: &[u8]| names(&self.headers, CONNECTION).any(|name| name.eq_ignore_ascii_case(option));
        let is_framed_twice = self.headers.contains(&TRANSFER_ENCODING) && self.headers.contains(&CONTENT_LENGTH);
        !is_framed_twice && if self.version == Version::HTTP_10 { says(b"keep-alive") } else { !says(b"close") }
    }

    /// Whether one length is said at most, and once.
    fn has_plain_length(&self) -> bool {
        let mut lengths = self.headers.all(CONTENT_LENGTH);
        lengths.next().is_none_or(|length| number(length).is_some()) && lengths.next().is_none()
    }

    /// The head as it goes on: with one length at most, and none that does not count.
    pub(super) fn with_one_length(mut self) -> Self {
        if self.headers.contains(&TRANSFER_ENCODING) || self.status == StatusCode::NO_CONTENT {
            self.headers.remove(&CONTENT_LENGTH);
        } else if !self.has_plain_length() {
            let length = names(&self.headers, CONTENT_LENGTH).next().map(<[u8]>::to_vec);
            if let Some(length) = length {
                self.headers.insert(CONTENT_LENGTH, length);
            }
        }
        self
    }
}

/// Where a part of a head stands in it.
fn place(head: &[u8], part: &[u8]) -> Range<usize> {
    // What is empty need not stand anywhere.
    let begins = if part.is_empty() { 0 } else { part.as_ptr().addr().wrapping_sub(head.as_ptr().addr()) };
    begins..begins + part.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> Result<Option<AnswerHead>, BadAnswerHead> {
        AnswerHead::take(&mut BytesMut::from(text))
    }

    fn head(lines: &str) -> AnswerHead {
        taken(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n")).unwrap().unwrap()
    }

    #[test]
    fn a_head_is_taken_out_when_it_is_whole() {
        let text = "HTTP/1.1 201 Created\r\nX-A:  b c \r\nX-Empty:\r\nset-cookie: a\r\nSet-Cookie: b\r\n\r\nbody";
        for upto in 0..text.len() - 4 {
            assert!(taken(&text[..upto]).unwrap().is_none(), "{upto}");
        }
        let mut input = BytesMut::from(text);
        let head = AnswerHead::take(&mut input).unwrap().unwrap();
        assert_eq!((head.status.as_u16(), head.version, &input[..]), (201, Version::HTTP_11, &b"body"[..]));
        assert_eq!((&head.headers["x-a"], &head.headers["x-empty"]), ("b c", ""));
        assert_eq!(head.headers.all(http::header::SET_COOKIE).count(), 2);
    }

    #[test]
    fn what_is_no_answer_is_refused() {
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
        for (lines, expected) in [
            ("", Ok(Extent::UntilClose)),
            ("Content-Length: 5\r\n", Ok(Extent::Length(5))),
            ("Content-Length: 5, 5\r\nContent-Length: 5\r\n", Ok(Extent::Length(5))),
            ("Content-Length: 5\r\nContent-Length: 6\r\n", Err(BadAnswerHead)),
            ("Content-Length: 5, 6\r\n", Err(BadAnswerHead)),
            ("Content-Length: +5\r\n", Err(BadAnswerHead)),
            ("Content-Length: -5\r\n", Err(BadAnswerHead)),
            ("Content-Length:\r\n", Err(BadAnswerHead)),
            ("Transfer-Encoding: Chunked\r\n", Ok(Extent::Chunked)),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Ok(Extent::Chunked)),
            ("Transfer-Encoding: gzip, chunked\r\n", Err(BadAnswerHead)),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Err(BadAnswerHead)),
            ("Transfer-Encoding: gzip\r\n", Err(BadAnswerHead)),
        ] {
            assert_eq!(head(lines).extent(false), expected, "{lines:?}");
            let is_length_wrong = expected.is_err() && lines.starts_with("Content-Length");
            let without_body = if is_length_wrong { Err(BadAnswerHead) } else { Ok(Extent::Length(0)) };
            assert_eq!(head(lines).extent(true), without_body, "{lines:?}, and it was HEAD");
            let not_modified = taken(&format!("HTTP/1.1 304 Not Modified\r\n{lines}\r\n")).unwrap().unwrap();
            assert_eq!(not_modified.extent(false), without_body, "{lines:?} in a 304");
        }
        let of = |line: &str| taken(&format!("{line}\r\nTransfer-Encoding: chunked\r\n\r\n")).unwrap().unwrap();
        for line in ["HTTP/1.1 204 No Content", "HTTP/1.1 304 Not Modified", "HTTP/1.1 101 Switching Protocols"] {
            assert_eq!(of(line).extent(false), Ok(Extent::Length(0)), "{line}");
        }
        assert_eq!(of("HTTP/1.0 200 OK").extent(false), Err(BadAnswerHead));
    }

    #[test]
    fn a_connection_is_used_again_if_both_sides_know_where_they_are() {
        assert!(head("").stays_open() && head("Connection: x, keep-alive\r\n").stays_open());
        assert!(!head("Connection: x, Close\r\n").stays_open());
        assert!(!head("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n").stays_open());
        let old = |lines: &str| taken(&format!("HTTP/1.0 200 OK\r\n{lines}\r\n")).unwrap().unwrap();
        assert!(!old("").stays_open() && old("Connection: Keep-Alive\r\n").stays_open());
    }

    #[test]
    fn one_length_goes_on_at_most() {
        let lengths = |lines: &str| {
            let head = head(lines).with_one_length();
            head.headers.all(CONTENT_LENGTH).map(|value| String::from_utf8(value.to_vec()).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(lengths("Content-Length: 5, 5\r\nContent-Length: 5\r\n"), ["5"]);
        assert!(lengths("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n").is_empty());
        let none = taken("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n").unwrap().unwrap();
        assert_eq!(none.with_one_length().headers.len(), 0);
    }
}
