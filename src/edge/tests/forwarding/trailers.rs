//! Trailers, in both directions.

use http::HeaderMap;
use http_body::Frame;

use crate::edge::tests::{
    harness::{Setup, Upstream, get, soon},
    http2::{
        Http2Client, Http2Response, data,
        frames::{DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM, STATUS_200, frame, literal, said},
        messages::{Bodies, counting, got_over_http1, got_over_http2, outcome, saying},
        parts,
        upstreams::gateway,
    },
    support::service,
};

const WITH_TRAILER: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, X-Request-Id\r\n\r\n\
                            2\r\nok\r\n0\r\nX-Sum: 7\r\nX-Request-Id: forged\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn an_http1_client_gets_the_trailers_that_it_accepts() {
    let upstream = Upstream::answering(WITH_TRAILER).await;
    let gateway = Setup::of(&[upstream.address]).start();
    for (lines, expected) in [("", false), ("TE: gzip\r\n", false), ("TE: trailers\r\nConnection: TE\r\n", true)] {
        let mut client = gateway.connect().await;
        client.send(&get("/api/users", lines)).await;
        let mut got = String::new();
        while !got.ends_with("\r\n\r\n") || !got.contains("\r\n0\r\n") {
            got.push_str(&client.some().await);
        }
        assert_eq!(got.contains("x-sum: 7\r\n"), expected, "{lines:?}: {got}");
        assert!(got.contains("trailer: x-sum\r\n") && !got.contains("forged"), "{got}");
        let received = upstream.received().pop().unwrap();
        let asked = (received.header("te"), received.header("connection"));
        assert_eq!(asked, if expected { (Some("trailers"), Some("te")) } else { (None, None) });
    }
}

/// Fields that are never allowed in trailers (RFC 9113 §8.1, §8.2), each in encoded form. The last is in the dynamic
/// table: the head has put it there.
fn forbidden(in_table: u8) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("a pseudo-header", literal(":path", b"/")),
        ("a pseudo-header of the static table", vec![0x84]),
        ("one with a name of the static table", b"\x08\x03200".to_vec()),
        ("one of answers or of requests", [literal(":status", b"200"), literal(":method", b"GET")].concat()),
        ("one of Huffman's", b"\0\x84\xb9\x58\xd3\x3f\x01/".to_vec()),
        ("an unknown pseudo-header", literal(":odd", b"1")),
        ("Connection", literal("connection", b"close")),
        ("Keep-Alive", literal("keep-alive", b"1")),
        ("Proxy-Connection", literal("proxy-connection", b"close")),
        ("Transfer-Encoding", literal("transfer-encoding", b"chunked")),
        ("Upgrade", literal("upgrade", b"websocket")),
        ("TE", literal("te", b"gzip")),
        ("an upper-case name", literal("X-Sum", b"1")),
        ("a value with a line break", literal("x-sum", b"1\r\nx-user-id: 1")),
        ("a value with a zero", literal("x-sum", b"1\0")),
        ("a blank before a value", literal("x-sum", b" 1")),
        ("a tab behind a value", literal("x-sum", b"1\t")),
        ("a quotation mark in a name", literal("x-\"sum", b"1")),
        ("a blank alone", literal("x-sum", b" ")),
        ("a pseudo-header of the dynamic table", vec![in_table]),
    ]
}

/// Trailer sections with such a field, before or after a valid one.
fn malformed(in_table: u8) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let other = literal("x-sum", b"1");
    forbidden(in_table).into_iter().flat_map(move |(what, field)| {
        [
            (what, field.clone()),
            (what, [field.clone(), other.clone()].concat()),
            (what, [other.clone(), field].concat()),
        ]
    })
}

fn section(stream: u32, fields: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, fields)
}

/// `POST /api/users` of `www`, whose path is the first field of the dynamic table from then on.
fn request(fields: &[u8]) -> Vec<u8> {
    let head = b"\x83\x86\x01\x03www\x44\x0a/api/users";
    [frame(HEADERS, END_HEADERS, 1, head), frame(DATA, 0, 1, b"abc"), section(1, fields)].concat()
}

const FIRST_IN_TABLE: u8 = 0xbe;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_malformed_trailers_ends_its_stream_and_is_never_complete() {
    let upstream = Upstream::ok().await;
    let whole_of_http2 = Bodies::default();
    let streaming = |services| {
        let mut setup = Setup { services, ..Setup::of(&[upstream.address]) };
        setup.routes[0].buffer_bytes = 0;
        setup.start()
    };
    let of_http1 = || vec![service("auth", &[&format!("http://{}", upstream.address)])];
    let of_http2 = gateway(counting(Bodies::clone(&whole_of_http2)).await);
    let gateways = [Setup::of(&[upstream.address]).start(), streaming(of_http1()), of_http2];
    for gateway in &gateways {
        for (what, fields) in malformed(FIRST_IN_TABLE) {
            let said = said(gateway, &request(&fields), |kind, _| matches!(kind, RST_STREAM | GOAWAY)).await;
            let (kind, stream, code) = said.last().unwrap();
            assert!(!said.iter().any(|(kind, _, _)| *kind == HEADERS), "{what}: {said:?}");
            match *kind {
                // For the library, fields that cannot be decompressed are a connection error (RFC 9113 §5.4.1).
                GOAWAY => assert!(!what.contains("table"), "{what}: {said:?}"),
                _ => assert_eq!((*stream, &code[..]), (1, &[0, 0, 0, 1][..]), "{what}: PROTOCOL_ERROR"),
            }
        }
        // The valid one comes last, so that its service has read all others.
        assert_eq!(outcome(gateway, &request(&literal("x-sum", b"1"))).await, Some(STATUS_200));
        assert_eq!(outcome(gateway, &request(b"")).await, Some(STATUS_200), "no trailers");
    }
    let whole = upstream.received().into_iter().filter(|request| request.complete).count();
    assert_eq!((whole, whole_of_http2.lock().unwrap().len()), (4, 2));
}

/// A request with such trailers is an error of its stream alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_request_does_not_affect_other_streams() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    let neighbour = frame(HEADERS, END_HEADERS | END_STREAM, 3, b"\x82\x86\x84\x41\x03www");
    let frames = [request(&[FIRST_IN_TABLE]), neighbour].concat();
    let said = said(&gateway, &frames, |kind, stream| kind == GOAWAY || (kind, stream) == (HEADERS, 3)).await;
    assert_eq!(said.last().unwrap().0, HEADERS, "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_with_malformed_trailers_is_cut_off() {
    let begun = [frame(HEADERS, END_HEADERS, 1, &[0x48, 3, b'2', b'0', b'0']), frame(DATA, 0, 1, b"abc")].concat();
    let empty = frame(HEADERS, END_HEADERS, 1, &[0x88]);
    for (what, fields) in malformed(FIRST_IN_TABLE) {
        let gateway = gateway(saying([begun.clone(), section(1, &fields)].concat()).await);
        assert_eq!(got_over_http1(&gateway).await, None, "{what}, over HTTP/1");
        assert_eq!(got_over_http2(&gateway).await, None, "{what}, over HTTP/2");
    }
    // More than the limit of a head: the rest would be missing.
    let line = literal("x-sum", &[b'1'; 100]);
    let parts: Vec<Vec<u8>> = (0..6).map(|_| line.repeat(100)).collect();
    let large = [
        frame(HEADERS, END_STREAM, 1, &parts[0]),
        parts[1..5].iter().flat_map(|part| frame(9, 0, 1, part)).collect(),
        frame(9, END_HEADERS, 1, &parts[5]),
    ];
    let large = gateway(saying([begun.clone(), large.concat()].concat()).await);
    assert_eq!((got_over_http1(&large).await, got_over_http2(&large).await), (None, None));
    // With and without a body in between.
    let with_head = [frame(HEADERS, END_HEADERS, 1, b"\x08\x03103"), empty, section(1, &literal("grpc-status", b"0"))];
    for (frames, body) in [
        ([begun.clone(), section(1, &literal("grpc-status", b"0"))].concat(), "abc"),
        ([begun, section(1, b"")].concat(), "abc"),
        (with_head.concat(), ""),
    ] {
        let gateway = gateway(saying(frames).await);
        assert_eq!(got_over_http1(&gateway).await.as_deref(), Some(body.as_bytes()));
        assert_eq!(got_over_http2(&gateway).await.as_deref(), Some(body.as_bytes()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forbidden_trailers_are_not_forwarded() {
    let lines: &[(&str, &[u8])] = &[
        ("content-length", b"3"),
        ("host", b"other"),
        ("te", b"trailers"),
        ("trailer", b"x"),
        ("authorization", b"Bearer x"),
        ("cookie", b"a=b"),
        ("set-cookie", b"a=b"),
        ("x-user-id", b"1"),
        ("content-type", b"a/b"),
        ("x-sum", b"1"),
    ];
    let (told, mut came) = tokio::sync::mpsc::unbounded_channel();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let of_response: HeaderMap = lines
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), http::HeaderValue::from_bytes(value).unwrap()))
        .collect();
    let of_request = of_response.clone();
    tokio::spawn(async move {
        let mut connection = h2::server::handshake(listener.accept().await.unwrap().0).await.unwrap();
        while let Some(Ok((request, mut response))) = connection.accept().await {
            let (told, of_response) = (told.clone(), of_response.clone());
            tokio::spawn(async move {
                let mut body = request.into_body();
                while body.data().await.is_some() {}
                told.send(body.trailers().await.unwrap().unwrap()).unwrap();
                let mut stream = response.send_response(http::Response::new(()), false).unwrap();
                stream.send_trailers(of_response).unwrap();
            });
        }
    });
    let gateway = gateway(address);
    let (sender, body) = parts();
    tokio::spawn(async move {
        sender.send(data("abc")).await.unwrap();
        sender.send(Frame::trailers(of_request)).await.unwrap();
    });
    let request = crate::edge::tests::http2::request(http::Method::POST, "/api/users", &[], "").map(|_| body);
    let response = Http2Response::read(Http2Client::connect(&gateway).await.send(request).await.unwrap()).await;
    for trailers in [soon("the request's", came.recv()).await.unwrap(), response.trailers.unwrap()] {
        assert_eq!(trailers.keys().map(http::HeaderName::as_str).collect::<Vec<_>>(), ["x-sum"]);
    }
}
