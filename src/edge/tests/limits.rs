pub(crate) mod buffering;
pub(crate) mod in_flight;
pub(crate) mod streams;

use std::time::Duration;

use super::harness::{Setup, Upstream, get, post};

/// Long enough for a request on a busy machine.
const SHORT: Duration = Duration::from_millis(400);

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_announced_too_large_is_refused_at_once() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    assert_eq!(gateway.ask(&post("/api/small", "0123456789")).await.status, 200);
    let mut client = gateway.connect().await;
    let refused = client.ask("POST /api/small HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n").await;
    assert_eq!(refused.problem(), (413, "body_too_large".to_owned()));
    assert!(client.is_closed().await);
    assert_eq!(upstream.received().len(), 1);
    // Much of the body is on its way already: the response must not be lost to a reset.
    let refused = gateway.ask(&post("/api/small", &"x".repeat(300_000))).await;
    assert_eq!(refused.problem(), (413, "body_too_large".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_unknown_length_is_cut_at_the_limit() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    let chunked = "POST /api/small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut client = gateway.connect().await;
    client.send(&format!("{chunked}a\r\n0123456789\r\n")).await;
    client.send("1\r\nx\r\n").await;
    assert_eq!(client.response(true).await.problem(), (413, "body_too_large".to_owned()));
    assert!(client.is_closed().await);
    assert!(upstream.received().iter().all(|request| !request.complete), "the service never got a whole request");
    assert_eq!(gateway.ask(&format!("{chunked}a\r\n0123456789\r\n0\r\n\r\n")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_stream_in_both_directions() {
    let upstream = Upstream::start(|mut connection| async move {
        while let Some(request) = connection.request().await {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len());
            connection.send(&head).await;
            connection.send(request.text()).await;
        }
    })
    .await;
    let gateway = Setup::of(&[upstream.address]).start();
    let body = "0123456789abcdef".repeat(200_000);
    let mut client = gateway.connect().await;
    for _ in 0..2 {
        let response = client.ask(&post("/api/users", &body)).await;
        assert!(response.status == 200 && response.text() == body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_come_in_time_ends_the_connection() {
    let mut setup = Setup::of(&[]);
    setup.listener.head_timeout = SHORT;
    let gateway = setup.start();
    for begun in ["", "GET / HTTP/1.1\r\nHost: x\r\n"] {
        let mut client = gateway.connect().await;
        client.send(begun).await;
        assert!(client.is_closed().await, "{begun:?}");
    }
    // Between requests the idle timeout applies, and for the next head the head timeout again.
    let mut client = gateway.connect().await;
    assert_eq!(client.ask(&get("/livez", "")).await.status, 200);
    tokio::time::sleep(SHORT * 3 / 2).await;
    assert_eq!(client.ask(&get("/livez", "")).await.status, 200);
    client.send("GET /li").await;
    assert!(client.is_closed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_may_not_be_idle_or_stall_for_ever() {
    let upstream = Upstream::ok().await;
    let mut setup = Setup::of(&[upstream.address]);
    setup.listener.idle_timeout = SHORT;
    let gateway = setup.start();
    let mut client = gateway.connect().await;
    assert_eq!(client.ask(&get("/livez", "")).await.status, 200);
    assert!(client.is_closed().await);
    // Here bodies stream; buffered ones are tested in `buffering`.
    for path in ["/api/users", "/tokens/create"] {
        let mut client = gateway.connect().await;
        client.send(&format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")).await;
        assert!(client.is_closed().await, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_of_one_client_are_limited() {
    let mut setup = Setup::of(&[]);
    setup.listener.max_connections_per_client = 2;
    let gateway = setup.start();
    let mut first = gateway.connect().await;
    assert_eq!(first.ask(&get("/livez", "")).await.status, 200);
    let mut second = gateway.connect().await;
    assert_eq!(second.ask(&get("/livez", "")).await.status, 200);
    let mut third = gateway.connect().await;
    assert_eq!(third.response(true).await.problem(), (503, "overloaded".to_owned()));
    assert!(third.is_closed().await);
    assert_eq!(first.ask(&get("/livez", "")).await.status, 200, "who is there stays");
    drop(second);
    // The gateway learns of it with some delay.
    let mut admitted = false;
    for _ in 0..1000 {
        let mut next = gateway.connect().await;
        next.send(&get("/livez", "")).await;
        if next.response(true).await.status == 200 {
            admitted = true;
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(admitted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_speaks_for_many_clients() {
    let mut setup = Setup::of(&[]);
    setup.listener.max_connections_per_client = 1;
    setup.listener.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    let gateway = setup.start();
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = gateway.connect().await;
        assert_eq!(client.ask(&get("/livez", "")).await.status, 200);
        clients.push(client);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_total_time_the_status_tells_which_side_was_late() {
    let silent = Upstream::start(|mut connection| async move {
        connection.request().await;
        connection.is_closed().await;
    })
    .await;
    let mut setup = Setup::of(&[silent.address]);
    for route in &mut setup.routes {
        route.time_limits.total = Some(SHORT);
        route.buffer_bytes = 0;
    }
    let gateway = setup.start();
    assert_eq!(gateway.get("/api/users", "").await.problem(), (504, "gateway_timeout".to_owned()));
    assert_eq!(gateway.ask(&post("/api/users", "abc")).await.problem(), (504, "gateway_timeout".to_owned()));
    let owed = "POST /api/users HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc";
    assert_eq!(gateway.ask(owed).await.problem(), (408, "request_timeout".to_owned()));
}
