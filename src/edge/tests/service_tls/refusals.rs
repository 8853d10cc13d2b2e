//! Services that are not trusted, do not trust us, or do not speak TLS.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustls::HandshakeKind::Full;
use tokio::{io::AsyncReadExt, net::TcpListener};

use super::{Authority, TlsService, gateway, resolver};
use crate::edge::tests::harness::{Setup, Upstream, post};

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_trusted_gets_no_request() {
    let (ours, other) = (Authority::new(), Authority::new());
    for certificate in [
        ours.issue("elsewhere", 2999),
        ours.issue("127.0.0.1", 2999),
        ours.issue("localhost", 2001),
        other.issue("localhost", 2999),
    ] {
        let (mut config, received) = (ours.server(&[]), Arc::<AtomicUsize>::default());
        config.cert_resolver = resolver(certificate);
        let service = TlsService::start(config, {
            let received = Arc::clone(&received);
            move |mut stream| {
                let received = Arc::clone(&received);
                async move {
                    let read = stream.read(&mut [0]).await.unwrap_or_default();
                    received.fetch_add(read, Ordering::Relaxed);
                }
            }
        })
        .await;
        for scheme in ["https", "h2s"] {
            let gateway = service.gateway(scheme, &ours.originator(None));
            let response = gateway.ask(&post("/api/users", "secret")).await;
            assert_eq!(response.problem(), (502, "bad_gateway".to_owned()));
        }
        assert_eq!(received.load(Ordering::Relaxed), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_name_is_trusted_if_the_policy_names_it() {
    let authority = Authority::new();
    let mut config = authority.server(&[]);
    config.cert_resolver = resolver(authority.issue("auth.internal", 2999));
    let service = TlsService::echoing(config).await;
    let config = authority.originator(None).config();
    let originator = super::Originator::new(Some("auth.internal".to_owned()), config);
    let gateway = service.gateway("https", &originator);
    assert_eq!(gateway.get("/api/users", "").await.status, 200);
    assert_eq!(service.handshakes()[0].name.as_deref(), Some("auth.internal"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_shown_on_demand() {
    let authority = Authority::new();
    let service = TlsService::echoing(authority.server_for_known_clients()).await;
    let ours = authority.issue("gateway", 2999);
    let gateway = service.gateway("https", &authority.originator(Some(ours)));
    assert_eq!(gateway.get("/api/users", "").await.status, 200);
    assert_eq!(service.kinds(), [Full]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_demanded_client_certificate_requests_fail() {
    let authority = Authority::new();
    for ours in [None, Some(Authority::new().issue("gateway", 2999))] {
        let service = TlsService::echoing(authority.server_for_known_clients()).await;
        let gateway = service.gateway("https", &authority.originator(ours));
        assert_eq!(gateway.ask(&post("/api/users", "x")).await.problem(), (502, "bad_gateway".to_owned()));
        assert!(service.kinds().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_without_http2_is_refused_by_its_url() {
    let authority = Authority::new();
    for alpn in [&["http/1.1"][..], &[]] {
        let service = TlsService::echoing(authority.server(alpn)).await;
        let gateway = service.gateway("h2s", &authority.originator(None));
        assert_eq!(gateway.get("/api/users", "").await.problem(), (502, "bad_gateway".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_at_the_port_is_not_spoken() {
    let service = Upstream::start(|mut connection| async move {
        connection.send("HTTP/1.1 400 Bad Request\r\n\r\n").await;
        // Whatever is sent is recorded if it is a request.
        connection.request().await;
    })
    .await;
    for scheme in ["https", "h2s"] {
        let gateway = gateway(service.address, scheme, &Authority::new().originator(None), Setup::of(&[]));
        let response = gateway.get("/api/users", "Authorization: Bearer secret\r\n").await;
        assert_eq!(response.problem(), (502, "bad_gateway".to_owned()));
    }
    assert!(service.received().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_hangs_ends_with_the_time_to_connect() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            open.push(stream);
        }
    });
    for scheme in ["https", "h2s"] {
        let mut setup = Setup::of(&[]);
        setup.upstream.connect_timeout = Duration::from_millis(100);
        let gateway = gateway(address, scheme, &Authority::new().originator(None), setup);
        assert_eq!(gateway.get("/api/users", "").await.problem().0, 504);
    }
    accepted.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_was_not_set_up_is_an_error() {
    let authority = Authority::new();
    let service = TlsService::echoing(authority.server(&[])).await;
    let gateway = service.gateway("https", &authority.originator(None));
    gateway.snapshots.update(|snapshot| snapshot.originators = Arc::default());
    assert_eq!(gateway.get("/api/users", "").await.problem(), (502, "bad_gateway".to_owned()));
    assert!(service.kinds().is_empty());
}
