//! Limits on requests in flight, and what remains available to others.

use std::sync::Arc;

use http::Method;
use tokio::sync::Semaphore;

use crate::{
    domain::gateway::models::service::Route,
    edge::tests::{
        harness::{Client, Gateway, Setup, Upstream, get, soon, until},
        http2::{Http2Client, Http2Response, request},
        support::route,
    },
};

const OVERLOADED: &str = "overloaded";

/// A service that sends one response for each permit.
async fn gated() -> (Upstream, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let of_service = Arc::clone(&gate);
    let upstream = Upstream::start(move |mut connection| {
        let gate = Arc::clone(&of_service);
        async move {
            while let Some(request) = connection.request().await {
                // The gateway checks a service that seems to hang: that takes nobody's turn.
                if !request.head.starts_with("HEAD ") {
                    gate.acquire().await.unwrap().forget();
                }
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            }
        }
    })
    .await;
    (upstream, gate)
}

async fn asking(gateway: &Gateway, path: &str, lines: &str) -> Client {
    let mut client = gateway.connect().await;
    client.send(&get(path, lines)).await;
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_a_service_are_limited_over_all_cores() {
    let (upstream, gate) = gated().await;
    let mut setup = Setup { cores: 2, ..Setup::of(&[upstream.address]) };
    setup.upstream.max_requests = 3;
    let gateway = setup.start();
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(asking(&gateway, "/api/users", "").await);
    }
    until("three are in flight", || upstream.received().len() == 3).await;
    let refused = gateway.get("/api/users", "").await;
    assert_eq!(refused.problem(), (503, OVERLOADED.to_owned()));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(gateway.get("/tokens/create", "").await.status, 200, "our own paths are no service");
    assert_eq!(upstream.received().len(), 3, "the service hears nothing of it");
    gate.add_permits(4);
    for client in &mut held {
        assert_eq!(client.response(true).await.status, 200);
    }
    assert_eq!(gateway.get("/api/users", "").await.status, 200, "there is room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_counts_until_it_has_ended() {
    let upstream = Upstream::start(|mut connection| async move {
        connection.request().await;
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n").await;
        connection.is_closed().await;
    })
    .await;
    let mut setup = Setup::of(&[upstream.address]);
    setup.upstream.max_requests = 1;
    let gateway = setup.start();
    let mut streaming = asking(&gateway, "/api/users", "").await;
    assert!(streaming.some().await.contains("200 OK"));
    assert_eq!(gateway.get("/api/users", "").await.problem(), (503, OVERLOADED.to_owned()));
    drop(streaming);
    soon("room", async {
        while gateway.connect().await.begins(&get("/api/users", "")).await != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_has_a_limit_of_its_own() {
    let (upstream, gate) = gated().await;
    let mut setup = Setup::of(&[upstream.address]);
    setup.routes.push(Route { max_requests: Some(1), ..route("/api/slow", "auth", "/slow") });
    let gateway = setup.start();
    let mut held = asking(&gateway, "/api/slow", "").await;
    until("it is in flight", || upstream.received().len() == 1).await;
    assert_eq!(gateway.get("/api/slow/other", "").await.problem(), (503, OVERLOADED.to_owned()));
    gate.add_permits(3);
    assert_eq!(gateway.get("/api/users", "").await.status, 200, "another route");
    assert_eq!(held.response(true).await.status, 200);
    assert_eq!(gateway.get("/api/slow", "").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_one_client_count_but_not_for_the_gateways_own_paths() {
    const STREAMS: usize = 50;
    let (upstream, gate) = gated().await;
    let mut setup = Setup { cores: 2, ..Setup::of(&[upstream.address]) };
    setup.listener.max_requests_per_client = STREAMS;
    let gateway = setup.start();
    let clients = [Http2Client::connect(&gateway).await, Http2Client::connect(&gateway).await];
    let mut streams = Vec::new();
    for number in 0..STREAMS {
        let mut requests = clients[number % 2].requests.clone();
        requests.ready().await.unwrap();
        streams.push(tokio::spawn(requests.send_request(request(Method::GET, "/api/users", &[], ""))));
    }
    until("all are in flight", || upstream.received().len() >= STREAMS).await;
    for client in &clients {
        let refused = client.get("/api/users", &[]).await;
        assert_eq!(
            (refused.problem(), refused.headers["retry-after"].as_bytes()),
            ((503, OVERLOADED.to_owned()), &b"1"[..])
        );
        assert_eq!(client.get("/livez", &[]).await.status, 200);
    }
    assert_eq!(gateway.get("/api/users", "").await.problem(), (503, OVERLOADED.to_owned()));
    gate.add_permits(STREAMS + 1);
    for stream in streams {
        assert_eq!(Http2Response::read(stream.await.unwrap().unwrap()).await.status, 200);
    }
    assert_eq!(clients[0].get("/api/users", &[]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_trusted_proxy_each_client_has_its_own_limit_and_the_proxy_none() {
    let (upstream, gate) = gated().await;
    let mut setup = Setup::of(&[upstream.address]);
    setup.listener.max_requests_per_client = 1;
    setup.listener.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    let gateway = setup.start();
    let mut held = Vec::new();
    for lines in ["X-Forwarded-For: 192.0.2.1\r\n", "X-Forwarded-For: 192.0.2.2\r\n", "", ""] {
        held.push(asking(&gateway, "/api/users", lines).await);
    }
    until("all are in flight", || upstream.received().len() == 4).await;
    let more = gateway.get("/api/users", "X-Forwarded-For: 192.0.2.1\r\n").await;
    assert_eq!(more.problem(), (503, OVERLOADED.to_owned()));
    gate.add_permits(4);
    for client in &mut held {
        assert_eq!(client.response(true).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_services_are_limited_and_idle_ones_are_closed_for_others() {
    let (upstream, gate) = gated().await;
    let other = Upstream::ok().await;
    let mut setup = Setup { max_service_connections: 2, ..Setup::of(&[upstream.address]) };
    setup.services.push(crate::edge::tests::support::service("other", &[&format!("http://{}", other.address)]));
    setup.routes.push(route("/api/other", "other", "/"));
    let gateway = setup.start();
    let mut held = [asking(&gateway, "/api/users", "").await, asking(&gateway, "/api/users", "").await];
    until("both are in flight", || upstream.received().len() == 2).await;
    assert_eq!(gateway.get("/api/users", "").await.problem(), (503, OVERLOADED.to_owned()));
    assert_eq!(gateway.get("/livez", "").await.status, 200);
    gate.add_permits(2);
    for client in &mut held {
        assert_eq!(client.response(true).await.status, 200);
    }
    // Both are kept idle, and are closed when needed.
    assert_eq!(gateway.get("/api/other", "").await.status, 200);
}
