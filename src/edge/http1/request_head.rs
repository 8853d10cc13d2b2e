//! Parses the head of an HTTP/1.x request, more strictly than most servers do: a head that two servers could frame
//! differently is refused (RFC 9112 §2-6), so that no second request can hide in it.

use std::ops::Range;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Uri, Version,
    header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
};
use memchr::memchr;
use thiserror::Error;

use super::body_framing::{BodyFraming, number};
use crate::edge::http::{
    header_list::{HeaderList, Line},
    message::RequestHead,
};

/// The longest head, request line included.
pub(crate) const MAX_HEAD_BYTES: usize = 16 * 1024;

/// The most headers.
pub(crate) const MAX_HEADERS: usize = 100;

/// The initial capacity of the header list: enough for most clients, so that the list need not grow, and below one
/// kilobyte: the allocator has more blocks of such sizes at hand.
const ROOM_FOR_HEADERS: usize = 14;

/// The reason why a head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum BadHead {
    /// Longer than [`MAX_HEAD_BYTES`], or more than [`MAX_HEADERS`] headers.
    #[error("the request head is larger than 16 KiB, or has more than 100 header lines")]
    TooLarge,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    #[error("this HTTP version is not supported")]
    Version,
    /// Not `method SP target SP version`.
    #[error("the request line is malformed")]
    RequestLine,
    /// A fragment, or a character that has to be percent-encoded.
    #[error("the request target has a fragment, or a character that must be percent-encoded")]
    Target,
    /// A line ends with only LF, or contains a CR.
    #[error("a line of the request head does not end with CR LF")]
    LineEnd,
    /// A blank before the colon, or a name that is no token.
    #[error("a header's name is malformed")]
    HeaderName,
    /// A line that continues the previous one (RFC 9112 §5.2).
    #[error("a header line is folded")]
    Folded,
    /// A control character in a header's value, or, over HTTP/2, a blank at either end of it.
    #[error("a header's value has a control character, or a blank at its end")]
    HeaderValue,
    /// Missing in HTTP/1.1, or more than one.
    #[error("a request must have exactly one Host header")]
    Host,
    /// Not a number, or more than one.
    #[error("the Content-Length must be one decimal number without leading zeros")]
    ContentLength,
    /// In HTTP/1.0, or anything but one final `chunked`.
    #[error("the Transfer-Encoding must be chunked, once, in HTTP/1.1")]
    TransferEncoding,
    /// Both at once.
    #[error("Content-Length and Transfer-Encoding must not be combined")]
    TwoLengths,
    /// Plain HTTP on a TLS port.
    #[error("a plain HTTP request was sent to an HTTPS port; use https://")]
    PlainHttp,
}

/// The head of a request that was found valid.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) request: RequestHead,
    /// The framing of its body.
    pub(crate) framing: BodyFraming,
}

/// The end of the head at the start of `bytes`, if it is complete. The search continues at `scanned`, where the last
/// call stopped.
pub(crate) fn end(bytes: &[u8], scanned: &mut usize) -> Result<Option<usize>, BadHead> {
    let start = leading_blank_lines(bytes);
    let mut at = (*scanned).max(start);
    while let Some(found) = memchr(b'\n', &bytes[at..]) {
        let line_feed = at + found;
        if line_feed == 0 || bytes[line_feed - 1] != b'\r' {
            return Err(BadHead::LineEnd);
        }
        if line_feed >= start + 3 && bytes[line_feed - 3..line_feed - 1] == *b"\r\n" {
            let end = line_feed + 1;
            // Another call returns at once.
            *scanned = line_feed;
            return if end > MAX_HEAD_BYTES { Err(BadHead::TooLarge) } else { Ok(Some(end)) };
        }
        at = line_feed + 1;
    }
    *scanned = at.max(bytes.len());
    if bytes.len() > MAX_HEAD_BYTES { Err(BadHead::TooLarge) } else { Ok(None) }
}

/// The length of an empty line before the request line: one is ignored (RFC 9112 §2.2).
fn leading_blank_lines(bytes: &[u8]) -> usize {
    if bytes.starts_with(b"\r\n") { 2 } else { 0 }
}

/// Parses a complete head.
pub(crate) fn parse(head: &Bytes) -> Result<Head, BadHead> {
    let mut rest = Lines { text: head, at: leading_blank_lines(head) };
    let (method, uri, version) = request_line(head, rest.next().ok_or(BadHead::RequestLine)?)?;
    let mut lines = Vec::with_capacity(ROOM_FOR_HEADERS);
    let mut length = None;
    let (mut chunked, mut has_host) = (false, false);
    for (count, line) in rest.enumerate() {
        if count >= MAX_HEADERS {
            return Err(BadHead::TooLarge);
        }
        let at = line.start;
        let (name, value) = header_line(head, line)?;
        if name == HOST {
            if std::mem::replace(&mut has_host, true) {
                return Err(BadHead::Host);
            }
        } else if name == CONTENT_LENGTH {
            let this = number(&head[value]).ok_or(BadHead::ContentLength)?;
            if length.replace(this).is_some() {
                return Err(BadHead::ContentLength);
            }
            continue;
        } else if name == TRANSFER_ENCODING {
            if version == Version::HTTP_10 || chunked || !head[value].eq_ignore_ascii_case(b"chunked") {
                return Err(BadHead::TransferEncoding);
            }
            chunked = true;
            continue;
        }
        lines.push(Line::new(name, at, value));
    }
    // `Host` is optional in HTTP/1.0.
    if !has_host && version != Version::HTTP_10 {
        return Err(BadHead::Host);
    }
    let (framing, length) = BodyFraming::of_request(chunked, length).ok_or(BadHead::TwoLengths)?;
    let headers = HeaderList::new(head.clone(), lines);
    Ok(Head { request: RequestHead { method, uri, version, headers, length }, framing })
}

/// Parses the trailers after a chunked body; `section` ends with the last line, or with the empty line (RFC 9112
/// §7.1.2).
pub(crate) fn parse_trailers(section: &Bytes) -> Result<HeaderMap, BadHead> {
    let mut trailers = HeaderMap::new();
    for line in (Lines { text: section, at: 0 }) {
        let (name, value) = header_line(section, line)?;
        let value = HeaderValue::from_maybe_shared(section.slice(value)).map_err(|_| BadHead::HeaderValue)?;
        trailers.append(name, value);
    }
    Ok(trailers)
}

/// The ranges of the lines of a head, without their line ends, up to the empty line.
struct Lines<'h> {
    text: &'h [u8],
    at: usize,
}

impl Iterator for Lines<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let begins = self.at;
        let line_feed = begins + memchr(b'\n', &self.text[begins..])?;
        self.at = line_feed + 1;
        // `end()` has checked that a CR precedes each LF.
        let line = begins..line_feed.saturating_sub(1);
        (!line.is_empty()).then_some(line)
    }
}

fn request_line(head: &Bytes, line: Range<usize>) -> Result<(Method, Uri, Version), BadHead> {
    let line = &head[line];
    if memchr(b'\r', line).is_some() {
        return Err(BadHead::LineEnd);
    }
    let mut parts = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(BadHead::RequestLine);
    };
    if !is_target(target) {
        return Err(BadHead::Target);
    }
    let method = Method::from_bytes(method).map_err(|_| BadHead::RequestLine)?;
    let uri = Uri::from_maybe_shared(head.slice_ref(target)).map_err(|_| BadHead::RequestLine)?;
    match version {
        b"HTTP/1.1" => Ok((method, uri, Version::HTTP_11)),
        b"HTTP/1.0" => Ok((method, uri, Version::HTTP_10)),
        _ if version.starts_with(b"HTTP/") => Err(BadHead::Version),
        _ => Err(BadHead::RequestLine),
    }
}

/// Whether a request target has only valid characters. A fragment is never sent (RFC 9112 §3.2), and would be cut off
/// silently.
pub(crate) fn is_target(target: &[u8]) -> bool {
    target.iter().all(|&byte| byte.is_ascii_graphic() && byte != b'#')
}

/// The name of a header, and the range of its value.
fn header_line(head: &[u8], line: Range<usize>) -> Result<(HeaderName, Range<usize>), BadHead> {
    let (begins, ends) = (line.start, line.end);
    let line = &head[line];
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(BadHead::Folded);
    }
    let colon = memchr(b':', line).ok_or(BadHead::HeaderName)?;
    let name = HeaderName::from_bytes(&line[..colon]).map_err(|_| BadHead::HeaderName)?;
    let value = &line[colon + 1..];
    let is_control = |byte: u8| (byte < 0x20 && byte != b'\t') || byte == 0x7f;
    // No early exit: that way, many bytes are checked at once.
    if value.iter().fold(false, |any, &byte| any | is_control(byte)) {
        let first = value.iter().find(|&&byte| is_control(byte));
        return Err(if first == Some(&b'\r') { BadHead::LineEnd } else { BadHead::HeaderValue });
    }
    Ok((name, trimmed(head, begins + colon + 1..ends)))
}

/// The range of a value without the surrounding blanks (RFC 9112 §5).
fn trimmed(head: &[u8], mut value: Range<usize>) -> Range<usize> {
    let is_blank = |at: usize| matches!(head[at], b' ' | b'\t');
    while !value.is_empty() && is_blank(value.start) {
        value.start += 1;
    }
    while !value.is_empty() && is_blank(value.end - 1) {
        value.end -= 1;
    }
    value
}

#[cfg(test)]
mod tests;
