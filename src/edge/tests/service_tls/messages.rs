//! Messages over TLS: bodies, upgrades, HTTP/2, and responses that end with the connection.

use std::{convert::Infallible, sync::Arc};

use http::{Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Authority, TlsService, request};
use crate::edge::tests::harness::{Client, get, soon};

/// Many records, and more than all buffers on the way.
const LARGE: usize = 8 * 1024 * 1024;

/// Answers with the request's body, or its scheme and authority.
async fn http2_service(authority: &Authority) -> TlsService {
    async fn respond(request: Request<Incoming>) -> Result<Response<Full<bytes::Bytes>>, Infallible> {
        let uri = request.uri().clone();
        assert_eq!(request.version(), Version::HTTP_2);
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let about = || format!("{} {}", uri.scheme().unwrap(), uri.authority().unwrap().host()).into();
        Ok(Response::new(Full::new(if body.is_empty() { about() } else { body })))
    }
    TlsService::start(authority.server(&["h2"]), |stream| async {
        let _ =
            http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service_fn(respond)).await;
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_services_are_told_that_the_scheme_is_https() {
    let authority = Authority::new();
    let service = http2_service(&authority).await;
    let gateway = service.gateway("h2s", &authority.originator(None));
    for _ in 0..3 {
        let response = gateway.get("/api/users", "").await;
        assert_eq!((response.status, response.text()), (200, "https localhost"));
    }
    let handshakes = service.handshakes();
    assert!(handshakes.len() == 1 && handshakes[0].alpn.as_deref() == Some("h2"), "{handshakes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_pass_in_both_directions() {
    let authority = Authority::new();
    let http1 = TlsService::echoing(authority.server(&[])).await;
    let http2 = http2_service(&authority).await;
    let body: String = (0..LARGE).map(|place| char::from(b'a' + u8::try_from(place % 23).unwrap())).collect();
    for (service, scheme) in [(http1, "https"), (http2, "h2s")] {
        let gateway = service.gateway(scheme, &authority.originator(None));
        let mut client = gateway.connect().await;
        let head = format!("POST /api/users HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGE}\r\n\r\n");
        client.send(&head).await;
        client.send(&body).await;
        let response = client.response(true).await;
        assert!(response.status == 200 && response.message.body == body.as_bytes(), "{scheme}");
    }
}

async fn up_to(client: &mut Client, end: &str) -> String {
    let mut seen = String::new();
    while !seen.ends_with(end) {
        let some = client.some().await;
        assert!(!some.is_empty(), "{end:?} never came: {seen:?}");
        seen += &some;
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgraded_connection_carries_bytes_until_both_sides_have_closed() {
    let authority = Authority::new();
    let service = TlsService::start(authority.server(&[]), |mut stream| async move {
        let (head, _) = request(&mut stream).await.unwrap();
        assert!(head.contains("upgrade: websocket\r\n"), "{head}");
        let switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello ";
        stream.write_all(switching.as_bytes()).await.unwrap();
        let mut scratch = [0; 1024];
        loop {
            match stream.read(&mut scratch).await.unwrap() {
                0 => break,
                read => stream.write_all(&scratch[..read].to_ascii_uppercase()).await.unwrap(),
            }
            stream.flush().await.unwrap();
        }
        // It still sends after the client has closed its side.
        stream.write_all(b"bye").await.unwrap();
        stream.shutdown().await.unwrap();
    })
    .await;
    let gateway = service.gateway("https", &authority.originator(None));
    let mut client = gateway.connect().await;
    client.send(&get("/api/users", "Connection: Upgrade\r\nUpgrade: websocket\r\n")).await;
    assert!(up_to(&mut client, "hello ").await.starts_with("HTTP/1.1 101 "));
    client.send("one").await;
    assert_eq!(up_to(&mut client, "ONE").await, "ONE");
    client.send("two").await;
    assert_eq!(up_to(&mut client, "TWO").await, "TWO");
    client.half_close().await;
    assert_eq!(up_to(&mut client, "bye").await, "bye");
    assert!(client.is_closed().await);
}

/// RFC 9112 §9.8.
#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_ends_with_the_connection_must_be_ended_by_tls() {
    let authority = Authority::new();
    for is_announced in [true, false] {
        let service = TlsService::start(authority.server(&[]), move |mut stream| async move {
            request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhalf").await.unwrap();
            stream.flush().await.unwrap();
            if is_announced {
                stream.shutdown().await.unwrap();
                let _ = stream.read_u8().await;
            } else {
                stream.get_mut().0.shutdown().await.unwrap();
                let _ = stream.get_mut().0.read_u8().await;
            }
        })
        .await;
        let gateway = service.gateway("https", &authority.originator(None));
        let response = soon("the response", gateway.get("/api/users", "")).await;
        assert_eq!((response.status, response.text()), (200, "half"));
        assert_eq!(response.message.complete, is_announced);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_to_the_service_lead_to_the_gateway() {
    let authority = Authority::new();
    for (location, expected) in [
        ("https://localhost:PORT/users/1", "/api/users/1"),
        ("//localhost:PORT/users/1", "/api/users/1"),
        ("https://elsewhere/users/1", "https://elsewhere/users/1"),
    ] {
        let port = Arc::new(std::sync::OnceLock::<u16>::new());
        let service = TlsService::start(authority.server(&[]), {
            let port = Arc::clone(&port);
            move |mut stream| {
                let port = Arc::clone(&port);
                async move {
                    request(&mut stream).await;
                    let location = location.replace("PORT", &port.get().unwrap().to_string());
                    let head = format!("HTTP/1.1 303 See Other\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
                    stream.write_all(head.as_bytes()).await.unwrap();
                    let _ = stream.read_u8().await;
                }
            }
        })
        .await;
        port.set(service.address.port()).unwrap();
        let gateway = service.gateway("https", &authority.originator(None));
        let response = gateway.get("/api/users", "").await;
        assert_eq!(response.header("location"), Some(expected), "{location}");
    }
}
