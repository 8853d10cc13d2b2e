//! Random HTTP/2 requests to an HTTP/1 service: it gets one message, the one that was sent, or none that is complete.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    pin::pin,
};

use proptest::{
    prelude::*,
    test_runner::{TestCaseError, TestRunner},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, tcp::OwnedReadHalf},
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
};

use super::{
    cases,
    framing::{found, found_by_hyper},
};
use crate::edge::tests::{
    harness::{Gateway, Served, Setup, Upstream, soon},
    http2::frames::{
        DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE_AND_SETTINGS, RST_STREAM, STATUS_200, frame, literal,
    },
    support::route,
};

/// The end of a request over HTTP/2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// With its head; its data is not sent.
    Head,
    Data,
    Trailers,
    Reset(u8),
}

#[derive(Debug, Clone)]
struct Sent {
    method: &'static str,
    target: &'static str,
    lines: Vec<(&'static str, String)>,
    data: Vec<&'static str>,
    end: End,
}

impl Sent {
    fn head(&self, case: usize) -> Vec<u8> {
        let case = case.to_string();
        let pseudo = [(":method", self.method), (":scheme", "http"), (":path", self.target), (":authority", "www")];
        let lines = self.lines.iter().map(|(name, value)| (*name, value.as_str()));
        pseudo
            .into_iter()
            .chain(lines)
            .chain([("x-case", case.as_str())])
            .flat_map(|(name, value)| literal(name, value.as_bytes()))
            .collect()
    }

    /// The frames before the end, and those of the end.
    fn frames(&self, case: usize) -> (Vec<u8>, Vec<u8>) {
        let head = self.head(case);
        if self.end == End::Head {
            return (Vec::new(), frame(HEADERS, END_HEADERS | END_STREAM, 1, &head));
        }
        let data = self.data.iter().flat_map(|data| frame(DATA, 0, 1, data.as_bytes()));
        let begin = frame(HEADERS, END_HEADERS, 1, &head).into_iter().chain(data).collect();
        let end = match self.end {
            End::Trailers => frame(HEADERS, END_HEADERS | END_STREAM, 1, &literal("x-sum", b"1")),
            End::Reset(code) => frame(RST_STREAM, 0, 1, &[0, 0, 0, code]),
            End::Data | End::Head => frame(DATA, END_STREAM, 1, b""),
        };
        (begin, end)
    }

    fn body(&self) -> Vec<u8> {
        if self.end == End::Head { Vec::new() } else { self.data.concat().into_bytes() }
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    let method = prop::sample::select(vec!["GET", "POST", "PUT", "DELETE", "M#"]);
    let good = prop::sample::select(vec!["/api/a", "/api/a?b=c", "/api/%61?/../"]);
    let bad =
        vec!["/api/a#b", "/api/\u{e9}", "/api/a?\u{e9}", "/api//", "/api/a HTTP/1.1", "/api/a\r\nX: 1", "?a", "*"];
    let target = prop_oneof![4 => good, 1 => prop::sample::select(bad)];
    let names = vec![
        "content-length",
        "content-length",
        "content-length",
        "content_length",
        "content.length",
        "Content-Length",
        "transfer-encoding",
        "transfer_encoding",
        "transfer.encoding",
        "expect",
        "te",
        "connection",
        "upgrade",
        "trailer",
        "host",
        "cookie",
        "x-a",
    ];
    let values = vec![
        "0",
        "3",
        "5",
        "00",
        "05",
        "+5",
        "5, 5",
        "",
        " 5",
        "chunked",
        "100-continue",
        "trailers",
        "x-sum",
        "www",
        "a\r\nb: c",
        "a\nb: c",
        "\u{0}",
        "\u{e9}",
        "GET /smuggled HTTP/1.1",
    ];
    let line = (prop::sample::select(names), prop::sample::select(values).prop_map(str::to_owned));
    let data = prop::sample::select(vec![
        "",
        "x",
        "abcde",
        "0\r\n\r\n",
        "\r\n\r\n",
        "5\r\nabcde\r\n0\r\n\r\n",
        "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
    ]);
    let end = prop_oneof![
        1 => Just(End::Head),
        4 => Just(End::Data),
        2 => Just(End::Trailers),
        1 => prop::sample::select(vec![0, 2, 7, 8]).prop_map(End::Reset)
    ];
    let lines = prop::collection::vec(line, 0..3);
    let data = prop::collection::vec(data, 0..4);
    (method, target, lines, data, end, prop::bool::weighted(0.3)).prop_map(
        |(method, target, mut lines, data, end, says_length)| {
            if says_length {
                lines.push(("content-length", data.concat().len().to_string()));
            }
            Sent { method, target, lines, data, end }
        },
    )
}

/// An event that the service reports.
enum Event {
    /// This much of a request has come: at least the head.
    Begun(Vec<u8>),
    /// All bytes that came on a connection.
    Ended(Vec<u8>),
}

/// Reads a request, and answers it if it is complete.
async fn serve(mut connection: Served, events: UnboundedSender<Event>) {
    let (mut seen, mut is_answered) = (Vec::new(), false);
    while !matches!(connection.stream.read_buf(&mut seen).await, Ok(0) | Err(_)) {
        let read = found(&seen, &[seen.len()]);
        if !read.requests.is_empty() {
            // The test may have ended.
            let _ = events.send(Event::Begun(seen.clone()));
        }
        if !read.requests.is_empty() && !read.in_body && !is_answered {
            is_answered = true;
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
        }
    }
    let _ = events.send(Event::Ended(seen));
}

/// Whether the request was answered with 200, once that is known.
async fn is_accepted(reading: &mut OwnedReadHalf) -> bool {
    loop {
        let mut header = [0; 9];
        if reading.read_exact(&mut header).await.is_err() {
            return false;
        }
        let mut payload = vec![0; usize::from(header[1]) << 8 | usize::from(header[2])];
        if reading.read_exact(&mut payload).await.is_err() {
            return false;
        }
        match (header[3], header[8]) {
            (HEADERS, 1) => return payload[0] == STATUS_200,
            (RST_STREAM, 1) | (GOAWAY, _) => return false,
            _ => {}
        }
    }
}

fn is_of(case: usize, raw: &[u8]) -> bool {
    String::from_utf8_lossy(raw).contains(&format!("x-case: {case}\r\n"))
}

/// Sends a request. Returns all that the service has reported by then, and whether the response was 200.
async fn exchange(
    gateway: &Gateway,
    events: &mut UnboundedReceiver<Event>,
    sent: &Sent,
    case: usize,
) -> (Vec<Vec<u8>>, bool) {
    let (mut reading, mut writing) = TcpStream::connect(gateway.address).await.unwrap().into_split();
    let (begin, end) = sent.frames(case);
    // The gateway may have closed the connection already.
    let _ = writing.write_all(&[PREFACE_AND_SETTINGS, &begin].concat()).await;
    let (mut records, mut accepted, mut is_begun) = (Vec::new(), false, false);
    if matches!(sent.end, End::Reset(_)) {
        let mut answered = pin!(is_accepted(&mut reading));
        while !is_begun {
            tokio::select! {
                event = events.recv() => match event.unwrap() {
                    Event::Begun(raw) => is_begun = is_of(case, &raw),
                    Event::Ended(raw) => records.push(raw),
                },
                _ = &mut answered => break,
            }
        }
        let _ = writing.write_all(&end).await;
    } else {
        let _ = writing.write_all(&end).await;
        accepted = is_accepted(&mut reading).await;
    }
    drop((reading, writing));
    while (is_begun || accepted) && !records.iter().any(|raw| is_of(case, raw)) {
        if let Event::Ended(raw) = events.recv().await.unwrap() {
            records.push(raw);
        }
    }
    (records, accepted)
}

/// Checks all bytes of one connection.
fn check(raw: &[u8], sent: &HashMap<usize, Sent>) -> Result<(), TestCaseError> {
    if raw.is_empty() {
        // The request was aborted before anything was written.
        return Ok(());
    }
    let text = String::from_utf8_lossy(raw);
    let (head, _) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let (ours, theirs) = (found(raw, &[raw.len()]), found_by_hyper(raw));
    prop_assert!(ours.fault.is_none() && ours.requests.len() == 1, "{ours:?}: {text}");
    let case = head.lines().find_map(|line| line.strip_prefix("x-case: ")).unwrap();
    let sent = &sent[&case.parse().unwrap()];
    let folded = head.to_ascii_lowercase().replace(['_', '.'], "-");
    let framing =
        folded.lines().filter(|line| line.starts_with("content-length:") || line.starts_with("transfer-encoding:"));
    prop_assert!(framing.count() <= 1, "{text}");
    prop_assert_eq!(theirs.len(), 1, "{}", text);
    prop_assert_eq!(&theirs[0].0, sent.method);
    if ours.in_body {
        prop_assert_eq!(&theirs[0].1, &None, "{}", text);
    } else {
        // A request that was reset after all its declared bytes had come is complete over HTTP/1.
        let is_reset = matches!(sent.end, End::Reset(_));
        prop_assert!(!is_reset || folded.contains("\ncontent-length: "), "it was reset: {text}");
        prop_assert_eq!(&ours.requests[0], &(sent.method.to_owned(), sent.body()));
        prop_assert_eq!(theirs[0].1.as_ref(), Some(&sent.body()), "{}", text);
        prop_assert_eq!(ours.read, raw.len(), "something follows: {}", text);
    }
    Ok(())
}

#[test]
fn no_request_over_http2_becomes_another_message_over_http1() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (told, events) = mpsc::unbounded_channel();
    let mut events = RefCell::new(events);
    let upstream = runtime.block_on(Upstream::start(move |connection| serve(connection, told.clone())));
    let mut setup = Setup::of(&[upstream.address]);
    setup.routes = vec![route("/api", "auth", "/api")];
    let gateway = runtime.block_on(async { setup.start() });
    let (all, accepted) = (RefCell::new(HashMap::new()), Cell::new(0));
    let outcome = TestRunner::new(cases()).run(&sent(), |sent| {
        let case = all.borrow().len();
        all.borrow_mut().insert(case, sent.clone());
        let mut events = events.borrow_mut();
        let exchanged = exchange(&gateway, &mut events, &sent, case);
        let (records, is_accepted) = runtime.block_on(soon("an exchange", exchanged));
        accepted.set(accepted.get() + usize::from(is_accepted));
        records.iter().try_for_each(|raw| check(raw, &all.borrow()))
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let (all, events) = (all.into_inner(), events.get_mut());
    assert!(accepted.get() * 10 > all.len(), "{} of {} requests were accepted", accepted.get(), all.len());
    // Check late events.
    drop(gateway);
    while let Ok(event) = events.try_recv() {
        if let Event::Ended(raw) = event {
            check(&raw, &all).unwrap_or_else(|error| panic!("{error}"));
        }
    }
}
