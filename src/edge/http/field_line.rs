//! Writes headers in the format of HTTP/1.1.

use http::{HeaderName, HeaderValue};

/// Writes headers.
pub(crate) fn put_headers<'h>(headers: impl Iterator<Item = (&'h HeaderName, &'h HeaderValue)>, into: &mut Vec<u8>) {
    for (name, value) in headers {
        put_header(name.as_str(), value.as_bytes(), into);
    }
}

/// Writes a header.
pub(crate) fn put_header(name: &str, value: &[u8], into: &mut Vec<u8>) {
    put_header_of(name, &[value], into);
}

/// Writes a header whose value consists of several pieces.
pub(crate) fn put_header_of(name: &str, pieces: &[&[u8]], into: &mut Vec<u8>) {
    into.extend_from_slice(name.as_bytes());
    into.extend_from_slice(b": ");
    for piece in pieces {
        into.extend_from_slice(piece);
    }
    into.extend_from_slice(b"\r\n");
}

/// Writes `Content-Length`.
pub(crate) fn put_length(length: u64, into: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = length;
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    put_header("content-length", &digits[at..], into);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_full() {
        for number in [0, 9, 10, 12345, u64::MAX] {
            let mut line = Vec::new();
            put_length(number, &mut line);
            assert_eq!(line, format!("content-length: {number}\r\n").into_bytes());
        }
    }
}
