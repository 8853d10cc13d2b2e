//! Judges the headers of a request over HTTP/2. hyper has seen to the frames, the pseudo-headers, the letters of names and
//! the headers that speak about a connection (RFC 9113 §8.2); this is what it lets through, and what a service of HTTP/1.1
//! would stumble over.

use http::{
    HeaderName,
    header::{CONTENT_LENGTH, COOKIE, HOST},
};

use super::{
    head::{BadHead, MAX_HEADERS},
    header_list::HeaderList,
};

/// Judges, and puts cookies together that came in pieces.
pub(super) fn judge(headers: &mut HeaderList) -> Result<(), BadHead> {
    join_cookies(headers);
    if headers.len() > MAX_HEADERS {
        return Err(BadHead::TooLarge);
    }
    let more_than_one = |name: HeaderName| headers.all(name).nth(1).is_some();
    if more_than_one(CONTENT_LENGTH) {
        return Err(BadHead::ContentLength);
    }
    if more_than_one(HOST) {
        return Err(BadHead::Host);
    }
    // RFC 9113 §8.2.1: a service that trims them would read something else than we did.
    let is_padded = |value: &[u8]| value.trim_ascii().len() != value.len();
    if headers.iter().any(|(_, value)| is_padded(value)) { Err(BadHead::HeaderValue) } else { Ok(()) }
}

/// A client may send each cookie as a field of its own, which HTTP/1.1 does not know (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderList) {
    let pieces: Vec<&[u8]> = headers.all(COOKIE).collect();
    if pieces.len() > 1 {
        let whole = pieces.join(&b"; "[..]);
        headers.insert(COOKIE, whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(headers: &[(&str, &str)]) -> Result<HeaderList, BadHead> {
        let all = headers.iter();
        let mut headers = all.map(|(name, value)| (name.parse().unwrap(), value)).collect();
        judge(&mut headers)?;
        Ok(headers)
    }

    #[test]
    fn what_a_service_could_read_differently_is_refused() {
        for (headers, fault) in [
            (&[("content-length", "1"), ("content-length", "1")][..], BadHead::ContentLength),
            (&[("host", "a"), ("host", "a")], BadHead::Host),
            (&[("x", " a")], BadHead::HeaderValue),
            (&[("x", "a\t")], BadHead::HeaderValue),
            (&[("x", "a"); MAX_HEADERS + 1], BadHead::TooLarge),
        ] {
            assert_eq!(judged(headers).unwrap_err(), fault, "{headers:?}");
        }
        assert!(judged(&[("host", "a"), ("content-length", "1"), ("x", ""), ("x", "a b")]).is_ok());
    }

    #[test]
    fn cookies_come_in_one_piece() {
        let headers =
            judged(&[("cookie", "a=1"), ("accept", "*/*"), ("cookie", "b=2; c=3"), ("cookie", "d=4")]).unwrap();
        let cookies: Vec<_> = headers.all(COOKIE).collect();
        assert_eq!(cookies, [b"a=1; b=2; c=3; d=4"]);
        assert!(judged(&[("cookie", "a=1"); MAX_HEADERS + 1]).is_ok(), "pieces of one header are not many headers");
    }
}
