use bytes::Bytes;

use super::*;
use crate::edge::{http::message::FramedResponse, pipeline::response_body::ResponseBody};

const LONG: BodyLength = BodyLength::Known(5000);

fn response(status: StatusCode, length: BodyLength, headers: &[(HeaderName, &'static str)]) -> Response {
    let body = ResponseBody::whole(Bytes::from(vec![b'a'; 5000]));
    let mut response = FramedResponse::new(status, body);
    response.length = length;
    response.headers = headers.iter().cloned().collect();
    response
}

fn json() -> (HeaderName, &'static str) {
    (CONTENT_TYPE, "application/json")
}

#[test]
fn a_compressed_response_says_so() {
    let headers = [json(), (ETAG, "\"1\""), (ACCEPT_RANGES, "bytes"), (VARY, "origin")];
    let mut compressed = response(StatusCode::OK, LONG, &headers);
    compress(Some(Coding::Brotli), false, &mut compressed);
    assert_eq!(compressed.length, BodyLength::Unknown);
    let expected: HeaderList =
        [json(), (VARY, "origin"), (VARY, "accept-encoding"), (CONTENT_ENCODING, "br"), (ETAG, "W/\"1\"")]
            .into_iter()
            .collect();
    assert_eq!(compressed.headers, expected);
    let mut weak = response(StatusCode::OK, LONG, &[json(), (ETAG, "W/\"1\""), (VARY, "Accept-Encoding, origin")]);
    compress(Some(Coding::Gzip), false, &mut weak);
    assert_eq!((&weak.headers["etag"], &weak.headers["vary"]), ("W/\"1\"", "Accept-Encoding, origin"));
    assert_eq!(weak.headers.all(VARY).count(), 1);
}

#[test]
fn a_client_without_a_coding_gets_the_plain_response() {
    let mut plain = response(StatusCode::OK, LONG, &[json(), (ETAG, "\"1\"")]);
    compress(None, false, &mut plain);
    assert_eq!(plain.length, LONG);
    assert_eq!((&plain.headers["vary"], &plain.headers["etag"]), ("accept-encoding", "\"1\""));
    assert!(!plain.headers.contains(&CONTENT_ENCODING));
}

#[test]
fn the_response_to_head_has_the_headers_of_get() {
    for length in [BodyLength::Announced(5000), BodyLength::None] {
        let mut head = response(StatusCode::OK, length, &[json(), (ETAG, "\"1\"")]);
        compress(Some(Coding::Gzip), true, &mut head);
        assert_eq!((head.length, &head.headers["content-encoding"]), (BodyLength::None, "gzip"));
        assert_eq!(&head.headers["etag"], "W/\"1\"");
    }
    let mut short = response(StatusCode::OK, BodyLength::Announced(5), &[json()]);
    compress(Some(Coding::Gzip), true, &mut short);
    assert_eq!(short.length, BodyLength::Announced(5));
}

#[test]
fn some_responses_stay_as_they_are() {
    const OK: StatusCode = StatusCode::OK;
    for (status, length, headers) in [
        (OK, BodyLength::Known(1023), vec![json()]),
        (OK, BodyLength::None, vec![json()]),
        (OK, LONG, vec![]),
        (OK, LONG, vec![(CONTENT_TYPE, "image/png")]),
        (OK, BodyLength::Unknown, vec![(CONTENT_TYPE, "text/event-stream; charset=utf-8")]),
        (OK, LONG, vec![json(), (CONTENT_ENCODING, "gzip")]),
        (OK, LONG, vec![json(), (CONTENT_ENCODING, "identity")]),
        (OK, LONG, vec![json(), (CACHE_CONTROL, "public, No-Transform")]),
        (OK, LONG, vec![json(), (DIGESTS[0].clone(), "sha-256=:a:")]),
        (StatusCode::PARTIAL_CONTENT, LONG, vec![json(), (CONTENT_RANGE, "bytes 0-4999/9999")]),
        (StatusCode::RANGE_NOT_SATISFIABLE, LONG, vec![json(), (CONTENT_RANGE, "bytes */9999")]),
        (StatusCode::NO_CONTENT, BodyLength::None, vec![json()]),
        (StatusCode::SWITCHING_PROTOCOLS, BodyLength::None, vec![json()]),
    ] {
        let mut left = response(status, length, &headers);
        compress(Some(Coding::Brotli), false, &mut left);
        assert_eq!((left.length, left.headers), (length, headers.iter().cloned().collect()), "{status} {headers:?}");
    }
}

#[test]
fn an_unchanged_response_varies_too() {
    let mut unchanged = response(StatusCode::NOT_MODIFIED, BodyLength::None, &[(ETAG, "\"1\"")]);
    compress(Some(Coding::Brotli), false, &mut unchanged);
    assert_eq!((&unchanged.headers["vary"], unchanged.length), ("accept-encoding", BodyLength::None));
    assert!(!unchanged.headers.contains(&CONTENT_ENCODING));
}

#[test]
fn types_that_shrink_are_compressed() {
    for kind in [
        "text/html; charset=utf-8",
        "TEXT/CSS",
        "application/problem+json",
        "application/javascript",
        "image/svg+xml",
        "application/x-ndjson",
        "application/atom+xml ; a=b",
    ] {
        assert!(is_compressible(kind.as_bytes()), "{kind}");
    }
    for kind in
        ["text/event-stream", "Text/Event-Stream;a=b", "application/grpc", "font/woff2", "video/mp4", "", "json"]
    {
        assert!(!is_compressible(kind.as_bytes()), "{kind}");
    }
}

#[test]
fn a_client_may_forbid_changes() {
    let accepted = (http::header::ACCEPT_ENCODING, "br");
    assert_eq!(wanted(&[accepted.clone()].into_iter().collect()), Some(Coding::Brotli));
    assert_eq!(wanted(&[accepted, (CACHE_CONTROL, "no-transform")].into_iter().collect()), None);
}
