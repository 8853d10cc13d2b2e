//! Time limits: an idle stream ends alone, on time, and regardless of its client's other activity.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
};

use super::frames::{
    DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE_AND_SETTINGS, RST_STREAM, STATUS_200, frame, literal,
};
use crate::{
    domain::gateway::models::service::{Route, TimeLimits},
    edge::tests::{
        harness::{Gateway, Setup, Upstream, get, soon},
        support::route,
    },
};

const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CANCEL: [u8; 4] = [0, 0, 0, 8];

/// Short, but longer than a busy machine needs for continuous activity.
const SHORT: Duration = Duration::from_millis(500);

/// The interval of a client's other activity.
const STEP: Duration = Duration::from_millis(50);

/// A client that sends arbitrary frames, and receives them as they come.
struct Raw {
    stream: TcpStream,
    input: Vec<u8>,
}

/// A received frame.
struct Came {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Raw {
    async fn connect(gateway: &Gateway) -> Self {
        let stream = soon("connecting", TcpStream::connect(gateway.address)).await.unwrap();
        let mut client = Self { stream, input: Vec::new() };
        client.send(PREFACE_AND_SETTINGS).await;
        client
    }

    async fn send(&mut self, bytes: &[u8]) {
        soon("sending", self.stream.write_all(bytes)).await.unwrap();
    }

    async fn ask(&mut self, stream: u32, path: &str) {
        self.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &head(0x82, path))).await;
    }

    async fn begin_body(&mut self, stream: u32, path: &str) {
        self.send(&frame(HEADERS, END_HEADERS, stream, &head(0x83, path))).await;
    }

    async fn grant(&mut self, stream: u32, bytes: u32) {
        self.send(&frame(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())).await;
    }

    /// The next frame.
    async fn next(&mut self) -> Came {
        loop {
            if let Some((header, rest)) = self.input.split_first_chunk::<9>() {
                let length = usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]);
                if rest.len() >= length {
                    let stream = u32::from_be_bytes(header[5..].try_into().unwrap());
                    let came = Came { kind: header[3], flags: header[4], stream, payload: rest[..length].to_vec() };
                    self.input.drain(..9 + length);
                    return came;
                }
            }
            let read = soon("a frame", self.stream.read_buf(&mut self.input)).await;
            assert_ne!(read.unwrap(), 0, "the connection ended");
        }
    }

    /// The next frame of this stream.
    async fn next_of(&mut self, stream: u32) -> Came {
        loop {
            let came = self.next().await;
            assert_ne!(came.kind, GOAWAY, "the connection is to end");
            if came.stream == stream {
                return came;
            }
        }
    }

    /// The next frame of this stream; until it comes, the client sends `meanwhile` again and again.
    async fn next_despite(&mut self, stream: u32, meanwhile: &[u8]) -> Came {
        let began = Instant::now();
        while let Err(_late) = tokio::time::timeout(STEP, self.stream.readable()).await {
            assert!(began.elapsed() < Duration::from_secs(15), "nothing came");
            self.send(meanwhile).await;
        }
        loop {
            match tokio::time::timeout(STEP, self.next_of(stream)).await {
                Ok(came) => return came,
                Err(_late) => self.send(meanwhile).await,
            }
            assert!(began.elapsed() < Duration::from_secs(15), "nothing came on the stream");
        }
    }

    /// Expects a small, complete response.
    async fn is_answered(&mut self, stream: u32) {
        let head = self.next_of(stream).await;
        assert_eq!((head.kind, head.payload[0]), (HEADERS, STATUS_200));
        let mut body = Vec::new();
        loop {
            let data = self.next_of(stream).await;
            assert_eq!(data.kind, DATA);
            body.extend(data.payload);
            if data.flags & END_STREAM != 0 {
                break;
            }
        }
        assert_eq!(body, b"ok");
    }
}

/// The head of a request by its method in HPACK.
fn head(method: u8, path: &str) -> Vec<u8> {
    [vec![method, 0x86], literal(":path", path.as_bytes()), literal(":authority", b"www")].concat()
}

fn ping() -> Vec<u8> {
    frame(PING, 0, 0, b"whatever")
}

/// Settings with a window of zero for each stream.
fn no_window() -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])
}

/// A service with a large response at `/users/large`, events at `/users/events`, a response at `/users/upload` that
/// ends when the request does, and `ok` elsewhere. It reports when a connection with a large response has ended.
async fn service() -> (Upstream, Arc<Notify>) {
    let ended = Arc::<Notify>::default();
    let told = Arc::clone(&ended);
    let upstream = Upstream::start(move |mut connection| {
        let told = Arc::clone(&told);
        async move {
            let mut seen = String::new();
            while !seen.contains("\r\n\r\n") {
                match connection.some().await {
                    some if some.is_empty() => return,
                    some => seen += &some,
                }
            }
            let path = seen.split(' ').nth(1).unwrap().to_owned();
            if path.ends_with("/large") {
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n").await;
                for _ in 0..100 {
                    connection.send(&"a".repeat(1_000_000)).await;
                }
                told.notify_one();
            } else if path.ends_with("/events") {
                connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
                while tokio::time::timeout(STEP, connection.is_closed()).await.is_err() {
                    connection.send("5\r\ntick\n\r\n").await;
                }
            } else if path.ends_with("/upload") {
                connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
                while !seen.ends_with("0\r\n\r\n") {
                    match connection.some().await {
                        some if some.is_empty() => return,
                        some => seen += &some,
                    }
                }
                connection.send("2\r\nok\r\n0\r\n\r\n").await;
            } else {
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
            }
        }
    })
    .await;
    (upstream, ended)
}

/// At `/api/users` the limits of the listener apply, at `/api/idle` a short idle limit, and at `/api/total` a short
/// total limit.
fn setup(upstream: &Upstream) -> Setup {
    let none = TimeLimits::default();
    let limits = [
        ("/api/users", none),
        ("/api/idle", TimeLimits { idle: Some(SHORT), ..none }),
        ("/api/total", TimeLimits { total: Some(SHORT), ..none }),
    ];
    let routes = limits.map(|(path, time_limits)| Route { time_limits, ..route(path, "auth", "/users") }).into();
    Setup { routes, ..Setup::of(&[upstream.address]) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_without_window_ends_alone_however_often_its_client_pings() {
    let (upstream, ended) = service().await;
    let gateway = setup(&upstream).start();
    for path in ["/api/idle/large", "/api/total/large"] {
        let mut client = Raw::connect(&gateway).await;
        client.send(&no_window()).await;
        client.ask(1, path).await;
        assert_eq!(client.next_of(1).await.kind, HEADERS);
        let end = client.next_despite(1, &ping()).await;
        assert_eq!((end.kind, &end.payload[..]), (RST_STREAM, &CANCEL[..]), "{path}");
        soon("the end of the service's work", ended.notified()).await;
        client.ask(3, "/api/users").await;
        client.grant(3, 1_000).await;
        client.is_answered(3).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_is_complete_at_once_waits_for_window_no_longer_than_another() {
    let (upstream, _) = service().await;
    let mut setup = setup(&upstream);
    setup.listener.idle_timeout = SHORT;
    let gateway = setup.start();
    for path in ["/own", "/api/users"] {
        let mut client = Raw::connect(&gateway).await;
        client.send(&no_window()).await;
        client.ask(1, path).await;
        assert_eq!(client.next_of(1).await.kind, HEADERS, "{path}");
        let end = client.next_despite(1, &ping()).await;
        assert_eq!((end.kind, &end.payload[..]), (RST_STREAM, &CANCEL[..]), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_ends_in_time_even_if_its_client_takes_next_to_nothing() {
    let (upstream, ended) = service().await;
    let gateway = setup(&upstream).start();
    let mut unread = gateway.connect().await;
    unread.send(&get("/api/total/large", "")).await;
    soon("the end of the service's work", ended.notified()).await;
    let mut client = Raw::connect(&gateway).await;
    client.send(&no_window()).await;
    client.ask(1, "/api/total/large").await;
    assert_eq!(client.next_of(1).await.kind, HEADERS);
    let little = frame(WINDOW_UPDATE, 0, 1, &1_000_u32.to_be_bytes());
    loop {
        let came = client.next_despite(1, &little).await;
        if came.kind != DATA {
            assert_eq!(came.kind, RST_STREAM);
            break;
        }
    }
    soon("the end of the service's work", ended.notified()).await;
    // As long as the client takes some bytes, the response is not idle.
    client.ask(3, "/api/idle/large").await;
    assert_eq!(client.next_of(3).await.kind, HEADERS);
    let began = Instant::now();
    while began.elapsed() < 3 * SHORT {
        client.grant(3, 10).await;
        assert_eq!(client.next_of(3).await.kind, DATA);
        tokio::time::sleep(STEP).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_body_ends_alone_whatever_else_its_client_sends() {
    let (upstream, _) = service().await;
    let mut setup = setup(&upstream);
    setup.listener.idle_timeout = SHORT;
    let gateway = setup.start();
    for path in ["/api/users", "/own"] {
        let mut client = Raw::connect(&gateway).await;
        client.begin_body(1, path).await;
        client.send(&frame(DATA, 0, 1, b"abc")).await;
        let nothing = [ping(), frame(DATA, 0, 1, b"")].concat();
        let response = client.next_despite(1, &nothing).await;
        assert_eq!(response.kind, HEADERS, "{path}");
        client.ask(3, "/api/users").await;
        client.is_answered(3).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_was_refused_early_does_not_end_later_streams() {
    let (upstream, _) = service().await;
    let mut setup = setup(&upstream);
    setup.listener.idle_timeout = SHORT;
    let gateway = setup.start();
    let mut client = Raw::connect(&gateway).await;
    client.begin_body(1, "/api/nobody").await;
    assert_eq!(client.next_of(1).await.kind, HEADERS);
    client.ask(3, "/api/users/events").await;
    let began = Instant::now();
    assert_eq!(client.next_of(3).await.kind, HEADERS);
    while began.elapsed() < 3 * SHORT {
        assert_eq!(client.next_of(3).await.kind, DATA);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_limit_of_one_request_does_not_affect_others() {
    let (upstream, _) = service().await;
    let gateway = setup(&upstream).start();
    let mut client = Raw::connect(&gateway).await;
    client.send(&no_window()).await;
    client.ask(1, "/api/users/large").await;
    assert_eq!(client.next_of(1).await.kind, HEADERS);
    client.ask(3, "/api/idle/large").await;
    assert_eq!(client.next_of(3).await.kind, HEADERS);
    assert_eq!(client.next_of(3).await.kind, RST_STREAM);
    // The first has waited for longer.
    client.grant(1, 10).await;
    let data = client.next_of(1).await;
    assert_eq!((data.kind, data.payload.len()), (DATA, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_active_body_keeps_its_response_alive() {
    let (upstream, _) = service().await;
    let gateway = setup(&upstream).start();
    let mut http1 = gateway.connect().await;
    http1.send("POST /api/idle/upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let mut http2 = Raw::connect(&gateway).await;
    http2.begin_body(1, "/api/idle/upload").await;
    let began = Instant::now();
    while began.elapsed() < 3 * SHORT {
        http1.send("3\r\nabc\r\n").await;
        http2.send(&frame(DATA, 0, 1, b"abc")).await;
        tokio::time::sleep(STEP).await;
    }
    http1.send("0\r\n\r\n").await;
    http2.send(&frame(DATA, END_STREAM, 1, b"")).await;
    let mut seen = String::new();
    while !seen.ends_with("\r\n0\r\n\r\n") {
        let some = http1.some().await;
        assert!(!some.is_empty(), "it broke off: {seen}");
        seen += &some;
    }
    assert!(seen.contains("\r\nok\r\n"), "{seen}");
    http2.is_answered(1).await;
    // When both are idle, the stream ends.
    http2.begin_body(3, "/api/idle/upload").await;
    assert_eq!(http2.next_of(3).await.kind, HEADERS);
    assert_eq!(http2.next_of(3).await.kind, RST_STREAM);
}

#[tokio::test(flavor = "multi_thread")]
async fn framing_bytes_do_not_keep_a_body_alive() {
    let (upstream, _) = service().await;
    let mut setup = setup(&upstream);
    setup.listener.idle_timeout = SHORT;
    let gateway = setup.start();
    let mut client = gateway.connect().await;
    client.send("POST /api/users HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3;").await;
    let dripping = async {
        loop {
            tokio::time::sleep(STEP).await;
            if client.stream.write_all(b"x").await.is_err() {
                return;
            }
        }
    };
    let began = Instant::now();
    soon("the end of the connection", dripping).await;
    assert!(began.elapsed() < Duration::from_secs(10));
}
