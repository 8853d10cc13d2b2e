//! The lines for machines, for requests of every kind.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use http::{Method, Response, Version};
use http_body_util::{BodyExt, Either, Full};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use super::{
    forwarding::upgrades::up_to,
    harness::{Gateway, Setup, Upstream, bearer, get, post, until},
    http2::{
        Http2Client,
        frames::{
            DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE_AND_SETTINGS, RST_STREAM, SETTINGS, STATUS_200, frame,
            literal,
        },
        parts, request,
        upstreams::serve,
    },
    support::{auth_with, service},
};
use crate::{
    config::LogFormat,
    domain::gateway::models::service::{Balancing, ServicePolicy},
};

const MANUAL: &str = include_str!("../../../docs/logging.md");

const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

/// A body of eight bytes.
const QUESTION: &str = "question";

/// Logs for machines.
fn for_machines(setup: Setup) -> Gateway {
    Setup { log_format: LogFormat::Json, ..setup }.start()
}

/// A setup in front of one endpoint of `auth`.
fn before(instance: SocketAddr, speaks: Version) -> Setup {
    let scheme = if speaks == Version::HTTP_2 { "h2c" } else { "http" };
    Setup { services: vec![service("auth", &[&format!("{scheme}://{instance}")])], ..Setup::of(&[]) }
}

/// The one line about the request for this path, once it is written.
async fn line(gateway: &Gateway, path: &str) -> Value {
    let mut found = Vec::new();
    until("its line", || {
        let parse = |line: &str| serde_json::from_str::<Value>(line).unwrap();
        found = gateway.log.text().lines().map(parse).filter(|line| line["path"] == path).collect();
        !found.is_empty()
    })
    .await;
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// Sends a request in this version of HTTP. Returns the received part of the response's body.
async fn asked(gateway: &Gateway, version: Version, method: Method, target: &str, lines: &str, body: &str) -> Vec<u8> {
    if version == Version::HTTP_11 {
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let head = format!("{method} {target} HTTP/1.1\r\nHost: www.jinmini.com\r\n{lines}{length}\r\n");
        return gateway.ask(&format!("{head}{body}")).await.message.body;
    }
    let mut request = request(method, target, &[], body);
    for (name, value) in lines.lines().map(|line| line.split_once(": ").unwrap()) {
        request.headers_mut().append(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
    }
    let client = Http2Client::connect(gateway).await;
    let mut came = Vec::new();
    // The response may break off, and then the library may not even return its head.
    let Ok(response) = client.send(request).await else { return came };
    let mut response = response.into_body();
    while let Some(Ok(frame)) = response.frame().await {
        came.extend(frame.into_data().unwrap_or_default());
    }
    came
}

fn number(line: &Value, name: &str) -> f64 {
    line[name].as_f64().unwrap_or_else(|| panic!("no {name} in {line}"))
}

fn bytes(line: &Value) -> (u64, u64) {
    let of = |name: &str| line[name].as_u64().unwrap_or_else(|| panic!("no {name} in {line}"));
    (of("bytes_in"), of("bytes_out"))
}

/// A service of HTTP/1.1 that answers with the `traceparent` that it got.
async fn telling_trace() -> Upstream {
    Upstream::start(|mut connection| async move {
        while let Some(request) = connection.request().await {
            let traceparent = request.header("traceparent").unwrap();
            let length = traceparent.len();
            connection.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{traceparent}")).await;
        }
    })
    .await
}

/// Like `telling_trace`, over HTTP/2.
async fn telling_trace_over_http2() -> SocketAddr {
    let (address, _) = serve(|request| async {
        let traceparent = request.headers()["traceparent"].as_bytes().to_vec();
        request.into_body().collect().await.unwrap();
        Response::new(Either::Left(Full::from(traceparent)))
    })
    .await;
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn all_known_facts_are_logged_in_every_version_of_http() {
    let (http1, http2) = (telling_trace().await, telling_trace_over_http2().await);
    for (instance, speaks) in [(http1.address, Version::HTTP_11), (http2, Version::HTTP_2)] {
        let gateway = for_machines(before(instance, speaks));
        for version in BOTH {
            let path = format!("/api/auth/{version:?}");
            let lines = bearer("jwt.alice.read.1");
            let sent = asked(&gateway, version, Method::POST, &path, &lines, QUESTION).await;
            let traceparent = String::from_utf8(sent).unwrap();
            let line = line(&gateway, &path).await;
            assert_eq!(bytes(&line), (8, 55), "{line}");
            assert_eq!(line["trace_id"].as_str(), traceparent.split('-').nth(1), "{line}");
            assert_eq!((&line["subject"], &line["client_id"]), (&"alice".into(), &"test".into()), "{line}");
            assert_eq!((&line["client"], &line["route"]), (&"127.0.0.1".into(), &"/api/auth".into()), "{line}");
            assert_eq!((&line["status"], &line["complete"]), (&200.into(), &true.into()), "{line}");
            assert!(number(&line, "upstream_ms") <= number(&line, "ms"), "{line}");
            // Only a problem has a code.
            let mut expected = documented();
            assert!(expected.remove("code"));
            assert_eq!(expected, line.as_object().unwrap().keys().map(String::as_str).collect(), "{line}");
        }
    }
}

/// The members that docs/logging.md lists.
fn documented() -> BTreeSet<&'static str> {
    let (_, behind) = MANUAL.split_once("| member | unit |").unwrap();
    let rows = behind.lines().skip(2).take_while(|line| line.starts_with('|'));
    let names = rows.map(|row| row.split('|').nth(1).unwrap());
    names.flat_map(|names| names.split(',').map(|name| name.trim().trim_matches('`'))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_received_trace_is_logged() {
    let upstream = telling_trace().await;
    let gateway = for_machines(before(upstream.address, Version::HTTP_11));
    let trace = "0af7651916cd43dd8448eb211c80319c";
    for version in BOTH {
        let path = format!("/api/users/{version:?}");
        let lines = format!("traceparent: 00-{trace}-b7ad6b7169203331-01\r\n");
        asked(&gateway, version, Method::GET, &path, &lines, "").await;
        assert_eq!(line(&gateway, &path).await["trace_id"], trace);
        // No service was told of a trace.
        let refused = format!("/api/auth/{version:?}");
        asked(&gateway, version, Method::GET, &refused, &lines, "").await;
        let line = line(&gateway, &refused).await;
        assert_eq!((&line["status"], line.get("trace_id"), line.get("upstream_ms")), (&401.into(), None, None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn framing_bytes_are_not_counted() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\nX-Sum: 7\r\n\r\n";
    let upstream = Upstream::answering(chunked).await;
    let gateway = for_machines(before(upstream.address, Version::HTTP_11));
    let request = "POST /api/users/chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3;x=y\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Sum: 7\r\n\r\n";
    assert_eq!(gateway.ask(request).await.text(), "abcde");
    assert_eq!(bytes(&line(&gateway, "/api/users/chunks").await), (7, 5));
    // For a client without chunked encoding, the response ends with the connection.
    let old = "GET /api/users/old HTTP/1.0\r\nHost: a\r\n\r\n";
    assert_eq!(gateway.ask(old).await.text(), "abcde");
    let line = line(&gateway, "/api/users/old").await;
    assert_eq!((bytes(&line), &line["complete"]), ((0, 5), &true.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_response_to_head_is_complete_and_without_bytes() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n").await;
    let gateway = for_machines(before(upstream.address, Version::HTTP_11));
    for version in BOTH {
        // Responses of a service, of the gateway's own API, and of the data plane itself.
        for (path, status) in [("/api/users", 200), ("/own", 200), ("/api/none", 404)] {
            let path = format!("{path}/{version:?}");
            if version == Version::HTTP_11 {
                gateway.ask(&get(&path, "").replacen("GET", "HEAD", 1)).await;
            } else {
                asked(&gateway, version, Method::HEAD, &path, "", "").await;
            }
            let line = line(&gateway, &path).await;
            assert_eq!((&line["status"], &line["complete"]), (&status.into(), &true.into()), "{line}");
            assert_eq!(bytes(&line), (0, 0), "{line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateways_own_api_has_bytes_and_no_service() {
    let gateway = for_machines(Setup::of(&[]));
    for version in BOTH {
        let path = format!("/own/{version:?}");
        let came = asked(&gateway, version, Method::POST, &path, "", QUESTION).await;
        let line = line(&gateway, &path).await;
        assert!(came.len() > 100 && came.ends_with(QUESTION.as_bytes()));
        assert_eq!((bytes(&line), &line["complete"]), ((8, came.len() as u64), &true.into()), "{line}");
        for name in ["service", "route", "instance", "upstream_ms", "trace_id"] {
            assert_eq!(line.get(name), None, "{line}");
        }
    }
}

/// A service of HTTP/2 that announces 100 bytes of a response, sends ten of them, and resets the stream.
async fn breaking_off_over_http2() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                stream.write_all(&frame(SETTINGS, 0, 0, b"")).await?;
                stream.read_exact(&mut [0; b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len()]).await?;
                loop {
                    let mut header = [0; 9];
                    stream.read_exact(&mut header).await?;
                    let length = usize::from(header[1]) << 8 | usize::from(header[2]);
                    stream.read_exact(&mut vec![0; length]).await?;
                    // The request has ended.
                    if header[3] == DATA && header[4] & END_STREAM != 0 {
                        let id = u32::from_be_bytes(header[5..].try_into().unwrap());
                        let head = [&[STATUS_200], &literal("content-length", b"100")[..]].concat();
                        stream.write_all(&frame(HEADERS, END_HEADERS, id, &head)).await?;
                        stream.write_all(&frame(DATA, 0, id, b"0123456789")).await?;
                        stream.write_all(&frame(RST_STREAM, 0, id, &[0, 0, 0, 2])).await?;
                    }
                }
                #[expect(unreachable_code, reason = "it names the error type")]
                std::io::Result::Ok(())
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn the_received_bytes_of_a_broken_off_response_are_logged() {
    let http1 = Upstream::start(|mut connection| async move {
        connection.request().await;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789").await;
    })
    .await;
    let http2 = breaking_off_over_http2().await;
    for (instance, speaks) in [(http1.address, Version::HTTP_11), (http2, Version::HTTP_2)] {
        let gateway = for_machines(before(instance, speaks));
        for version in BOTH {
            let path = format!("/api/auth/{version:?}");
            let lines = bearer("jwt.alice.read.1");
            let came = asked(&gateway, version, Method::POST, &path, &lines, QUESTION).await;
            let line = line(&gateway, &path).await;
            assert_eq!((&line["status"], &line["complete"]), (&200.into(), &false.into()), "{line}");
            assert!(came.len() <= 10 && bytes(&line) == (8, 10), "{} of {line}", came.len());
            assert!(number(&line, "upstream_ms") <= number(&line, "ms"), "{line}");
            assert_eq!((&line["client_id"], line["trace_id"].as_str().unwrap().len()), (&"test".into(), 32), "{line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sent_bytes_of_a_client_that_leaves_before_the_response_are_logged() {
    let begun = Arc::new(Notify::new());
    let told = Arc::clone(&begun);
    let upstream = Upstream::start(move |mut connection| {
        let begun = Arc::clone(&told);
        async move {
            connection.request().await;
            begun.notify_one();
            connection.is_closed().await;
        }
    })
    .await;
    let gateway = for_machines(before(upstream.address, Version::HTTP_11));
    for version in BOTH {
        let path = format!("/api/users/{version:?}");
        if version == Version::HTTP_11 {
            let mut client = gateway.connect().await;
            client.send(&post(&path, QUESTION)).await;
            begun.notified().await;
            client.reset();
        } else {
            let client = Http2Client::connect(&gateway).await;
            let asking = client.send(request(Method::POST, &path, &[], QUESTION));
            tokio::select! {
                _ = asking => panic!("there is no answer"),
                () = begun.notified() => {}
            }
        }
        let line = line(&gateway, &path).await;
        assert_eq!((&line["status"], &line["complete"]), (&499.into(), &false.into()), "{line}");
        assert_eq!((bytes(&line), line.get("upstream_ms")), ((8, 0), None), "{line}");
        assert_eq!(line["trace_id"].as_str().unwrap().len(), 32, "{line}");
    }
}

/// A service that sends a large response.
async fn large() -> (Upstream, u64) {
    const BYTES: usize = 8 << 20;
    let upstream = Upstream::start(|mut connection| async move {
        connection.request().await;
        let body = "x".repeat(BYTES);
        connection.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n{body}")).await;
    })
    .await;
    (upstream, BYTES as u64)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_sent_to_a_client_that_leaves_during_the_response_are_logged() {
    let (upstream, all) = large().await;
    let setup = Setup { send_buffer_bytes: Some(64 * 1024), ..before(upstream.address, Version::HTTP_11) };
    let gateway = for_machines(setup);
    let mut client = gateway.connect().await;
    client.send(&get("/api/users/1", "")).await;
    let mut got = 0;
    while got < 300_000 {
        got += client.some().await.len() as u64;
    }
    client.reset();
    let line1 = line(&gateway, "/api/users/1").await;
    let (_, out) = bytes(&line1);
    // The received bytes begin with a head.
    assert!(got - 1000 < out && out < all && line1["complete"] == false, "{got}, {line1}");

    // With HTTP/2 the window determines the number: this client grants no more than the initial window.
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let head = b"\x82\x86\x04\x0c/api/users/2\x41\x03www";
    stream
        .write_all(&[PREFACE_AND_SETTINGS, &frame(HEADERS, END_HEADERS | END_STREAM, 1, head)].concat())
        .await
        .unwrap();
    let mut window = 65_535;
    while window > 0 {
        let mut header = [0; 9];
        stream.read_exact(&mut header).await.unwrap();
        let length = usize::from(header[1]) << 8 | usize::from(header[2]);
        stream.read_exact(&mut vec![0; length]).await.unwrap();
        window -= if header[3] == DATA { length } else { 0 };
    }
    stream.write_all(&frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])).await.unwrap();
    let line2 = line(&gateway, "/api/users/2").await;
    assert_eq!((bytes(&line2), &line2["complete"]), ((0, 65_535), &false.into()), "{line2}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_its_client_does_not_take_is_incomplete() {
    let upstream = Upstream::ok().await;
    let gateway = for_machines(before(upstream.address, Version::HTTP_11));
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    // No window for bodies.
    let settings = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let head = frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x82\x86\x04\x0a/api/users\x41\x03www");
    stream.write_all(&[PREFACE_AND_SETTINGS, &settings, &head].concat()).await.unwrap();
    let mut kind = SETTINGS;
    while kind != HEADERS {
        let mut header = [0; 9];
        stream.read_exact(&mut header).await.unwrap();
        stream.read_exact(&mut vec![0; usize::from(header[1]) << 8 | usize::from(header[2])]).await.unwrap();
        kind = header[3];
    }
    stream.write_all(&frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])).await.unwrap();
    let line = line(&gateway, "/api/users").await;
    assert_eq!((&line["status"], &line["complete"]), (&200.into(), &false.into()), "{line}");
    assert_eq!(bytes(&line), (0, 0), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_read_bytes_of_a_refused_body_are_counted() {
    let upstream = Upstream::ok().await;
    let gateway = for_machines(before(upstream.address, Version::HTTP_11));
    // The body breaks off.
    let mut client = gateway.connect().await;
    client.send("POST /api/users/half HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nquestion").await;
    client.half_close().await;
    assert_eq!(client.response(true).await.status, 400);
    let half = line(&gateway, "/api/users/half").await;
    assert_eq!((bytes(&half).0, half.get("upstream_ms")), (8, None), "{half}");
    // The body is longer than the route allows, and its head does not declare that.
    let (sender, body) = parts();
    let client = Http2Client::connect(&gateway).await;
    let sending = tokio::spawn(async move {
        for part in ["01234567", "89abcdef"] {
            // The gateway need not wait for it.
            let _ = sender.send(super::http2::data(part)).await;
        }
    });
    let response = client.send(request(Method::POST, "/api/small/long", &[], "").map(|_| body)).await.unwrap();
    assert_eq!(response.status(), 413);
    sending.await.unwrap();
    assert_eq!(bytes(&line(&gateway, "/api/small/long").await).0, 16);
    // The head declares it: the body is not read.
    assert_eq!(gateway.ask(&post("/api/small/said", "0123456789abcdef")).await.status, 413);
    assert_eq!(bytes(&line(&gateway, "/api/small/said").await).0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_through_an_upgraded_connection_are_logged() {
    let switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello ";
    let upstream = Upstream::start(move |mut connection| async move {
        connection.request().await;
        connection.send(switching).await;
        let mut heard = 0;
        while heard < 7 {
            heard += connection.some().await.len();
        }
        connection.send("goodbye").await;
    })
    .await;
    let gateway = for_machines(before(upstream.address, Version::HTTP_11));
    let mut client = gateway.connect().await;
    // Some bytes for the other side come with the request already.
    let lines = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    client.send(&(get("/api/users/socket", lines) + "abc")).await;
    assert_eq!(client.response(false).await.status, 101);
    client.send("defg").await;
    assert_eq!(up_to(&mut client, "goodbye").await, "hello goodbye");
    client.half_close().await;
    assert!(client.is_closed().await);
    let line = line(&gateway, "/api/users/socket").await;
    assert_eq!((&line["status"], bytes(&line), &line["complete"]), (&101.into(), (7, 13), &true.into()), "{line}");
    assert!(number(&line, "upstream_ms") <= number(&line, "ms") && line["trace_id"].is_string(), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_a_service_ends_with_its_head_and_includes_failed_attempts() {
    const DELAY: Duration = Duration::from_millis(60);
    let go_on = Arc::new(Notify::new());
    let told = Arc::clone(&go_on);
    let slow = Upstream::start(move |mut connection| {
        let go_on = Arc::clone(&told);
        async move {
            connection.request().await;
            tokio::time::sleep(DELAY).await;
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").await;
            go_on.notified().await;
            connection.send("ok").await;
        }
    })
    .await;
    let fails = Upstream::start(|mut connection| async move {
        connection.request().await;
        tokio::time::sleep(DELAY).await;
    })
    .await;
    let in_turns = ServicePolicy { balancing: Balancing::RoundRobin, ..ServicePolicy::default() };
    let services = vec![auth_with(in_turns, &[fails.address, slow.address])];
    let gateway = for_machines(Setup { services, ..Setup::of(&[]) });
    // The first request goes to the failing endpoint first, and the second to the other.
    for (version, attempts) in BOTH.into_iter().zip([2, 1]) {
        let path = format!("/api/users/{version:?}");
        if version == Version::HTTP_11 {
            let mut client = gateway.connect().await;
            client.send(&get(&path, "")).await;
            up_to(&mut client, "\r\n\r\n").await;
            tokio::time::sleep(DELAY).await;
            go_on.notify_one();
            assert_eq!(up_to(&mut client, "ok").await, "ok");
        } else {
            let response =
                Http2Client::connect(&gateway).await.send(request(Method::GET, &path, &[], "")).await.unwrap();
            tokio::time::sleep(DELAY).await;
            go_on.notify_one();
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
        }
        let line = line(&gateway, &path).await;
        let millis = f64::from(u16::try_from(DELAY.as_millis()).unwrap());
        assert_eq!(line["instance"], slow.address.to_string(), "{line}");
        assert!(number(&line, "upstream_ms") >= f64::from(attempts) * millis, "{line}");
        assert!(number(&line, "ms") >= number(&line, "upstream_ms") + millis, "{line}");
    }
}
