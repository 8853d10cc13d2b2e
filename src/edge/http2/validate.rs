//! Validates the head of an HTTP/2 request. The h2 library has checked the frames, the pseudo-headers, the case of
//! names and the hop-by-hop headers (RFC 9113 §8.2). This module rejects what the library accepts but an HTTP/1.1
//! upstream may misread. A head that is refused over HTTP/1 is refused here, too.

use http::{
    HeaderMap, HeaderName,
    header::{CONTENT_LENGTH, COOKIE, HOST},
};

use crate::edge::{
    http::{
        header_list::HeaderList,
        message::{BodyLength, RequestHead},
    },
    http1::{
        body_framing::number,
        request_head::{BadHead, MAX_HEADERS, is_target},
    },
};

/// Validates a head, joins split cookies, and removes the length from the headers. `has_body` is whether anything may
/// follow the head.
pub(crate) fn validate(request: &mut RequestHead, has_body: bool) -> Result<(), BadHead> {
    let target = request.uri.path_and_query().map_or("", |target| target.as_str());
    // RFC 9113 §8.3.1: `?a` is no path, though a parser may read it as `/?a`.
    if !is_target(target.as_bytes()) || !(target.starts_with('/') || target == "*") {
        return Err(BadHead::Target);
    }
    let headers = &mut request.headers;
    join_cookies(headers);
    if headers.len() > MAX_HEADERS {
        return Err(BadHead::TooLarge);
    }
    request.length = length(headers, has_body)?;
    headers.remove(&CONTENT_LENGTH);
    if headers.all(HOST).nth(1).is_some() {
        return Err(BadHead::Host);
    }
    if headers.iter().any(|(name, _)| is_quoted(name)) {
        return Err(BadHead::HeaderName);
    }
    if headers.iter().any(|(_, value)| is_padded(value)) { Err(BadHead::HeaderValue) } else { Ok(()) }
}

/// Whether a value begins or ends with a blank, which makes its message malformed (RFC 9113 §8.2.1): recipients read it
/// differently, and some close the connection.
fn is_padded(value: &[u8]) -> bool {
    value.trim_ascii().len() != value.len()
}

/// Whether a name is not a token (RFC 9110 §5.6.2), as over HTTP/1. Of all the other characters, the library accepts
/// only `"`.
fn is_quoted(name: &HeaderName) -> bool {
    name.as_str().contains('"')
}

/// Whether headers make their HTTP/2 message malformed although the library accepts them.
pub(crate) fn are_malformed(fields: &HeaderMap) -> bool {
    fields.iter().any(|(name, value)| is_quoted(name) || is_padded(value.as_bytes()))
}

/// The declared length. The h2 library checks that as many bytes come (RFC 9113 §8.1.1), and so does the HTTP/1 writer.
fn length(headers: &HeaderList, has_body: bool) -> Result<BodyLength, BadHead> {
    let mut said = headers.all(CONTENT_LENGTH);
    match (said.next().map(number), said.next()) {
        (None, _) if has_body => Ok(BodyLength::Unknown),
        (None, _) => Ok(BodyLength::None),
        (Some(Some(length)), None) if has_body || length == 0 => Ok(BodyLength::Known(length)),
        (Some(_), _) => Err(BadHead::ContentLength),
    }
}

/// Joins the cookies: a client may send each as a header of its own, which HTTP/1.1 does not allow (RFC 9113 §8.2.3).
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

    fn validated_at(target: &str, headers: &[(&str, &str)], has_body: bool) -> Result<RequestHead, BadHead> {
        // As the library parses them.
        let name = |name: &str| HeaderName::from_lowercase(name.as_bytes()).unwrap();
        let headers = headers.iter().map(|(of_header, value)| (name(of_header), value)).collect();
        let uri = format!("http://a{target}").parse().unwrap();
        let mut request = RequestHead { uri, headers, ..RequestHead::default() };
        validate(&mut request, has_body).map(|()| request)
    }

    fn validated(headers: &[(&str, &str)]) -> Result<HeaderList, BadHead> {
        validated_at("/", headers, true).map(|request| request.headers)
    }

    #[test]
    fn ambiguous_heads_are_refused() {
        for (headers, fault) in [
            (&[("content-length", "1"), ("content-length", "1")][..], BadHead::ContentLength),
            (&[("content-length", "00")], BadHead::ContentLength),
            (&[("content-length", "076")], BadHead::ContentLength),
            (&[("content-length", "+5")], BadHead::ContentLength),
            (&[("content-length", "5, 5")], BadHead::ContentLength),
            (&[("content-length", "")], BadHead::ContentLength),
            (&[("content-length", " 5")], BadHead::ContentLength),
            (&[("host", "a"), ("host", "a")], BadHead::Host),
            (&[("x", " a")], BadHead::HeaderValue),
            (&[("x", "a\t")], BadHead::HeaderValue),
            (&[("x\"", "a")], BadHead::HeaderName),
            (&[("x", "a"); MAX_HEADERS + 1], BadHead::TooLarge),
        ] {
            assert_eq!(validated(headers).unwrap_err(), fault, "{headers:?}");
        }
        assert!(validated(&[("host", "a"), ("content-length", "1"), ("x", ""), ("x", "a b")]).is_ok());
        assert!(validated(&[("x", "a"); MAX_HEADERS]).is_ok());
    }

    #[test]
    fn the_length_is_removed_from_the_headers() {
        let length = |headers: &[(&str, &str)], has_body| {
            let request = validated_at("/", headers, has_body)?;
            assert!(!request.headers.contains(&CONTENT_LENGTH));
            Ok(request.length)
        };
        assert_eq!(length(&[], false), Ok(BodyLength::None));
        assert_eq!(length(&[], true), Ok(BodyLength::Unknown));
        for has_body in [false, true] {
            assert_eq!(length(&[("content-length", "0")], has_body), Ok(BodyLength::Known(0)));
        }
        assert_eq!(length(&[("content-length", "5")], true), Ok(BodyLength::Known(5)));
        assert_eq!(length(&[("content-length", "5")], false), Err(BadHead::ContentLength), "nothing follows");
    }

    #[test]
    fn a_target_is_as_strict_as_over_http1() {
        for target in ["/é", "/a?é", "?a"] {
            assert_eq!(validated_at(target, &[], false).unwrap_err(), BadHead::Target, "{target}");
        }
        assert!(validated_at("/%C3%A9?a=%23", &[], false).is_ok() && validated_at("/?", &[], false).is_ok());
    }

    #[test]
    fn cookies_are_joined() {
        let headers =
            validated(&[("cookie", "a=1"), ("accept", "*/*"), ("cookie", "b=2; c=3"), ("cookie", "d=4")]).unwrap();
        let cookies: Vec<_> = headers.all(COOKIE).collect();
        assert_eq!(cookies, [b"a=1; b=2; c=3; d=4"]);
        assert!(validated(&[("cookie", "a=1"); MAX_HEADERS + 1]).is_ok(), "pieces of one header are not many headers");
    }
}
