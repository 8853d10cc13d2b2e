//! What the lines for machines say of requests of each kind.

use std::net::SocketAddr;

use http::{Method, Version};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    harness::{Gateway, Setup, Upstream, get, until},
    http2::{Http2Client, request},
    http2_frames::{END_HEADERS, END_STREAM, HEADERS, PREFACE_AND_SETTINGS, RST_STREAM, SETTINGS, frame},
};
use crate::{config::LogFormat, edge::test_support::service};

const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

/// Logs for machines.
fn for_machines(setup: Setup) -> Gateway {
    Setup { log_format: LogFormat::Json, ..setup }.start()
}

/// In front of one instance of `auth`.
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

/// Sends a request in this version of HTTP; what came of the answer's body.
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
    // It may break off, and then the library may keep even its head to itself.
    let Ok(answer) = client.send(request).await else { return came };
    let mut answer = answer.into_body();
    while let Some(Ok(frame)) = answer.frame().await {
        came.extend(frame.into_data().unwrap_or_default());
    }
    came
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_alone_is_a_whole_answer() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n").await;
    let gateway = for_machines(before(upstream.address, Version::HTTP_11));
    for version in BOTH {
        // Of a service, of the gateway's own API, and of what the data plane says itself.
        for (path, status) in [("/api/users", 200), ("/own", 200), ("/api/none", 404)] {
            let path = format!("{path}/{version:?}");
            if version == Version::HTTP_11 {
                gateway.ask(&get(&path, "").replacen("GET", "HEAD", 1)).await;
            } else {
                asked(&gateway, version, Method::HEAD, &path, "", "").await;
            }
            let line = line(&gateway, &path).await;
            assert_eq!((&line["status"], &line["complete"]), (&status.into(), &true.into()), "{line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_its_client_does_not_take_is_not_whole() {
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
}
