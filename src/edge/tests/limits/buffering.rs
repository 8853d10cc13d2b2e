//! A slow body occupies the gateway, and not its service.

use std::time::Duration;

use http::Method;

use crate::{
    domain::gateway::models::service::Route,
    edge::tests::{
        harness::{Gateway, Setup, Upstream, get, soon, until},
        http2::{Http2Client, data, parts, request},
        support::route,
    },
};

const BUFFERED: u64 = 1000;

const HEAD: &str = "POST /api/users HTTP/1.1\r\nHost: x\r\n";

/// A service behind a route that buffers this much before it forwards.
fn setup(upstream: &Upstream, buffer_bytes: u64) -> Setup {
    let mut setup = Setup::of(&[upstream.address]);
    setup.routes = vec![Route { buffer_bytes, ..route("/api/users", "auth", "/users") }];
    setup
}

fn gateway(upstream: &Upstream) -> Gateway {
    setup(upstream, BUFFERED).start()
}

/// A service that serves one connection after another, like a worker, and responds with the size of the body.
async fn one_worker() -> Upstream {
    let turn = std::sync::Arc::new(tokio::sync::Mutex::new(()));
    Upstream::start(move |mut connection| {
        let turn = std::sync::Arc::clone(&turn);
        async move {
            let _turn = turn.lock().await;
            if let Some(request) = connection.request().await {
                let length = request.body.len().to_string();
                let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", length.len());
                connection.send(&(head + &length)).await;
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_bodies_do_not_occupy_the_service() {
    let upstream = one_worker().await;
    let gateway = gateway(&upstream);
    let mut slow = Vec::new();
    for framing in ["Content-Length: 10", "Content-Length: 5000", "Transfer-Encoding: chunked"] {
        let mut client = gateway.connect().await;
        client.send(&format!("{HEAD}{framing}\r\n\r\n")).await;
        client.send(if framing.starts_with('C') { "abcde" } else { "5\r\nabcde\r\n" }).await;
        slow.push(client);
    }
    let http2 = Http2Client::connect(&gateway).await;
    let (sender, body) = parts();
    let mut requests = http2.requests.clone();
    requests.ready().await.unwrap();
    let streamed = tokio::spawn(requests.send_request(request(Method::POST, "/api/users", &[], "").map(|_| body)));
    sender.send(data("abcde")).await.unwrap();
    for _ in 0..3 {
        assert_eq!(gateway.get("/api/users", "").await.text(), "0");
    }
    assert!(upstream.received().iter().all(|request| request.first_line().starts_with("GET ")));

    slow[0].send("fghij").await;
    assert_eq!(slow[0].response(true).await.text(), "10");
    slow[2].send("0\r\n\r\n").await;
    assert_eq!(slow[2].response(true).await.text(), "5");
    drop(sender);
    let response = soon("the answer", streamed).await.unwrap().unwrap();
    assert_eq!(crate::edge::tests::http2::Http2Response::read(response).await.body, "5");
    slow[1].send(&"x".repeat(4995)).await;
    assert_eq!(slow[1].response(true).await.text(), "5000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_larger_body_streams_after_its_buffered_beginning() {
    let upstream = Upstream::start(|mut connection| async move {
        let mut got = String::new();
        while !got.ends_with("last") {
            got += &connection.some().await;
            if got.ends_with("the beginning") {
                // It has seen the beginning, and wants the rest.
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").await;
                got = String::new();
            }
        }
        connection.send("ok").await;
    })
    .await;
    let gateway = gateway(&upstream);
    let mut client = gateway.connect().await;
    client.send(&format!("{HEAD}Content-Length: 1017\r\n\r\n{}the beginning", "x".repeat(1000))).await;
    assert!(client.some().await.starts_with("HTTP/1.1 200 OK"), "it is asked before the end");
    client.send("last").await;
    let mut rest = String::new();
    while !rest.ends_with("ok") {
        rest += &client.some().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_route_can_make_bodies_stream_from_the_first_byte() {
    let upstream = Upstream::start(|mut connection| async move {
        let mut got = String::new();
        while !got.contains("first") {
            got += &connection.some().await;
        }
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        while !connection.some().await.is_empty() {}
    })
    .await;
    let begun = format!("{HEAD}Content-Type: application/grpc+proto\r\nContent-Length: 100\r\n\r\nfirst");
    let gateway = setup(&upstream, 0).start();
    let mut client = gateway.connect().await;
    client.send(&begun).await;
    assert_eq!(client.response(true).await.text(), "ok");
    // A client's headers about its body change nothing: otherwise it could occupy the service's workers.
    let mut setup = setup(&upstream, BUFFERED);
    setup.routes[0].time_limits.idle = Some(Duration::from_millis(300));
    let gateway = setup.start();
    let mut client = gateway.connect().await;
    client.send(&begun).await;
    assert_eq!(client.response(true).await.status, 408);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_buffered_unchanged_with_its_trailers_and_after_100_continue() {
    let upstream = Upstream::ok().await;
    let gateway = gateway(&upstream);
    let mut client = gateway.connect().await;
    client.send(&format!("{HEAD}Expect: 100-continue\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n")).await;
    assert_eq!(client.some().await, "HTTP/1.1 100 Continue\r\n\r\n");
    assert!(upstream.received().is_empty());
    for part in ["3\r\nabc\r\n", "3\r\ndef\r\n", "0\r\nX-Sum: 6\r\n", "\r\n"] {
        client.send(part).await;
    }
    assert_eq!(client.response(true).await.status, 200);
    let received = upstream.received();
    assert_eq!((received[0].text(), received[0].complete), ("abcdef", true));
    // The tests' own reader takes trailers for another message.
    assert!(received[1].head.contains("sum: 6"), "{received:?}");
    assert_eq!(client.ask(&get("/api/users", "")).await.status, 200, "the connection is in step");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_body_never_reaches_the_service() {
    let upstream = Upstream::ok().await;
    let mut setup = setup(&upstream, BUFFERED);
    setup.routes[0].body_limit_bytes = 10;
    setup.routes[0].time_limits.idle = Some(Duration::from_millis(300));
    setup.routes.push(Route { buffer_bytes: BUFFERED, ..route("/api/timed", "auth", "/timed") });
    setup.routes[1].time_limits.total = Some(Duration::from_millis(300));
    let gateway = setup.start();

    let mut too_large = gateway.connect().await;
    too_large.send(&format!("{HEAD}Transfer-Encoding: chunked\r\n\r\nb\r\n0123456789a\r\n")).await;
    assert_eq!(too_large.response(true).await.problem(), (413, "body_too_large".to_owned()));

    let mut broken = gateway.connect().await;
    broken.send(&format!("{HEAD}Transfer-Encoding: chunked\r\n\r\nnonsense\r\n")).await;
    assert_eq!(broken.response(true).await.problem(), (400, "bad_request".to_owned()));

    let mut stalled = gateway.connect().await;
    stalled.send(&format!("{HEAD}Content-Length: 9\r\n\r\nabc")).await;
    assert_eq!(stalled.response(true).await.problem(), (408, "request_timeout".to_owned()));
    assert!(stalled.is_closed().await);

    let mut late = gateway.connect().await;
    late.send("POST /api/timed HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc").await;
    assert_eq!(late.response(true).await.problem(), (408, "request_timeout".to_owned()));

    let mut gone = gateway.connect().await;
    gone.send("POST /api/users/gone HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc").await;
    drop(gone);
    until("it has left its line", || gateway.log.text().contains(" /api/users/gone ")).await;
    assert!(upstream.received().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_active_body_has_all_the_time_that_its_route_allows() {
    let upstream = Upstream::ok().await;
    let mut setup = setup(&upstream, BUFFERED);
    setup.routes[0].time_limits.idle = Some(Duration::from_millis(400));
    let gateway = setup.start();
    let mut client = gateway.connect().await;
    client.send(&format!("{HEAD}Content-Length: 10\r\n\r\n")).await;
    for byte in "0123456789".chars() {
        tokio::time::sleep(Duration::from_millis(100)).await;
        client.send(&byte.to_string()).await;
    }
    assert_eq!(client.response(true).await.status, 200);
    assert_eq!(upstream.only().text(), "0123456789");
}
