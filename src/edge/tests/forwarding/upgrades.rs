use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{io::AsyncWriteExt, sync::Notify, time::timeout};

use crate::{
    domain::gateway::models::service::{Route, TimeLimits},
    edge::tests::{
        harness::{Client, Gateway, Served, Setup, Upstream, get, soon},
        support::route,
    },
};

const WEBSOCKET: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n";
const SWITCHING: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Accept: y\r\n\r\n";

/// Long enough to notice events that must not happen.
const WHILE: Duration = Duration::from_millis(200);

/// Echoes in upper case until the other side is closed, then says that it has seen it.
async fn shout(mut connection: Served) {
    loop {
        let heard = connection.some().await;
        if heard.is_empty() {
            return connection.send("bye").await;
        }
        connection.send(&heard.to_uppercase()).await;
    }
}

/// A service that accepts every upgrade, and sends first.
async fn switching() -> Upstream {
    Upstream::start(|mut connection| async move {
        if connection.request().await.is_some() {
            connection.send(&format!("{SWITCHING}hello ")).await;
            shout(connection).await;
        }
    })
    .await
}

/// Reads until `end` has come.
pub(crate) async fn up_to(client: &mut Client, end: &str) -> String {
    let mut seen = String::new();
    while !seen.ends_with(end) {
        let some = client.some().await;
        assert!(!some.is_empty(), "{end:?} never came: {seen:?}");
        seen += &some;
    }
    seen
}

/// A connection that was upgraded.
async fn upgraded(gateway: &Gateway) -> Client {
    let mut client = gateway.connect().await;
    client.send(&get("/api/users", WEBSOCKET)).await;
    assert_eq!(client.response(false).await.status, 101);
    assert_eq!(up_to(&mut client, "hello ").await, "hello ");
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_keeps_its_connection_header_beside_te_and_at_another_endpoint() {
    let upstream = switching().await;
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = Setup::of(&[dead, upstream.address]).start();
    // One of the two is sent to the dead endpoint first.
    for _ in 0..2 {
        let mut client = gateway.connect().await;
        client.send(&get("/api/users", &format!("{WEBSOCKET}TE: trailers\r\n"))).await;
        assert_eq!(client.response(false).await.status, 101);
    }
    for request in upstream.received() {
        assert_eq!((request.header("connection"), request.header("te")), (Some("upgrade, te"), Some("trailers")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_goes_both_ways_until_both_sides_are_closed() {
    let upstream = switching().await;
    let gateway = Setup::of(&[upstream.address]).start();
    let mut client = gateway.connect().await;
    let lines = "Connection: keep-alive, UPGRADE, X-Own\r\nKeep-Alive: 5\r\nX-Own: 1\r\nUpgrade: h2c, websocket\r\n\
                 Upgrade: chat/2, HTTP/2.0, TLS/1.2\r\nSec-WebSocket-Key: x\r\nX-User-Id: forged\r\n";
    client.send(&get("/api/users/chat?a=b", lines)).await;
    let response = client.response(false).await;
    assert_eq!(
        (
            response.status,
            response.header("upgrade"),
            response.header("connection"),
            response.header("sec-websocket-accept")
        ),
        (101, Some("WebSocket"), Some("upgrade"), Some("y"))
    );
    assert!(response.header("x-request-id").is_some() && response.header("content-length").is_none());
    let request = upstream.only();
    assert_eq!(request.first_line(), "GET /users/chat?a=b HTTP/1.1");
    assert_eq!(
        (request.header("upgrade"), request.header("connection"), request.header("sec-websocket-key")),
        (Some("websocket, chat/2"), Some("upgrade"), Some("x"))
    );
    for gone in ["keep-alive", "x-own", "x-user-id"] {
        assert_eq!(request.header(gone), None);
    }
    assert_eq!(up_to(&mut client, "hello ").await, "hello ");
    // Bytes that look like a request are no longer one.
    client.send(&get("/api/users/admin", "")).await;
    assert!(up_to(&mut client, "\r\n\r\n").await.starts_with("GET /API/USERS/ADMIN HTTP/1.1\r\nHOST: "));
    let long = "0123456789abcdef".repeat(20_000);
    let (mut shouted, expected) = (String::new(), long.to_uppercase());
    client.send(&long).await;
    while shouted.len() < expected.len() {
        shouted += &client.some().await;
    }
    assert!(shouted == expected, "it was altered");
    // One side may close before the other has sent everything.
    client.stream.shutdown().await.unwrap();
    assert_eq!(up_to(&mut client, "bye").await, "bye");
    assert!(client.is_closed().await);
    assert_eq!(upstream.received().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_after_the_request_is_sent_before_the_101() {
    let (asked, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let told = (Arc::clone(&asked), Arc::clone(&go_on));
    let upstream = Upstream::start(move |mut connection| {
        let (asked, go_on) = told.clone();
        async move {
            connection.request().await;
            asked.notify_one();
            assert!(timeout(WHILE, connection.some()).await.is_err(), "something came");
            go_on.notified().await;
            connection.send(SWITCHING).await;
            shout(connection).await;
        }
    })
    .await;
    let gateway = Setup::of(&[upstream.address]).start();
    let mut client = gateway.connect().await;
    client.send(&format!("{}\0 is no head\n", get("/api/users", WEBSOCKET))).await;
    soon("the request", asked.notified()).await;
    let more = "x".repeat(100_000);
    client.send(&more).await;
    tokio::time::sleep(WHILE).await;
    go_on.notify_one();
    assert_eq!(client.response(false).await.status, 101);
    let mut seen = String::new();
    while !seen.ends_with(&more.to_uppercase()) {
        seen += &client.some().await;
    }
    assert!(seen.starts_with("\0 IS NO HEAD\n"), "it is lost");
    assert_eq!(upstream.received().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_after_a_refused_upgrade_are_the_next_request() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    let upgrade = get("/api/users", WEBSOCKET);
    let mut client = gateway.connect().await;
    // All at once, then one after the other, on one connection.
    client.send(&format!("{upgrade}{}{upgrade}{}", get("/api/users/admin", ""), get("/api/users/1", ""))).await;
    for status in [200, 401, 200, 200] {
        assert_eq!(client.response(true).await.status, status);
    }
    for _ in 0..2 {
        let response = client.ask(&upgrade).await;
        assert_eq!((response.status, response.text(), response.header("upgrade")), (200, "ok", None));
        assert_eq!(client.ask(&get("/api/users/admin", "")).await.status, 401);
    }
    // The ones above were refused by the service; these are refused by the gateway.
    let of_ours = get("/api/users/admin", WEBSOCKET);
    assert_eq!(client.ask(&of_ours).await.problem(), (401, "token_missing".to_owned()));
    assert_eq!(client.ask(&get("/livez", WEBSOCKET)).await.status, 200);
    let received = upstream.received();
    assert_eq!(received.len(), 5, "{received:?}");
    client.send(&format!("{upgrade}GET / HTTP/1.1\r\n\r\n")).await;
    assert_eq!(client.response(true).await.status, 200);
    assert_eq!(client.response(true).await.problem(), (400, "bad_request".to_owned()));
    assert!(client.is_closed().await);
    // Even if there are many.
    let mut client = gateway.connect().await;
    client.send(&format!("{upgrade}GET /api/users/{} HTTP/1.1\r\n", "a".repeat(40_000))).await;
    assert_eq!(client.response(true).await.status, 200);
    assert_eq!(client.response(true).await.status, 431);
    assert!(client.is_closed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_impossible_upgrade_is_a_plain_request() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    let head = "/api/users HTTP/1.1\r\nHost: x\r\n";
    let mut client = gateway.connect().await;
    for request in [
        format!("GET {head}Upgrade: websocket\r\n\r\n"),
        format!("GET {head}Connection: keep-alive\r\nUpgrade: websocket\r\n\r\n"),
        format!("GET {head}Connection: upgrade\r\n\r\n"),
        format!("GET {head}Connection: upgrade\r\nUpgrade: \r\n\r\n"),
        format!("GET {head}Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n"),
        format!("GET {head}Connection: upgrade\r\nUpgrade: H2C, h2, HTTP/2.0, TLS/1.0\r\n\r\n"),
        format!("GET {head}Connection: upgrade\r\nUpgrade: h2c-14, \"h2c\", HTTP2, Http2/1, h3-29, SPDY/3.1\r\n\r\n"),
        format!("POST {head}{WEBSOCKET}Content-Length: 3\r\n\r\nabc"),
        format!("POST {head}{WEBSOCKET}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
    ] {
        assert_eq!(client.ask(&request).await.status, 200, "{request}");
        let received = upstream.received().pop().unwrap();
        assert_eq!((received.header("upgrade"), received.header("connection")), (None, None), "{request}");
        assert_eq!(received.text(), if request.starts_with("POST") { "abc" } else { "" });
    }
    let old = format!("GET /api/users HTTP/1.0\r\nHost: x\r\n{WEBSOCKET}\r\n");
    assert_eq!(gateway.ask(&old).await.status, 200);
    assert_eq!(upstream.received().pop().unwrap().header("upgrade"), None);
    assert_eq!(upstream.received().len(), 10);
    // An empty body counts as none.
    let empty = get("/api/users", &format!("{WEBSOCKET}Content-Length: 0\r\n"));
    assert_eq!(client.ask(&empty).await.status, 200);
    assert_eq!(upstream.received().pop().unwrap().header("upgrade"), Some("websocket"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unrequested_101_is_a_502() {
    for (lines, response) in [
        ("", SWITCHING.to_owned()),
        ("Upgrade: websocket\r\n", SWITCHING.to_owned()),
        (WEBSOCKET, SWITCHING.replace("WebSocket\r", "chat\r")),
        (WEBSOCKET, SWITCHING.replace("WebSocket\r", "websocket, chat\r")),
        (WEBSOCKET, SWITCHING.replace("Upgrade: WebSocket\r\n", "")),
        (WEBSOCKET, SWITCHING.replace("WebSocket\r", "\r")),
        (WEBSOCKET, SWITCHING.replace("WebSocket\r\n", "WebSocket\r\nUpgrade: h2c\r\n")),
    ] {
        let response = Arc::new(response);
        let told = Arc::clone(&response);
        let upstream = Upstream::start(move |mut connection| {
            let response = Arc::clone(&told);
            async move {
                connection.request().await;
                connection.send(&response).await;
                connection.is_closed().await;
            }
        })
        .await;
        let gateway = Setup::of(&[upstream.address]).start();
        let mut client = gateway.connect().await;
        let refused = client.ask(&get("/api/users", lines)).await;
        assert_eq!(refused.problem(), (502, "bad_gateway".to_owned()), "{response}");
        assert_eq!(client.ask(&get("/livez", "")).await.status, 200, "HTTP goes on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_before_the_101_cancels_its_request() {
    let (asked, closed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let told = (Arc::clone(&asked), Arc::clone(&closed));
    let upstream = Upstream::start(move |mut connection| {
        let (asked, closed) = told.clone();
        async move {
            connection.request().await;
            asked.notify_one();
            assert!(connection.is_closed().await);
            closed.notify_one();
        }
    })
    .await;
    let gateway = Setup::of(&[upstream.address]).start();
    for behind in ["", "something"] {
        let mut client = gateway.connect().await;
        client.send(&format!("{}{behind}", get("/api/users", WEBSOCKET))).await;
        soon("the request", asked.notified()).await;
        client.reset();
        soon("its end", closed.notified()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_either_side_ends_both() {
    let (left, told) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
    let tell = (Arc::clone(&left), Arc::clone(&told));
    let upstream = Upstream::start(move |mut connection| {
        let (left, told) = tell.clone();
        async move {
            connection.request().await;
            connection.send(&format!("{SWITCHING}hello ")).await;
            if !left.load(Ordering::Relaxed) {
                assert!(connection.is_closed().await);
                told.notify_one();
            }
        }
    })
    .await;
    let gateway = Setup::of(&[upstream.address]).start();
    drop(upgraded(&gateway).await);
    soon("the service's side", told.notified()).await;
    left.store(true, Ordering::Relaxed);
    assert!(upgraded(&gateway).await.is_closed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgraded_connection_has_back_pressure() {
    const PIECE: usize = 64 * 1024;
    let upstream = Upstream::start(|mut connection| async move {
        connection.request().await;
        connection.send(SWITCHING).await;
        let piece = "x".repeat(PIECE);
        let mut sent = 0;
        while timeout(WHILE, connection.send(&piece)).await.is_ok() {
            sent += 1;
            assert!(sent * PIECE < 64 * 1024 * 1024, "it has no end");
        }
        // A piece may have been written in part: another letter marks its end.
        connection.send("y").await;
    })
    .await;
    let gateway = Setup::of(&[upstream.address]).start();
    let mut client = gateway.connect().await;
    client.send(&get("/api/users", WEBSOCKET)).await;
    assert_eq!(client.response(false).await.status, 101);
    tokio::time::sleep(WHILE * 3).await;
    let mut seen = client.some().await;
    while !seen.ends_with('y') {
        seen = client.some().await;
        assert!(!seen.is_empty(), "the rest never came");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgraded_connection_counts_and_drains_like_any_other() {
    let upstream = switching().await;
    let mut setup = Setup::of(&[upstream.address]);
    setup.listener.max_connections_per_client = 1;
    setup.listener.drain_timeout = WHILE;
    let mut gateway = setup.start();
    let mut client = upgraded(&gateway).await;
    assert_eq!(gateway.connect().await.response(true).await.problem(), (503, "overloaded".to_owned()));
    let edge = gateway.edge.take().unwrap();
    edge.shutdown();
    client.send("still here").await;
    assert_eq!(up_to(&mut client, "HERE").await, "STILL HERE");
    soon("the end", tokio::task::spawn_blocking(move || edge.join())).await.unwrap();
    assert!(client.is_closed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_upgraded_connection_ends() {
    let upstream = switching().await;
    let mut setup = Setup::of(&[upstream.address]);
    let idle = Duration::from_millis(600);
    let time_limits = TimeLimits { idle: Some(idle), total: Some(idle), ..TimeLimits::default() };
    setup.routes = vec![Route { time_limits, ..route("/api/users", "auth", "/users") }];
    // Neither this nor the total time applies to it.
    setup.listener.idle_timeout = Duration::from_millis(50);
    let gateway = setup.start();
    let mut client = upgraded(&gateway).await;
    for _ in 0..6 {
        tokio::time::sleep(idle / 3).await;
        client.send("a").await;
        assert_eq!(up_to(&mut client, "A").await, "A");
    }
    assert!(client.is_closed().await);
}
