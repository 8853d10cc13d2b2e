//! A client of either protocol with one upload on its connection.

use bytes::Bytes;
use h2::{SendStream, client::SendRequest};
use http::{Method, Request};
use tokio::{net::TcpStream, sync::mpsc, task::JoinHandle};

use crate::edge::tests::harness::{Client, Gateway, post, soon};

/// The bytes after the head of the response in HTTP/1.1.
const END: &str = "2\r\nok\r\n0\r\n\r\n";

/// The body of the next request: enough to be read in many pieces.
pub(crate) fn next_body() -> String {
    "of the next request ".repeat(3_000)
}

/// A client's connection with one upload on it.
pub(crate) enum Uploading {
    Http1 {
        client: Client,
        /// The received part of the response.
        got: String,
    },
    Http2 {
        requests: SendRequest<Bytes>,
        connection: JoinHandle<()>,
        body: SendStream<Bytes>,
        response: JoinHandle<Option<String>>,
        head: mpsc::UnboundedReceiver<u16>,
        next: Option<JoinHandle<u16>>,
    },
}

impl Uploading {
    pub(crate) async fn begin(gateway: &Gateway, speaks_http2: bool) -> Self {
        if !speaks_http2 {
            let mut client = gateway.connect().await;
            client.send("POST /api/scripted HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            return Self::Http1 { client, got: String::new() };
        }
        let stream = TcpStream::connect(gateway.address).await.unwrap();
        let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
        let connection = tokio::spawn(async move { drop(connection.await) });
        let request = Request::builder().method(Method::POST).uri("http://x/api/scripted").body(()).unwrap();
        let (response, body) = requests.send_request(request, false).unwrap();
        let (tell_head, head) = mpsc::unbounded_channel();
        let response = tokio::spawn(async move {
            let response = response.await.ok()?;
            let _ = tell_head.send(response.status().as_u16());
            let (mut body, mut all) = (response.into_body(), Vec::new());
            while let Some(data) = body.data().await {
                all.extend_from_slice(&data.ok()?);
            }
            Some(String::from_utf8(all).unwrap())
        });
        Self::Http2 { requests, connection, body, response, head, next: None }
    }

    pub(crate) async fn send(&mut self, part: &'static str, is_last: bool) {
        match self {
            Self::Http1 { client, .. } => {
                let end = if is_last { "0\r\n\r\n" } else { "" };
                client.send(&format!("{:x}\r\n{part}\r\n{end}", part.len())).await;
            }
            // After the response the stream may have been reset already.
            Self::Http2 { body, .. } => drop(body.send_data(Bytes::from_static(part.as_bytes()), is_last)),
        }
    }

    pub(crate) async fn sees_head(&mut self) {
        match self {
            Self::Http1 { client, got } => {
                while !got.contains("\r\n\r\n") {
                    *got += &client.some().await;
                }
                assert!(got.starts_with("HTTP/1.1 200 "), "{got}");
            }
            Self::Http2 { head, .. } => assert_eq!(soon("the head", head.recv()).await, Some(200)),
        }
    }

    pub(crate) async fn sees_end(&mut self) {
        match self {
            Self::Http1 { client, got } => {
                while !got.contains(END) {
                    let more = client.some().await;
                    assert!(!more.is_empty(), "it broke off: {got}");
                    *got += &more;
                }
            }
            Self::Http2 { response, .. } => {
                assert_eq!(soon("the answer", response).await.unwrap().as_deref(), Some("ok"));
            }
        }
    }

    /// Sends a request to another service, on the same connection.
    pub(crate) async fn ask_next(&mut self) {
        let body = next_body();
        match self {
            Self::Http1 { client, .. } => client.send(&post("/api/next", &body)).await,
            Self::Http2 { requests, next, .. } => {
                let request = Request::builder().method(Method::POST).uri("http://x/api/next").body(()).unwrap();
                let (response, mut sender) = requests.send_request(request, false).unwrap();
                sender.send_data(Bytes::from(body), true).unwrap();
                *next = Some(tokio::spawn(async move { response.await.unwrap().status().as_u16() }));
            }
        }
    }

    pub(crate) async fn sees_next(&mut self) {
        match self {
            Self::Http1 { client, got } => {
                let first = got.find(END).unwrap() + END.len();
                while !got[first..].ends_with("\r\n\r\nok") {
                    let more = client.some().await;
                    assert!(!more.is_empty(), "it broke off: {got}");
                    *got += &more;
                }
                assert!(got[first..].starts_with("HTTP/1.1 200 "), "{got}");
            }
            Self::Http2 { next, .. } => assert_eq!(soon("the next", next.take().unwrap()).await.unwrap(), 200),
        }
    }

    pub(crate) async fn half_close(&mut self) {
        match self {
            Self::Http1 { client, .. } => client.half_close().await,
            Self::Http2 { body, .. } => body.send_reset(h2::Reason::CANCEL),
        }
    }

    pub(crate) async fn reset(self) {
        match self {
            Self::Http1 { client, .. } => client.reset(),
            Self::Http2 { connection, response, .. } => {
                response.abort();
                connection.abort();
                let _ = connection.await;
            }
        }
    }
}
