use super::*;
use crate::edge::http::message::BodyLength;

fn validated(head: &str) -> Result<BodyFraming, BadHead> {
    let whole = end(head.as_bytes(), &mut 0)?.expect("a whole head");
    assert_eq!(whole, head.len());
    parse(&Bytes::copy_from_slice(head.as_bytes())).map(|head| head.framing)
}

fn with(lines: &str) -> Result<BodyFraming, BadHead> {
    validated(&format!("POST /a?b HTTP/1.1\r\nHost: x\r\n{lines}\r\n"))
}

#[test]
fn a_body_is_delimited_by_its_length_or_by_chunks() {
    assert_eq!(with(""), Ok(BodyFraming::Length(0)));
    assert_eq!(with("Content-Length: 5\r\n"), Ok(BodyFraming::Length(5)));
    assert_eq!(with("Content-Length: 18446744073709551612\r\n"), Ok(BodyFraming::Length(u64::MAX - 3)));
    assert_eq!(with("Content-Length:5 \t\r\n"), Ok(BodyFraming::Length(5)));
    assert_eq!(with("transfer-encoding: Chunked\r\n"), Ok(BodyFraming::Chunked));
    assert_eq!(validated("\r\nGET / HTTP/1.0\r\nHost: x\r\n\r\n"), Ok(BodyFraming::Length(0)));
}

#[test]
fn framing_headers_are_removed_from_the_list() {
    for (lines, length) in [
        ("", BodyLength::None),
        ("Content-Length: 0\r\n", BodyLength::Known(0)),
        ("Content-Length: 5\r\n", BodyLength::Known(5)),
        ("Transfer-Encoding: chunked\r\n", BodyLength::Unknown),
    ] {
        let head = Bytes::from(format!("POST / HTTP/1.1\r\nHost: x\r\n{lines}\r\n"));
        let request = parse(&head).unwrap().request;
        assert_eq!((request.length, request.headers.len()), (length, 1), "{lines:?}");
    }
}

#[test]
fn ambiguous_framing_is_refused() {
    for (lines, why) in [
        ("Content-Length: 5\r\nContent-Length: 6\r\n", BadHead::ContentLength),
        ("Content-Length: 5\r\ncontent-length: 5\r\n", BadHead::ContentLength),
        ("Content-Length: 5, 5\r\n", BadHead::ContentLength),
        ("Content-Length: +5\r\n", BadHead::ContentLength),
        ("Content-Length: 05\r\n", BadHead::ContentLength),
        ("Content-Length: -5\r\n", BadHead::ContentLength),
        ("Content-Length: 0x5\r\n", BadHead::ContentLength),
        ("Content-Length: \r\n", BadHead::ContentLength),
        ("Content-Length: 5:\r\n", BadHead::ContentLength),
        ("Content-Length: 18446744073709551613\r\n", BadHead::ContentLength),
        ("Content-Length: 18446744073709551615\r\n", BadHead::ContentLength),
        ("Content-Length: 99999999999999999999\r\n", BadHead::ContentLength),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", BadHead::TwoLengths),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", BadHead::TwoLengths),
        ("Transfer-Encoding: gzip\r\n", BadHead::TransferEncoding),
        ("Transfer-Encoding: gzip, chunked\r\n", BadHead::TransferEncoding),
        ("Transfer-Encoding: chunked, identity\r\n", BadHead::TransferEncoding),
        ("Transfer-Encoding: chunked, chunked\r\n", BadHead::TransferEncoding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", BadHead::TransferEncoding),
        ("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", BadHead::TransferEncoding),
        ("Transfer-Encoding: \x0bchunked\r\n", BadHead::HeaderValue),
        ("Transfer-Encoding:\r\n", BadHead::TransferEncoding),
        ("Transfer-Encoding : chunked\r\n", BadHead::HeaderName),
        ("X-A\t: 1\r\n", BadHead::HeaderName),
        (": 1\r\n", BadHead::HeaderName),
        ("X A: 1\r\n", BadHead::HeaderName),
        ("no colon\r\n", BadHead::HeaderName),
        ("X-A: 1\r\n folded\r\n", BadHead::Folded),
        ("X-A: 1\r\n\tfolded\r\n", BadHead::Folded),
        ("X-A: 1\nX-B: 2\r\n", BadHead::LineEnd),
        ("X-A: 1\rX-B: 2\r\n", BadHead::LineEnd),
        ("X-A: 1\0\r\n", BadHead::HeaderValue),
        ("X-A: \x01\x01\r\n", BadHead::HeaderValue),
        ("X-A: \x7f\r\n", BadHead::HeaderValue),
        ("Host: y\r\n", BadHead::Host),
        ("host: x\r\n", BadHead::Host),
    ] {
        assert_eq!(with(lines), Err(why), "{lines:?}");
    }
    assert_eq!(validated("GET / HTTP/1.1\r\n\r\n"), Err(BadHead::Host));
    assert_eq!(validated("GET / HTTP/1.0\r\n\r\n"), Ok(BodyFraming::Length(0)), "HTTP/1.0 has no Host");
    assert_eq!(validated("GET / HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n"), Err(BadHead::Host));
    assert_eq!(
        validated("POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"),
        Err(BadHead::TransferEncoding)
    );
}

#[test]
fn a_request_line_has_three_parts() {
    for (line, why) in [
        ("GET /", BadHead::RequestLine),
        ("GET  / HTTP/1.1", BadHead::RequestLine),
        ("GET / HTTP/1.1 ", BadHead::RequestLine),
        (" GET / HTTP/1.1", BadHead::RequestLine),
        ("GET /a b HTTP/1.1", BadHead::RequestLine),
        ("GET /\t HTTP/1.1", BadHead::Target),
        ("GET /#x HTTP/1.1", BadHead::Target),
        ("GET /é HTTP/1.1", BadHead::Target),
        ("GET /?<a> HTTP/1.1", BadHead::RequestLine),
        ("GET a/b HTTP/1.1", BadHead::RequestLine),
        ("GET http:///a HTTP/1.1", BadHead::RequestLine),
        ("G@T / HTTP/1.1", BadHead::RequestLine),
        ("GET / http/1.1", BadHead::RequestLine),
        ("GET / HTTP/1.1\rX", BadHead::LineEnd),
        ("GET / HTTP/1.2", BadHead::Version),
        ("GET / HTTP/0.9", BadHead::Version),
        ("PRI * HTTP/2.0", BadHead::Version),
    ] {
        assert_eq!(validated(&format!("{line}\r\nHost: x\r\n\r\n")), Err(why), "{line:?}");
    }
}

#[test]
fn the_end_is_found_however_the_bytes_arrive() {
    let head = b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\nrest";
    let mut scanned = 0;
    for upto in 0..head.len() - 4 {
        assert_eq!(end(&head[..upto], &mut scanned), Ok(None), "{upto}");
    }
    assert_eq!(end(head, &mut scanned), Ok(Some(head.len() - 4)));
    assert_eq!(end(head, &mut 0), Ok(Some(head.len() - 4)));
}

#[test]
fn a_line_feed_alone_is_refused_at_once() {
    assert_eq!(end(b"GET / HTTP/1.1\nHost: x\n\n", &mut 0), Err(BadHead::LineEnd));
    assert_eq!(end(b"\n", &mut 0), Err(BadHead::LineEnd));
}

#[test]
fn the_size_of_a_head_is_limited() {
    let of = |bytes: usize| {
        let beginning = "GET / HTTP/1.1\r\nHost: x\r\nX-A: ";
        format!("{beginning}{}\r\n\r\n", "a".repeat(bytes - beginning.len() - 4))
    };
    assert_eq!(end(of(16_384).as_bytes(), &mut 0), Ok(Some(16_384)));
    assert_eq!(end(of(16_385).as_bytes(), &mut 0), Err(BadHead::TooLarge));
    let unended = &of(20_000)[..16_385];
    assert_eq!(end(&unended.as_bytes()[..16_384], &mut 0), Ok(None));
    assert_eq!(end(unended.as_bytes(), &mut 0), Err(BadHead::TooLarge));
    // The shortest input that ends like a head, without and after an empty line.
    assert_eq!(end(b"a\r\n\r\n", &mut 0), Ok(Some(5)));
    assert_eq!(end(b"\r\na\r\n\r\n", &mut 0), Ok(Some(7)));
    assert_eq!(end(b"\r\n\r\n\r\n", &mut 0), Ok(Some(6)));
    assert_eq!(with(&"X-A: 1\r\n".repeat(MAX_HEADERS - 1)), Ok(BodyFraming::Length(0)));
    assert_eq!(with(&"X-A: 1\r\n".repeat(MAX_HEADERS)), Err(BadHead::TooLarge));
}
