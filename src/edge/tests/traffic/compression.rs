//! Compressed responses.

use std::{io::Read, sync::Arc};

use http::Method;
use http_body_util::BodyExt;
use tokio::sync::Semaphore;

use super::gateway;
use crate::{
    domain::gateway::models::{access::Access, service::TrafficPolicy},
    edge::tests::{
        harness::{Gateway, Upstream, get, soon},
        http2::{Http2Client, request},
    },
};

const BROWSER: &str = "Accept-Encoding: gzip, deflate, br, zstd\r\n";

fn compressing(upstream: &Upstream) -> Gateway {
    gateway(upstream, &Access::Open, vec![TrafficPolicy { compress: true, ..TrafficPolicy::default() }])
}

/// A service with a JSON document of this length; chunked if the path says so, and with other headers for each path.
async fn documents(length: usize) -> Upstream {
    Upstream::start(move |mut connection| async move {
        while let Some(request) = connection.request().await {
            let body = "{\"id\": 12345, \"name\": \"jin\"}, ".repeat(length / 30 + 1);
            let body = &body[..length];
            let path = request.first_line().split(' ').nth(1).unwrap();
            let (kind, more) = match path {
                "/there/stream" => ("text/event-stream", ""),
                "/there/encoded" => ("application/json", "Content-Encoding: x-own\r\n"),
                "/there/fixed" => ("application/json", "Cache-Control: no-transform\r\n"),
                "/there/image" => ("image/png", ""),
                _ => ("application/json", "ETag: \"v1\"\r\nAccept-Ranges: bytes\r\n"),
            };
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{more}");
            if request.first_line().starts_with("HEAD ") {
                connection.send(&format!("{head}Content-Length: {length}\r\n\r\n")).await;
            } else if path == "/there/chunked" {
                connection
                    .send(&format!("{head}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"))
                    .await;
            } else {
                connection.send(&format!("{head}Content-Length: {length}\r\n\r\n{body}")).await;
            }
        }
    })
    .await
}

fn plain(coding: &str, compressed: &[u8]) -> String {
    let mut text = String::new();
    match coding {
        "gzip" => flate2::read::GzDecoder::new(compressed).read_to_string(&mut text).unwrap(),
        "br" => brotli::Decompressor::new(compressed, 4096).read_to_string(&mut text).unwrap(),
        "zstd" => zstd::Decoder::new(compressed).unwrap().read_to_string(&mut text).unwrap(),
        other => panic!("{other}"),
    };
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_gets_less_to_read() {
    const LENGTH: usize = 200_000;
    let upstream = documents(LENGTH).await;
    let gateway = compressing(&upstream);
    let expected = gateway.get("/api/a", "").await;
    assert_eq!((expected.header("content-encoding"), expected.header("etag")), (None, Some("\"v1\"")));
    assert_eq!(expected.message.headers("vary").collect::<Vec<_>>(), ["accept-encoding", "origin"]);
    assert_eq!(expected.message.body.len(), LENGTH);
    let mut client = gateway.connect().await;
    for (path, lines, coding) in [
        ("/api/a", BROWSER, "zstd"),
        ("/api/a/chunked", "Accept-Encoding: gzip, br\r\n", "br"),
        ("/api/a", "Accept-Encoding: gzip\r\n", "gzip"),
        ("/api/a/chunked", "Accept-Encoding: br;q=0.1, gzip\r\n", "gzip"),
    ] {
        let response = client.ask(&get(path, lines)).await;
        assert_eq!(response.header("content-encoding"), Some(coding), "{path}");
        assert_eq!((response.header("content-length"), response.header("accept-ranges")), (None, None));
        assert_eq!(response.header("etag"), Some("W/\"v1\""));
        assert!(response.message.complete && response.message.body.len() < LENGTH / 10);
        assert_eq!(plain(coding, &response.message.body), expected.text());
    }
    // The service still learns what the client accepts.
    assert_eq!(upstream.received()[1].header("accept-encoding"), Some("gzip, deflate, br, zstd"));

    let client = Http2Client::connect(&gateway).await;
    let response = client.send(request(Method::GET, "/api/a", &[("accept-encoding", "br")], "")).await.unwrap();
    assert_eq!(
        (&response.headers()["content-encoding"], response.headers().get("content-length")),
        (&"br".parse().unwrap(), None)
    );
    let body = soon("the body", response.into_body().collect()).await.unwrap().to_bytes();
    assert_eq!(plain("br", &body), expected.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn some_responses_are_not_touched() {
    let upstream = documents(5000).await;
    let gateway = compressing(&upstream);
    for path in ["/api/a/stream", "/api/a/encoded", "/api/a/fixed", "/api/a/image"] {
        let response = gateway.get(path, BROWSER).await;
        let own = (path == "/api/a/encoded").then_some("x-own");
        assert_eq!((response.header("content-encoding"), response.message.body.len()), (own, 5000), "{path}");
    }
    for lines in [
        "Accept-Encoding: identity\r\n",
        "Accept-Encoding: br;q=0, gzip;q=0\r\n",
        "Accept-Encoding: br\r\nCache-Control: no-transform\r\n",
    ] {
        assert_eq!(gateway.get("/api/a", lines).await.header("content-encoding"), None, "{lines}");
    }
    let other = gateway.get("/api/users", BROWSER).await;
    assert_eq!(other.header("content-encoding"), None, "the route does not say so");
    let short = documents(1023).await;
    assert_eq!(compressing(&short).get("/api/a", BROWSER).await.header("content-encoding"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn head_tells_what_get_would() {
    let upstream = documents(5000).await;
    let gateway = compressing(&upstream);
    let head = format!("HEAD /api/a HTTP/1.1\r\nHost: x\r\n{BROWSER}\r\n");
    let mut client = gateway.connect().await;
    for _ in 0..2 {
        let response = client.ask(&head).await;
        assert_eq!((response.header("content-encoding"), response.header("content-length")), (Some("zstd"), None));
        assert_eq!((response.header("etag"), response.header("transfer-encoding")), (Some("W/\"v1\""), None));
    }
    let client = Http2Client::connect(&gateway).await;
    let response = client.send(request(Method::HEAD, "/api/a", &[("accept-encoding", "gzip")], "")).await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    assert!(!response.headers().contains_key("content-length"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_response_is_not_held_back() {
    let gate = Arc::new(Semaphore::new(0));
    let of_service = Arc::clone(&gate);
    let upstream = Upstream::start(move |mut connection| {
        let gate = Arc::clone(&of_service);
        async move {
            while connection.request().await.is_some() {
                connection
                    .send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
                    .await;
                for _ in 0..3 {
                    connection.send("5\r\ntick\n\r\n").await;
                    gate.acquire().await.unwrap().forget();
                }
                connection.send("0\r\n\r\n").await;
            }
        }
    })
    .await;
    let gateway = compressing(&upstream);
    let client = Http2Client::connect(&gateway).await;
    for coding in ["gzip", "br", "zstd"] {
        let response = client.send(request(Method::GET, "/api/a", &[("accept-encoding", coding)], "")).await.unwrap();
        assert_eq!(response.headers()["content-encoding"], coding);
        let mut body = response.into_body();
        let mut came = Vec::new();
        for ticks in 1..=3 {
            // The service sends no more before the client has read what there is.
            while decoded(coding, &came) != "tick\n".repeat(ticks) {
                let frame = soon("a tick", body.frame()).await.unwrap().unwrap();
                came.extend(frame.into_data().unwrap());
            }
            gate.add_permits(1);
        }
        while let Some(frame) = soon("the end", body.frame()).await {
            came.extend(frame.unwrap().into_data().unwrap());
        }
        assert_eq!(plain(coding, &came), "tick\n".repeat(3));
    }
}

/// The text of an incomplete body.
fn decoded(coding: &str, compressed: &[u8]) -> String {
    let mut reader: Box<dyn Read> = match coding {
        "gzip" => Box::new(flate2::read::GzDecoder::new(compressed)),
        "zstd" => Box::new(zstd::Decoder::new(compressed).unwrap()),
        _ => Box::new(brotli::Decompressor::new(compressed, 4096)),
    };
    let (mut text, mut part) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = reader.read(&mut part) {
        text.extend_from_slice(&part[..length]);
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_breaks_off_does_not_look_whole() {
    let upstream = Upstream::start(|mut connection| async move {
        connection.request().await;
        connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5000\r\n\r\nhalf").await;
    })
    .await;
    let gateway = compressing(&upstream);
    let response = gateway.get("/api/a", BROWSER).await;
    assert_eq!(response.header("content-encoding"), Some("zstd"));
    assert!(!response.message.complete);
}
