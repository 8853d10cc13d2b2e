//! What connections have in common and how long they last: sessions, tickets, certificates that change.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use rustls::{
    HandshakeKind::{Full, Resumed},
    ProtocolVersion, ServerConfig,
    crypto::aws_lc_rs,
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
};

use super::{Authority, Handshake, TlsService, body, head, request, resolver, respond};
use crate::edge::{
    net::origination::client_config,
    tests::harness::{Gateway, post, soon},
};

async fn ok(gateway: &Gateway) {
    let response = gateway.get("/api/users", "").await;
    assert_eq!((response.status, response.text()), (200, "ok"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_request_needs_no_handshake() {
    let authority = Authority::new();
    let service = TlsService::echoing(authority.server(&["h2", "http/1.1"])).await;
    let gateway = service.gateway("https", &authority.originator(None));
    for _ in 0..5 {
        ok(&gateway).await;
    }
    let expected = Handshake {
        kind: Full,
        version: ProtocolVersion::TLSv1_3,
        name: Some("localhost".to_owned()),
        alpn: Some("http/1.1".to_owned()),
    };
    assert_eq!(service.handshakes(), [expected]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_connection_resumes_the_session_over_either_version() {
    let authority = Authority::new();
    for version in [&TLS12, &TLS13] {
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(resolver(authority.issue("localhost", 2999)));
        let service = TlsService::start(config, |mut stream| async move {
            request(&mut stream).await;
            respond(&mut stream, b"ok").await;
            let _ = stream.shutdown().await;
        })
        .await;
        let gateway = service.gateway("https", &authority.originator(None));
        for _ in 0..3 {
            ok(&gateway).await;
        }
        assert_eq!(service.kinds(), [Full, Resumed, Resumed], "{version:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_tls_between_requests_do_not_cost_the_connection() {
    let authority = Authority::new();
    let (sent, counted) = (Arc::<Notify>::default(), Arc::<AtomicUsize>::default());
    let service = TlsService::start(authority.server(&[]), {
        let (sent, counted) = (Arc::clone(&sent), Arc::clone(&counted));
        move |mut stream| {
            let (sent, counted) = (Arc::clone(&sent), Arc::clone(&counted));
            async move {
                while request(&mut stream).await.is_some() {
                    counted.fetch_add(1, Ordering::Relaxed);
                    respond(&mut stream, b"ok").await;
                    // New keys, for which the other side sends its own.
                    stream.get_mut().1.refresh_traffic_keys().unwrap();
                    stream.flush().await.unwrap();
                    sent.notify_one();
                }
            }
        }
    })
    .await;
    let gateway = service.gateway("https", &authority.originator(None));
    for _ in 0..4 {
        let response = gateway.ask(&post("/api/users", "x")).await;
        assert_eq!((response.status, response.text()), (200, "ok"));
        soon("the keys", sent.notified()).await;
    }
    assert_eq!((counted.load(Ordering::Relaxed), service.kinds().len()), (4, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_closed_or_sent_too_much_gets_no_request() {
    let authority = Authority::new();
    for closes in [true, false] {
        let done = Arc::<Notify>::default();
        let service = TlsService::start(authority.server(&[]), {
            let done = Arc::clone(&done);
            move |mut stream| {
                let done = Arc::clone(&done);
                async move {
                    request(&mut stream).await;
                    respond(&mut stream, b"ok").await;
                    if closes {
                        stream.shutdown().await.unwrap();
                    } else {
                        stream.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.unwrap();
                        stream.flush().await.unwrap();
                    }
                    done.notify_one();
                    // If it is used nevertheless, the request is lost.
                    let _ = stream.read_u8().await;
                }
            }
        })
        .await;
        let gateway = service.gateway("https", &authority.originator(None));
        for _ in 0..3 {
            let response = gateway.ask(&post("/api/users", "x")).await;
            assert_eq!(response.status, 200, "closes: {closes}");
            soon("the end", done.notified()).await;
        }
        assert_eq!(service.kinds().len(), 3, "closes: {closes}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_connection_is_announced() {
    let authority = Authority::new();
    let (ends, mut ended) = tokio::sync::mpsc::unbounded_channel();
    let service = TlsService::start(authority.server(&[]), move |mut stream| {
        let ends = ends.clone();
        async move {
            request(&mut stream).await;
            let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
            stream.write_all(head.as_bytes()).await.unwrap();
            // An end without close_notify would be an error.
            ends.send(stream.read(&mut [0]).await.map_err(|error| error.kind())).unwrap();
        }
    })
    .await;
    let gateway = service.gateway("https", &authority.originator(None));
    ok(&gateway).await;
    assert_eq!(soon("the end", ended.recv()).await, Some(Ok(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_authority_counts_for_new_connections_and_open_ones_continue() {
    let (old, new) = (Authority::new(), Authority::new());
    let begun = Arc::<Notify>::default();
    let service = TlsService::start(old.server(&[]), {
        let begun = Arc::clone(&begun);
        move |mut stream| {
            let begun = Arc::clone(&begun);
            async move {
                while let Some(head) = head(&mut stream).await {
                    begun.notify_one();
                    if body(&mut stream, &head).await.is_none() {
                        return;
                    }
                    respond(&mut stream, b"ok").await;
                }
            }
        }
    })
    .await;
    let originator = old.originator(None);
    let gateway = service.gateway("https", &originator);
    ok(&gateway).await;
    soon("the first request", begun.notified()).await;
    originator.replace(client_config(Arc::clone(&new.roots), None).unwrap());
    let mut client = gateway.connect().await;
    client.send("POST /api/users HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab").await;
    soon("the second request", begun.notified()).await;
    // It has the open connection, so this one needs another. The session of the first must not be resumed.
    assert_eq!(gateway.get("/api/users", "").await.status, 502);
    client.send("cde").await;
    assert_eq!(client.response(true).await.status, 200);
    assert_eq!(service.kinds(), [Full]);
}

#[tokio::test(flavor = "multi_thread")]
async fn services_whose_files_are_bad_fail_until_they_are_good() {
    let authority = Authority::new();
    let service = TlsService::echoing(authority.server(&[])).await;
    let originator = super::Originator::new(None, Err("ca must name a readable file".to_owned()));
    let gateway = service.gateway("https", &originator);
    assert_eq!(gateway.get("/api/users", "").await.problem(), (502, "bad_gateway".to_owned()));
    originator.replace(client_config(Arc::clone(&authority.roots), None).unwrap());
    ok(&gateway).await;
}
