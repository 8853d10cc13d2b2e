//! The end of an HTTP/2 message, in either direction and with either protocol on the other side: after as many bytes as
//! its head declares, and only with `END_STREAM`.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use http::Method;
use hyper::body::Body;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use super::{
    Http2Client,
    frames::{
        DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE_AND_SETTINGS, RST_STREAM, STATUS_200, frame, literal,
        said,
    },
    request,
    upstreams::gateway,
};
use crate::edge::tests::harness::{Gateway, Setup, Upstream, get, post, soon};

const NO_ERROR: u8 = 0;

/// The start of a response with 400 from hyper.
const STATUS_400: u8 = 0x8c;

/// The bodies that came completely.
pub(crate) type Bodies = Arc<Mutex<Vec<Vec<u8>>>>;

/// The head of a `POST` to this target.
pub(crate) fn head(target: &[u8], lines: &[(&str, &[u8])]) -> Vec<u8> {
    let lines = lines.iter().flat_map(|(name, value)| literal(name, value));
    [b"\x83\x86".to_vec(), literal(":path", target), literal(":authority", b"www")]
        .into_iter()
        .flatten()
        .chain(lines)
        .collect()
}

fn reset(code: u8) -> Vec<u8> {
    frame(RST_STREAM, 0, 1, &[0, 0, 0, code])
}

/// The outcome of a request: the first byte of the response's head, or `None` if the stream was reset.
pub(crate) async fn outcome(gateway: &Gateway, frames: &[u8]) -> Option<u8> {
    let said =
        said(gateway, frames, |kind, stream| kind == GOAWAY || (stream == 1 && matches!(kind, HEADERS | RST_STREAM)))
            .await;
    let (_, _, payload) = said.iter().find(|(kind, stream, _)| (*kind, *stream) == (HEADERS, 1))?;
    payload.first().copied()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_that_http1_refuses_is_refused_over_http2() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    for lengths in [
        &["00"][..],
        &["076"],
        &["05"],
        &["+5"],
        &["-5"],
        &["5, 5"],
        &["0x5"],
        &[""],
        &["18446744073709551615"],
        &["99999999999999999999"],
        &["5", "5"],
        &["5", "6"],
    ] {
        let lines: Vec<_> = lengths.iter().map(|length| ("content-length", length.as_bytes())).collect();
        let head = frame(HEADERS, END_HEADERS, 1, &head(b"/api/users", &lines));
        let came = outcome(&gateway, &[head, frame(DATA, END_STREAM, 1, b"abcde")].concat()).await;
        assert!(matches!(came, None | Some(STATUS_400)), "{lengths:?}: {came:?}");
    }
    assert_eq!(upstream.received(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_more_or_fewer_bytes_than_declared_is_incomplete() {
    let upstream = Upstream::ok().await;
    let of_http1 = Setup::of(&[upstream.address]).start();
    let whole_of_http2 = Bodies::default();
    let of_http2 = gateway(counting(Arc::clone(&whole_of_http2)).await);
    for (length, data) in [("0", &b"a"[..]), ("5", b"abc"), ("5", b"abcdefg"), ("5", b"")] {
        let head = head(b"/api/users", &[("content-length", length.as_bytes())]);
        let in_data = [frame(HEADERS, END_HEADERS, 1, &head), frame(DATA, END_STREAM, 1, data)].concat();
        let in_trailers = [
            frame(HEADERS, END_HEADERS, 1, &head),
            frame(DATA, 0, 1, data),
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &literal("x-sum", b"1")),
        ]
        .concat();
        for frames in [in_data, in_trailers] {
            for gateway in [&of_http1, &of_http2] {
                let came = outcome(gateway, &frames).await;
                assert!(matches!(came, None | Some(STATUS_400)), "{length}, {data:?}: {came:?}");
            }
        }
    }
    let only_head = head(b"/api/users", &[("content-length", b"5")]);
    assert_eq!(outcome(&of_http1, &frame(HEADERS, END_HEADERS | END_STREAM, 1, &only_head)).await, None);
    // The valid one comes last, so that the service has read all others.
    let head = frame(HEADERS, END_HEADERS, 1, &head(b"/api/users", &[("content-length", b"5")]));
    let came = outcome(&of_http1, &[head, frame(DATA, END_STREAM, 1, b"abcde")].concat()).await;
    assert_eq!(came, Some(STATUS_200));
    let whole: Vec<_> = upstream.received().into_iter().filter(|request| request.complete).collect();
    assert_eq!(whole.len(), 1, "{whole:?}");
    assert_eq!((whole[0].header("content-length"), whole[0].header("transfer-encoding")), (Some("5"), None));
    assert!(whole_of_http2.lock().unwrap().is_empty());
}

/// A service of HTTP/2 that answers 200 to complete requests only, and records their bodies.
pub(crate) async fn counting(whole: Bodies) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let whole = Arc::clone(&whole);
            tokio::spawn(async move {
                let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                while let Some(Ok((request, mut response))) = connection.accept().await {
                    let whole = Arc::clone(&whole);
                    tokio::spawn(async move {
                        let (mut body, mut bytes) = (request.into_body(), Vec::new());
                        while let Some(data) = body.data().await {
                            let Ok(data) = data else { return };
                            let _ = body.flow_control().release_capacity(data.len());
                            bytes.extend_from_slice(&data);
                        }
                        if body.trailers().await.is_ok() {
                            whole.lock().unwrap().push(bytes);
                            let _ = response.send_response(http::Response::new(()), true);
                        }
                    });
                }
            });
        }
    });
    address
}

/// The events of a service: it has read `abc`; then, whether the request was complete.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Begun,
    Ended { whole: bool },
}

type Events = mpsc::UnboundedSender<Told>;

/// A service of HTTP/1 that reports these events.
async fn telling_over_http1(events: Events) -> Upstream {
    Upstream::start(move |mut connection| {
        let events = events.clone();
        async move {
            let mut seen = String::new();
            while !seen.contains("abc") {
                seen += &connection.some().await;
            }
            events.send(Told::Begun).unwrap();
            let is_whole = |seen: &str| seen.ends_with("\r\n0\r\n\r\n");
            while !is_whole(&seen) {
                let more = connection.some().await;
                if more.is_empty() {
                    break;
                }
                seen += &more;
            }
            events.send(Told::Ended { whole: is_whole(&seen) }).unwrap();
        }
    })
    .await
}

/// A service of HTTP/2 that reports these events.
async fn telling_over_http2(events: Events) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut connection = h2::server::handshake(listener.accept().await.unwrap().0).await.unwrap();
        while let Some(Ok((request, response))) = connection.accept().await {
            let events = events.clone();
            tokio::spawn(async move {
                let mut body = request.into_body();
                assert_eq!(body.data().await.unwrap().unwrap(), "abc");
                events.send(Told::Begun).unwrap();
                let whole = body.data().await.is_none() && body.trailers().await.is_ok();
                events.send(Told::Ended { whole }).unwrap();
                drop(response);
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_request_is_never_complete_whatever_the_code() {
    let (events, mut told) = mpsc::unbounded_channel();
    let upstream = telling_over_http1(events.clone()).await;
    let of_http1 = Setup::of(&[upstream.address]).start();
    let of_http2 = gateway(telling_over_http2(events).await);
    for (gateway, of) in [(&of_http1, "HTTP/1"), (&of_http2, "HTTP/2")] {
        for (lines, code) in
            [(&[][..], NO_ERROR), (&[], 2), (&[], 7), (&[], 8), (&[("content-length", &b"5"[..])], NO_ERROR)]
        {
            let mut client = soon("connecting", TcpStream::connect(gateway.address)).await.unwrap();
            let begun =
                [frame(HEADERS, END_HEADERS, 1, &head(b"/api/users", lines)), frame(DATA, 0, 1, b"abc")].concat();
            client.write_all(&[PREFACE_AND_SETTINGS, &begun].concat()).await.unwrap();
            assert_eq!(soon("the beginning", told.recv()).await, Some(Told::Begun));
            client.write_all(&reset(code)).await.unwrap();
            let ended = soon("the end", told.recv()).await;
            assert_eq!(ended, Some(Told::Ended { whole: false }), "code {code}, to a service of {of}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_http1_refuses_is_refused_over_http2() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    for target in [
        "/api/users/\u{e9}",
        "/api/users?a=\u{e9}",
        "/api/users ",
        "/api/users\u{7f}",
        "?a",
        "api/users",
        "*",
        "/api/users#a",
        "/api/users?a#b",
        "#",
    ] {
        let head = head(target.as_bytes(), &[]);
        let came = outcome(&gateway, &frame(HEADERS, END_HEADERS | END_STREAM, 1, &head)).await;
        assert!(matches!(came, None | Some(STATUS_400)), "{target:?}: {came:?}");
    }
    assert_eq!(upstream.received(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn framing_headers_are_written_again() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    let lines: &[(&str, &[u8])] = &[("content_length", b"3"), ("transfer_encoding", b"chunked"), ("x-a", b"1")];
    let frames = [frame(HEADERS, END_HEADERS, 1, &head(b"/api/users", lines)), frame(DATA, END_STREAM, 1, b"abcde")];
    assert_eq!(outcome(&gateway, &frames.concat()).await, Some(STATUS_200));
    let request = upstream.only();
    assert_eq!((request.header("transfer-encoding"), request.header("content-length")), (Some("chunked"), None));
    assert_eq!((request.text(), request.header("x-a")), ("abcde", Some("1")));
    assert!(!request.head.contains('_'), "{}", request.head);
}

/// Whole frames of stream 1, changed to another stream.
fn on_stream(id: &[u8], mut frames: &[u8]) -> Vec<u8> {
    let mut changed = Vec::new();
    while let [_, middle, low, kind, flags, _, _, _, _, rest @ ..] = frames {
        let (payload, later) = rest.split_at(usize::from(*middle) << 8 | usize::from(*low));
        changed.extend([&[0, *middle, *low, *kind, *flags], id, payload].concat());
        frames = later;
    }
    changed
}

/// A service of HTTP/2 that answers each request with these frames, as soon as its head is there.
pub(crate) async fn saying(frames: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, frames) = (listener.local_addr().unwrap(), Arc::new(frames));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let frames = Arc::clone(&frames);
            tokio::spawn(async move {
                stream.read_exact(&mut [0; 24]).await?;
                stream.write_all(&frame(4, 0, 0, b"")).await?;
                loop {
                    let mut header = [0; 9];
                    stream.read_exact(&mut header).await?;
                    let mut payload = vec![0; usize::from(header[1]) << 8 | usize::from(header[2])];
                    stream.read_exact(&mut payload).await?;
                    if header[3] == HEADERS {
                        stream.write_all(&on_stream(&header[5..], &frames)).await?;
                    }
                }
                #[expect(unreachable_code, reason = "it names the error type")]
                std::io::Result::Ok(())
            });
        }
    });
    address
}

/// The head of a response with 200 and these headers.
pub(crate) fn response_head(flags: u8, lines: &[(&str, &str)]) -> Vec<u8> {
    let lines = lines.iter().flat_map(|(name, value)| literal(name, value.as_bytes()));
    frame(HEADERS, END_HEADERS | flags, 1, &[STATUS_200].into_iter().chain(lines).collect::<Vec<_>>())
}

/// The response body that an HTTP/2 client gets for its `POST`, if it is complete.
pub(crate) async fn got_over_http2(gateway: &Gateway) -> Option<Vec<u8>> {
    let request =
        [frame(HEADERS, END_HEADERS, 1, &head(b"/api/users", &[])), frame(DATA, END_STREAM, 1, b"abc")].concat();
    let mut stream = soon("connecting", TcpStream::connect(gateway.address)).await.unwrap();
    stream.write_all(&[PREFACE_AND_SETTINGS, &request].concat()).await.unwrap();
    let (mut body, mut is_good) = (Vec::new(), false);
    loop {
        let mut header = [0; 9];
        soon("a frame", stream.read_exact(&mut header)).await.ok()?;
        let mut payload = vec![0; usize::from(header[1]) << 8 | usize::from(header[2])];
        soon("its payload", stream.read_exact(&mut payload)).await.ok()?;
        match header[3] {
            HEADERS if header[4] & END_STREAM == 0 || !is_good => is_good |= payload[0] == STATUS_200,
            DATA => body.extend_from_slice(&payload),
            RST_STREAM | GOAWAY => return None,
            _ => {}
        }
        if matches!(header[3], DATA | HEADERS) && header[4] & END_STREAM != 0 {
            return is_good.then_some(body);
        }
    }
}

/// The response body that an HTTP/1 client gets for its `POST`, if it is complete.
pub(crate) async fn got_over_http1(gateway: &Gateway) -> Option<Vec<u8>> {
    let response = gateway.ask(&post("/api/users", "abc")).await;
    (response.status == 200 && response.message.complete).then_some(response.message.body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_over_http2_ends_as_its_head_declares_and_only_with_end_stream() {
    let trailers = frame(HEADERS, END_HEADERS | END_STREAM, 1, &literal("grpc-status", b"0"));
    let long = |length: &'static str| response_head(0, &[("content-length", length)]);
    let data = |flags, text: &str| frame(DATA, flags, 1, text.as_bytes());
    for (what, frames, expected) in [
        ("as it should be", [response_head(0, &[]), data(END_STREAM, "abc")].concat(), Some("abc")),
        ("with its length", [long("3"), data(END_STREAM, "abc")].concat(), Some("abc")),
        ("END_STREAM by itself", [long("3"), data(0, "abc"), data(END_STREAM, "")].concat(), Some("abc")),
        (
            "an empty part",
            [response_head(0, &[]), data(0, ""), data(0, "abc"), data(END_STREAM, "")].concat(),
            Some("abc"),
        ),
        ("no body", response_head(END_STREAM, &[]), Some("")),
        ("no body, and says so", response_head(END_STREAM, &[("content-length", "0")]), Some("")),
        // RFC 9113 §8.1: the response is complete, and the service does not need the rest of the request.
        ("early", [response_head(0, &[]), data(END_STREAM, "abc"), reset(NO_ERROR)].concat(), Some("abc")),
        ("early, without a body", [response_head(END_STREAM, &[]), reset(NO_ERROR)].concat(), Some("")),
        (
            "early, with trailers",
            [response_head(0, &[]), data(0, "abc"), trailers, reset(NO_ERROR)].concat(),
            Some("abc"),
        ),
        ("reset with NO_ERROR", [response_head(0, &[]), data(0, "abc"), reset(NO_ERROR)].concat(), None),
        ("reset behind the head", [response_head(0, &[]), reset(NO_ERROR)].concat(), None),
        ("reset with CANCEL", [response_head(0, &[]), data(0, "abc"), reset(8)].concat(), None),
        ("reset before the head", reset(NO_ERROR), None),
        ("shorter than was said", [long("5"), data(END_STREAM, "abc")].concat(), None),
        ("longer than was said", [long("2"), data(END_STREAM, "abc")].concat(), None),
        ("a length, and nothing", response_head(END_STREAM, &[("content-length", "5")]), None),
        ("a leading zero", [long("03"), data(END_STREAM, "abc")].concat(), None),
        ("a list", [long("3, 3"), data(END_STREAM, "abc")].concat(), None),
        ("a blank before a value", [response_head(0, &[("x-a", " 1")]), data(END_STREAM, "abc")].concat(), None),
        ("a quoted name", [response_head(0, &[("x-\"a", "1")]), data(END_STREAM, "abc")].concat(), None),
        ("a sign", [long("+3"), data(END_STREAM, "abc")].concat(), None),
    ] {
        let gateway = gateway(saying(frames).await);
        let expected = expected.map(|text| text.as_bytes().to_vec());
        assert_eq!(got_over_http1(&gateway).await, expected, "{what}, over HTTP/1");
        assert_eq!(got_over_http2(&gateway).await, expected, "{what}, over HTTP/2");
    }
    // Over HTTP/1 these are complete, since all declared bytes have come.
    for frames in [[long("3"), data(0, "abc"), reset(NO_ERROR)].concat(), [long("0"), data(END_STREAM, "abc")].concat()]
    {
        assert_eq!(got_over_http2(&gateway(saying(frames).await)).await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_1_0_client_notices_that_a_response_broke_off() {
    // For HTTP/1.0 a response of unknown length ends with the connection.
    for (end, is_whole) in [(frame(DATA, END_STREAM, 1, b""), true), (reset(NO_ERROR), false), (reset(2), false)] {
        let gateway = gateway(saying([response_head(0, &[]), frame(DATA, 0, 1, b"abc"), end].concat()).await);
        let mut client = gateway.connect().await;
        client.send("GET /api/users HTTP/1.0\r\n\r\n").await;
        let mut response = Vec::new();
        let read = soon("the end", client.stream.read_to_end(&mut response)).await;
        assert_eq!(read.is_ok(), is_whole, "{}", String::from_utf8_lossy(&response));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_response_is_complete_even_if_the_request_is_aborted() {
    let frames = [response_head(0, &[]), frame(DATA, END_STREAM, 1, b"no"), reset(NO_ERROR)].concat();
    let gateway = gateway(saying(frames).await);
    for _ in 0..20 {
        let mut client = gateway.connect().await;
        client.send("POST /api/users HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc").await;
        let response = client.response(true).await;
        assert_eq!((response.status, response.text(), response.message.complete), (200, "no", true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn error_codes_are_not_passed_to_the_other_side() {
    // REFUSED_STREAM would mean that nothing was processed, so that the client may send it again.
    let frames = [response_head(0, &[]), frame(DATA, 0, 1, b"abc"), reset(7)].concat();
    let gateway = gateway(saying(frames).await);
    let request = frame(HEADERS, END_HEADERS | END_STREAM, 1, &head(b"/api/users", &[]));
    let said = said(&gateway, &request, |kind, _| matches!(kind, RST_STREAM | GOAWAY)).await;
    let last = said.last().unwrap();
    assert_eq!((last.0, &last.2[..]), (RST_STREAM, &[0, 0, 0, 2][..]), "INTERNAL_ERROR");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_without_a_body_keeps_its_announced_length() {
    let head_of_service =
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &[&[STATUS_200][..], &literal("content-length", b"1234")].concat());
    let of_http2 = gateway(saying(head_of_service).await);
    let response = of_http2.ask("HEAD /api/users HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!((response.status, response.header("content-length")), (200, Some("1234")));
    // 304, by its number in the static table.
    let not_modified =
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &[&[0x8b][..], &literal("content-length", b"99")].concat());
    let of_http2 = gateway(saying(not_modified).await);
    let response = of_http2.get("/api/users", "").await;
    assert_eq!((response.status, response.header("content-length")), (304, Some("99")));
    // A 204 cannot have a body, even if DATA follows it.
    let with_data =
        [frame(HEADERS, END_HEADERS, 1, &[0x89]), frame(DATA, END_STREAM, 1, b"HTTP/1.1 200 OK\r\n\r\n")].concat();
    let of_http2 = gateway(saying(with_data).await);
    let mut client = of_http2.connect().await;
    let response = client.ask(&get("/api/users", "")).await;
    assert_eq!((response.status, response.header("content-length")), (204, None));
    assert_eq!(client.ask(&get("/livez", "")).await.status, 200, "the next answer is the next request's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_cannot_have_a_body_is_cut_off_before_it_over_http2() {
    // 204 and 304, by their numbers in the static table.
    for status in [0x89, 0x8b] {
        let with_data = [frame(HEADERS, END_HEADERS, 1, &[status]), frame(DATA, END_STREAM, 1, b"abc")].concat();
        let gateway = gateway(saying(with_data).await);
        let request = frame(HEADERS, END_HEADERS | END_STREAM, 1, &head(b"/api/users", &[]));
        let said = said(&gateway, &request, |kind, _| matches!(kind, DATA | RST_STREAM | GOAWAY)).await;
        assert_eq!(said.last().unwrap().0, RST_STREAM, "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_is_only_a_head_stays_one() {
    // As gRPC refuses a call. After a head that does not end the stream, its status would have to be in trailers.
    let refused = response_head(END_STREAM, &[("content-type", "application/grpc"), ("grpc-status", "12")]);
    let gateway = gateway(saying(refused).await);
    let call = request(Method::POST, "/api/users/Greet", &[], "abc");
    let response = Http2Client::connect(&gateway).await.send(call).await.unwrap();
    assert!(response.status() == 200 && response.headers()["grpc-status"] == "12", "{response:?}");
    assert!(response.into_body().is_end_stream());
}
