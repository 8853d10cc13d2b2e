use std::{cell::RefCell, convert::Infallible, ops::Range};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;

use super::cases;
use crate::edge::framing::{Fault, Framing};
use crate::edge::head::MAX_HEAD_BYTES;

/// A request as a client may write it, well-formed in itself; what is smuggled most often lies in the bodies.
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

/// What is done to good requests: something is put in, taken out or said twice, wherever chance says.
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

/// A stream of requests, most of them no longer good.
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

/// What comes of a stream.
#[derive(Debug, Default)]
struct Followed {
    /// How many bytes are handed on.
    passed: usize,
    /// The heads among them.
    heads: Vec<Range<usize>>,
    fault: Option<Fault>,
}

/// Follows a stream in pieces of these sizes, one after the other and then again.
fn followed(stream: &[u8], sizes: &[usize]) -> Followed {
    let (mut framing, mut held, mut outcome) = (Framing::default(), Vec::new(), Followed::default());
    let (mut rest, mut sizes) = (stream, sizes.iter().cycle());
    while !rest.is_empty() && outcome.fault.is_none() {
        let (piece, later) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
        rest = later;
        held.extend_from_slice(piece);
        let (before, in_head) = (outcome.passed, !framing.in_body());
        let (taken, fault) = framing.follow(&held);
        held.drain(..taken);
        outcome.passed += taken;
        outcome.fault = fault;
        if in_head && taken > 0 {
            outcome.heads.push(before..outcome.passed);
        }
    }
    outcome
}

/// The requests that hyper finds in a stream: method, and whether the body came to its end.
fn found_by_hyper(stream: &[u8]) -> Vec<(String, bool)> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let found = RefCell::new(Vec::new());
    let service = service_fn(async |request: Request<Incoming>| {
        found.borrow_mut().push((request.method().to_string(), false));
        let whole = request.into_body().collect().await.is_ok();
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

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn the_verdict_is_the_same_however_the_bytes_arrive(
        stream in stream(),
        sizes in prop::collection::vec(1..50_usize, 1..8),
    ) {
        let (whole, in_pieces) = (followed(&stream, &[stream.len()]), followed(&stream, &sizes));
        prop_assert_eq!((whole.passed, whole.fault), (in_pieces.passed, in_pieces.fault));
    }

    #[test]
    fn hyper_finds_the_requests_that_were_judged_and_no_other(stream in stream()) {
        // Byte by byte, so that nothing but a head is handed on with a head.
        let followed = followed(&stream, &[1]);
        let lines = followed.heads.iter().map(|head| {
            let head = String::from_utf8_lossy(&stream[head.clone()]);
            head.trim_start_matches("\r\n").lines().next().unwrap_or_default().to_owned()
        });
        // After a request of HTTP/1.0 the connection ends.
        let mut ended = false;
        let judged: Vec<String> = lines.take_while(|line| !std::mem::replace(&mut ended, line.ends_with("/1.0"))).collect();
        let found = found_by_hyper(&stream[..followed.passed]);
        // hyper may be stricter (about the names in a trailer, say); then it gives the request up, and reads none after it.
        let gave_up = found.last().is_some_and(|(_, whole)| !whole) && found.len() < judged.len();
        prop_assert!(gave_up || found.len() == judged.len(), "{:?}\n{:?}", found, judged);
        for ((method, _), line) in found.iter().zip(&judged) {
            prop_assert_eq!(Some(method.as_str()), line.split(' ').next());
        }
    }

    #[test]
    fn bytes_of_any_kind_are_followed_to_their_end(stream in prop::collection::vec(any::<u8>(), 0..200)) {
        let followed = followed(&stream, &[7]);
        prop_assert!(followed.fault.is_some() || stream.len() - followed.passed < MAX_HEAD_BYTES);
    }
}
