//! Judges the raw bytes of a request head before hyper reads them, more strictly than hyper does: what two servers could
//! frame differently is refused (RFC 9112 §2-6), so that nothing can hide behind it.

use thiserror::Error;

/// The longest head, request line included. hyper is given the same limit.
pub(super) const MAX_HEAD_BYTES: usize = 16 * 1024;

/// The most header lines. hyper's own limit, beyond which it would answer by itself.
pub(super) const MAX_HEADERS: usize = 100;

/// Why a head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum BadHead {
    /// Longer than [`MAX_HEAD_BYTES`], or more than [`MAX_HEADERS`] lines.
    #[error("the request head is too large")]
    TooLarge,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    #[error("this HTTP version is not served here")]
    Version,
    /// Not `method SP target SP version`.
    #[error("the request line is malformed")]
    RequestLine,
    /// A line ends with LF alone, or has a CR in it.
    #[error("a line of the request head does not end with CR LF")]
    LineEnd,
    /// A blank before the colon, or a name that is no token.
    #[error("a header's name is malformed")]
    HeaderName,
    /// A line that continues the one before (RFC 9112 §5.2).
    #[error("a header line is folded")]
    Folded,
    /// A control character in a header's value, or, over HTTP/2, a blank at either end of it.
    #[error("a header's value has a control character, or a blank at its end")]
    HeaderValue,
    /// None, or more than one.
    #[error("a request needs exactly one Host header")]
    Host,
    /// Not a number, or two that differ.
    #[error("the Content-Length is invalid")]
    ContentLength,
    /// In HTTP/1.0, or anything but one final `chunked`.
    #[error("the Transfer-Encoding is not one final chunked")]
    TransferEncoding,
    /// Both at once.
    #[error("Content-Length and Transfer-Encoding exclude each other")]
    TwoLengths,
}

/// How the body behind a head is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delimiter {
    /// By its length; zero if there is none.
    Length(u64),
    /// By chunks.
    Chunked,
    /// There is none, and what follows may be no request: `Upgrade` is there, and the answer decides.
    Undecided,
}

/// Where the head that `bytes` begin with ends, if it does. Looking goes on at `scanned`, up to where an earlier call came.
pub(super) fn end(bytes: &[u8], scanned: &mut usize) -> Result<Option<usize>, BadHead> {
    let start = leading_blank_lines(bytes);
    let mut at = (*scanned).max(start);
    while let Some(found) = bytes[at..].iter().position(|&byte| byte == b'\n') {
        let line_feed = at + found;
        if line_feed == 0 || bytes[line_feed - 1] != b'\r' {
            return Err(BadHead::LineEnd);
        }
        if line_feed >= start + 3 && bytes[line_feed - 3..line_feed - 1] == *b"\r\n" {
            let end = line_feed + 1;
            return if end > MAX_HEAD_BYTES { Err(BadHead::TooLarge) } else { Ok(Some(end)) };
        }
        at = line_feed + 1;
    }
    *scanned = at.max(bytes.len());
    if bytes.len() > MAX_HEAD_BYTES { Err(BadHead::TooLarge) } else { Ok(None) }
}

/// One empty line before a request line is to be ignored (RFC 9112 §2.2); hyper does so too.
fn leading_blank_lines(bytes: &[u8]) -> usize {
    if bytes.starts_with(b"\r\n") { 2 } else { 0 }
}

/// Judges a whole head and says how its body is delimited.
pub(super) fn judge(head: &[u8]) -> Result<Delimiter, BadHead> {
    let mut lines = Lines(&head[leading_blank_lines(head)..]);
    let is_http_10 = judge_request_line(lines.next().ok_or(BadHead::RequestLine)?)?;
    let mut hosts = 0_usize;
    let mut length = None;
    let mut chunked = false;
    let mut upgrade = false;
    for (count, line) in lines.enumerate() {
        if count >= MAX_HEADERS {
            return Err(BadHead::TooLarge);
        }
        let (name, value) = judge_header_line(line)?;
        if name.eq_ignore_ascii_case(b"host") {
            hosts += 1;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let this = number(value).ok_or(BadHead::ContentLength)?;
            if length.replace(this).is_some_and(|other| other != this) {
                return Err(BadHead::ContentLength);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if is_http_10 || chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(BadHead::TransferEncoding);
            }
            chunked = true;
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            upgrade = true;
        }
    }
    match (chunked, length) {
        _ if hosts != 1 => Err(BadHead::Host),
        (true, Some(_)) => Err(BadHead::TwoLengths),
        (true, None) => Ok(Delimiter::Chunked),
        (false, None | Some(0)) if upgrade => Ok(Delimiter::Undecided),
        (false, length) => Ok(Delimiter::Length(length.unwrap_or(0))),
    }
}

/// The lines of a head without their ends, up to the empty one.
struct Lines<'h>(&'h [u8]);

impl<'h> Iterator for Lines<'h> {
    type Item = &'h [u8];

    fn next(&mut self) -> Option<&'h [u8]> {
        let end = self.0.iter().position(|&byte| byte == b'\n')?;
        // `end()` has seen that a CR stands before each LF.
        let line = &self.0[..end.saturating_sub(1)];
        self.0 = &self.0[end + 1..];
        (!line.is_empty()).then_some(line)
    }
}

/// Whether the request is HTTP/1.0.
fn judge_request_line(line: &[u8]) -> Result<bool, BadHead> {
    if line.contains(&b'\r') {
        return Err(BadHead::LineEnd);
    }
    let mut parts = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(BadHead::RequestLine);
    };
    let good_method = !method.is_empty() && method.iter().all(|&byte| is_token_byte(byte));
    // A fragment is never sent (RFC 9112 §3.2), and hyper would cut it off without a word.
    let good_target = !target.is_empty() && target.iter().all(|&byte| byte.is_ascii_graphic() && byte != b'#');
    if !good_method || !good_target || !is_uri(target) {
        return Err(BadHead::RequestLine);
    }
    match version {
        b"HTTP/1.1" => Ok(false),
        b"HTTP/1.0" => Ok(true),
        _ if version.starts_with(b"HTTP/") => Err(BadHead::Version),
        _ => Err(BadHead::RequestLine),
    }
}

/// Whether hyper will be able to read a target. What it cannot read it would refuse by itself, without a request id.
fn is_uri(target: &[u8]) -> bool {
    let plain = |&byte: &u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%?[]".contains(&byte);
    (target[0] == b'/' && target.iter().all(plain)) || http::Uri::try_from(target).is_ok()
}

/// The name and the value of a header line.
fn judge_header_line(line: &[u8]) -> Result<(&[u8], &[u8]), BadHead> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(BadHead::Folded);
    }
    let colon = line.iter().position(|&byte| byte == b':').ok_or(BadHead::HeaderName)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.is_empty() || !name.iter().all(|&byte| is_token_byte(byte)) {
        return Err(BadHead::HeaderName);
    }
    match value.iter().find(|&&byte| (byte < 0x20 && byte != b'\t') || byte == 0x7f) {
        Some(b'\r') => Err(BadHead::LineEnd),
        Some(_) => Err(BadHead::HeaderValue),
        None => Ok((name, value.trim_ascii())),
    }
}

fn number(text: &[u8]) -> Option<u64> {
    // Digits alone (`parse` would take `+5`), and no leading zero, which somebody might take for octal.
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit) && (text.len() == 1 || text[0] != b'0');
    digits.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten().filter(|&length| length < u64::MAX - 2)
}

/// `tchar` of RFC 9110 §5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests;
