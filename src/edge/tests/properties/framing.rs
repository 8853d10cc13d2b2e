use std::{cell::RefCell, convert::Infallible};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;

use super::cases;
use crate::edge::http1::{
    body_decoder::{BodyDecoder, BodyPart},
    request_head::{self, BadHead, MAX_HEAD_BYTES},
    response_head::ResponseHead,
};

/// A request as a client may write it, well-formed in itself; its body contains what is smuggled most often.
fn request() -> impl Strategy<Value = String> {
    let line =
        prop::sample::select(vec!["GET / HTTP/1.1", "POST /a?b HTTP/1.1", "PUT /c HTTP/1.0", "HEAD /%61 HTTP/1.1"]);
    let more = prop::sample::select(vec![
        "",
        "Accept: */*\r\n",
        "X-A:\t1 \r\nX-B:\r\n",
        "Expect: 100-continue\r\n",
        "Cookie: a=\"b\"\r\n",
    ]);
    let body = prop::sample::select(vec![
        "",
        "x",
        "0\r\n\r\n",
        "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
        "\r\n\r\n",
        "{\"a\":1}",
    ]);
    let kind = prop_oneof![
        Just(String::new()),
        body.clone().prop_map(|body| format!("Content-Length: {}\r\n\r\n{body}", body.len())),
        (
            prop::collection::vec(body, 0..3),
            prop::sample::select(vec!["", ";a=b", ";\"q\""]),
            prop::sample::select(vec!["", "X-T: 1\r\n"])
        )
            .prop_map(|(chunks, extension, trailer)| {
                let chunks: Vec<String> = chunks
                    .iter()
                    .filter(|chunk| !chunk.is_empty())
                    .map(|chunk| format!("{:x}{extension}\r\n{chunk}\r\n", chunk.len()))
                    .collect();
                format!("Transfer-Encoding: chunked\r\n\r\n{}0\r\n{trailer}\r\n", chunks.concat())
            }),
    ];
    (line, more, kind).prop_map(|(line, more, kind)| {
        let kind = if kind.is_empty() { "\r\n".to_owned() } else { kind };
        format!("{line}\r\nHost: x\r\n{more}{kind}")
    })
}

/// A mutation of valid requests: text is inserted, deleted or repeated at a random position.
#[derive(Debug, Clone)]
enum Mutation {
    Insert(&'static str),
    Delete(usize),
    Repeat(usize),
    Flip(u8),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let seeds = vec![
        "\r",
        "\n",
        "\r\n",
        " ",
        "\t",
        "\0",
        "\x0b",
        ":",
        ",",
        "0",
        "+",
        "%",
        "#",
        "\u{e9}",
        "Content-Length: 3\r\n",
        "content-length:0\r\n",
        "Transfer-Encoding: chunked\r\n",
        "transfer-encoding : chunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "Host: y\r\n",
        "HTTP/1.0",
        "0\r\n\r\n",
        "\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    prop_oneof![
        3 => prop::sample::select(seeds).prop_map(Mutation::Insert),
        1 => (1..6_usize).prop_map(Mutation::Delete),
        1 => (1..40_usize).prop_map(Mutation::Repeat),
        1 => any::<u8>().prop_map(Mutation::Flip),
    ]
}

/// A stream of requests, most of them no longer valid.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let mutations = prop::collection::vec((mutation(), any::<prop::sample::Index>()), 0..3);
    (prop::collection::vec(request(), 1..4), mutations).prop_map(|(requests, mutations)| {
        let mut bytes = requests.concat().into_bytes();
        for (mutation, place) in mutations {
            let at = place.index(bytes.len() + 1);
            let upto = |length: usize| (at + length).min(bytes.len());
            match mutation {
                Mutation::Insert(text) => drop(bytes.splice(at..at, text.bytes())),
                Mutation::Delete(length) => drop(bytes.drain(at..upto(length))),
                Mutation::Repeat(length) => {
                    let again = bytes[at..upto(length)].to_vec();
                    bytes.splice(at..at, again);
                }
                Mutation::Flip(mask) => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= mask),
            }
        }
        bytes
    })
}

/// The result of parsing a stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Each request's method, with the received part of its body.
    pub(crate) requests: Vec<(String, Vec<u8>)>,
    /// How many bytes were parsed as requests; the invalid or incomplete rest follows them.
    pub(crate) read: usize,
    pub(crate) fault: Option<Fault>,
    /// The stream ended inside a body.
    pub(crate) in_body: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Head(BadHead),
    Body,
}

/// Parses a stream that arrives in pieces of these sizes, repeated cyclically.
pub(crate) fn found(stream: &[u8], sizes: &[usize]) -> Found {
    let (mut found, mut input, mut scanned) = (Found::default(), BytesMut::new(), 0);
    let (mut rest, mut sizes, mut body) = (stream, sizes.iter().cycle(), BodyDecoder::Ended);
    while !rest.is_empty() && found.fault.is_none() {
        let (piece, later) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
        rest = later;
        input.extend_from_slice(piece);
        loop {
            if !body.is_ended() {
                match body.next(&mut input) {
                    Ok(Some(BodyPart::Data(data))) => found.requests.last_mut().unwrap().1.extend_from_slice(&data),
                    Ok(Some(BodyPart::Trailers(_))) => {}
                    Ok(None) if body.is_ended() => {}
                    Ok(None) => break,
                    Err(_) => {
                        found.fault = Some(Fault::Body);
                        break;
                    }
                }
                continue;
            }
            found.read = stream.len() - rest.len() - input.len();
            if input.is_empty() {
                break;
            }
            let whole = request_head::end(&input, &mut scanned);
            let whole =
                whole.and_then(|end| end.map(|end| request_head::parse(&input.split_to(end).freeze())).transpose());
            if !matches!(whole, Ok(None)) {
                scanned = 0;
            }
            match whole {
                Ok(None) => break,
                Ok(Some(head)) => {
                    found.requests.push((head.request.method.to_string(), Vec::new()));
                    body = BodyDecoder::of_request(head.framing);
                }
                Err(bad) => {
                    found.fault = Some(Fault::Head(bad));
                    break;
                }
            }
        }
    }
    found.in_body = !body.is_ended();
    found
}

/// The requests that hyper finds in a stream: the method, and the body if it is complete.
pub(crate) fn found_by_hyper(stream: &[u8]) -> Vec<(String, Option<Vec<u8>>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let found = RefCell::new(Vec::new());
    let service = service_fn(async |request: Request<Incoming>| {
        found.borrow_mut().push((request.method().to_string(), None));
        let whole = request.into_body().collect().await.ok().map(|whole| whole.to_bytes().to_vec());
        found.borrow_mut().last_mut().unwrap().1 = whole;
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
    });
    runtime.block_on(async {
        let (mut client, server) = tokio::io::duplex(1024 * 1024);
        client.write_all(stream).await.unwrap();
        client.shutdown().await.unwrap();
        let mut http = http1::Builder::new();
        http.header_read_timeout(None).max_header_size(MAX_HEAD_BYTES).half_close(true).keep_alive(true);
        let _ = http.serve_connection(TokioIo::new(server), service).await;
    });
    found.into_inner()
}

/// The parsed response in a service's bytes: its status, its body, and whether that is complete.
fn answered(stream: &[u8], sizes: &[usize]) -> Option<(u16, Vec<u8>, Result<bool, ()>)> {
    let (mut input, mut sizes, mut rest) = (BytesMut::new(), sizes.iter().cycle(), stream);
    let (mut head, mut body, mut data): (Option<u16>, _, _) = (None, BodyDecoder::Ended, Vec::new());
    while !rest.is_empty() {
        let (piece, later) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
        rest = later;
        input.extend_from_slice(piece);
        if head.is_none() {
            let Some(taken) = ResponseHead::take(&mut input).ok()? else { continue };
            head = Some(taken.status.as_u16());
            body = BodyDecoder::of_response(taken.framing(false).ok()?.0);
        }
        loop {
            match body.next(&mut input) {
                Ok(Some(BodyPart::Data(bytes))) => data.extend_from_slice(&bytes),
                Ok(Some(BodyPart::Trailers(_))) => {}
                Ok(None) => break,
                Err(_) => return Some((head?, data, Err(()))),
            }
        }
    }
    let is_whole = body.is_ended() || body.close().is_ok();
    Some((head?, data, Ok(is_whole)))
}

/// A response as a service may write it, with random mutations.
fn respond() -> impl Strategy<Value = Vec<u8>> {
    stream().prop_map(|stream| {
        let text = String::from_utf8_lossy(&stream);
        let text = text.replace("GET / HTTP/1.1", "HTTP/1.1 200 OK").replace("POST /a?b HTTP/1.1", "HTTP/1.1 404 No");
        text.replace("PUT /c HTTP/1.0", "HTTP/1.0 200 OK").replace("HEAD /%61 HTTP/1.1", "HTTP/1.1 100 Go").into_bytes()
    })
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn the_result_does_not_depend_on_how_the_bytes_arrive(
        stream in stream(),
        sizes in prop::collection::vec(1..50_usize, 1..8),
    ) {
        prop_assert_eq!(found(&stream, &[stream.len()]), found(&stream, &sizes));
    }

    #[test]
    fn hyper_finds_the_same_requests_and_no_other(stream in stream()) {
        let ours = found(&stream, &[stream.len()]);
        let read = if ours.in_body || ours.fault == Some(Fault::Body) { stream.len() } else { ours.read };
        let theirs = found_by_hyper(&stream[..read]);
        // hyper may be stricter (about the names in a trailer, say), ends after HTTP/1.0, and then drops the rest; but
        // it never finds a request that we did not find, nor another body. The bytes after a refused body are not
        // forwarded at all.
        let is_read = ours.fault != Some(Fault::Body);
        prop_assert!(theirs.len() <= ours.requests.len() || !is_read, "{:?}\n{:?}", ours, theirs);
        for (number, ((method, body), (their_method, their_body))) in ours.requests.iter().zip(&theirs).enumerate() {
            prop_assert_eq!(method, their_method);
            let is_whole = number + 1 < ours.requests.len() || read == ours.read;
            if let Some(their_body) = their_body.as_ref().filter(|_| is_whole) {
                prop_assert_eq!(body, their_body);
            }
        }
    }

    #[test]
    fn arbitrary_bytes_are_parsed_to_their_end(stream in prop::collection::vec(any::<u8>(), 0..200)) {
        let found = found(&stream, &[7]);
        prop_assert!(found.fault.is_some() || stream.len() - found.read < MAX_HEAD_BYTES);
        answered(&stream, &[7]);
    }

    #[test]
    fn a_response_does_not_depend_on_how_its_bytes_arrive(
        response in respond(),
        sizes in prop::collection::vec(1..50_usize, 1..8),
    ) {
        prop_assert_eq!(answered(&response, &[response.len()]), answered(&response, &sizes));
    }
}
