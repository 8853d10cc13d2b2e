use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use crate::{
    domain::gateway::models::service::{Balancing, Service, ServicePolicy},
    edge::tests::{
        harness::{PATIENCE, Setup, Upstream, get, nobody, post, soon, until},
        support::{auth_with, service, state_of},
    },
};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// Long enough for a service that answers at once, even on a busy machine.
const SHORT: Duration = Duration::from_millis(400);

/// The service `auth`, whose instances take turns.
fn in_turns(upstreams: &[&Upstream]) -> Service {
    let policy = ServicePolicy { balancing: Balancing::RoundRobin, ..ServicePolicy::default() };
    auth_with(policy, &upstreams.iter().map(|upstream| upstream.address).collect::<Vec<_>>())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_without_a_response_is_a_502_and_the_gateway_continues() {
    for broken in [
        "",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "garbage\r\n\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "\0\0\0\0\0\0\0\0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nBad Name: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        "SSH-2.0-OpenSSH_9.6\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
    ] {
        let bad = Upstream::start(move |mut connection| async move {
            connection.request().await;
            connection.send(broken).await;
        })
        .await;
        let good = Upstream::ok().await;
        let mut setup = Setup::of(&[bad.address]);
        setup.services.push(service("good", &[&format!("http://{}", good.address)]));
        setup.routes.push(crate::edge::tests::support::route("/api/good", "good", "/"));
        let gateway = setup.start();
        let mut client = gateway.connect().await;
        let response = client.ask(&get("/api/users", "")).await;
        assert_eq!(response.problem(), (502, "bad_gateway".to_owned()), "{broken:?}");
        assert_eq!(client.ask(&get("/api/good", "")).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_is_framed_twice_is_framed_again() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    )
    .await;
    let gateway = Setup::of(&[upstream.address]).start();
    let response = gateway.get("/api/users", "").await;
    assert_eq!((response.status, response.text(), response.header("content-length")), (200, "ok", None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_without_a_body_is_validated_like_any_other() {
    for (lines, expected) in [
        ("Content-Length: 5\r\nContent-Length: 5", Some("5")),
        ("Content-Length: 5, 5", Some("5")),
        ("Content-Length: 5\r\nContent-Length: 6", None),
        ("Content-Length: -1", None),
        ("Content-Length: 1e3", None),
    ] {
        let lines = lines.to_owned();
        let upstream = Upstream::start(move |mut connection| {
            let response = format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n");
            async move {
                while connection.request().await.is_some() {
                    connection.send(&response).await;
                }
            }
        })
        .await;
        let gateway = Setup::of(&[upstream.address]).start();
        let response = gateway.ask("HEAD /api/users HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let got = (response.status == 200).then(|| response.header("content-length").unwrap());
        assert_eq!(got, expected, "{}", response.message.head);
        assert!(response.status == 200 || response.status == 502);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_endpoint_is_a_502_and_no_endpoint_a_503() {
    let gateway = Setup::of(&[nobody().await]).start();
    assert_eq!(gateway.get("/api/users", "").await.problem(), (502, "bad_gateway".to_owned()));
    let gateway = Setup::of(&[]).start();
    let response = gateway.get("/api/users", "").await;
    assert_eq!(response.problem(), (503, "no_instance".to_owned()));
    assert!(response.header("retry-after").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_service_is_a_504_and_loses_its_connection() {
    let closed = Arc::new(Notify::new());
    let told = Arc::clone(&closed);
    let slow = Upstream::start(move |mut connection| {
        let told = Arc::clone(&told);
        async move {
            connection.request().await;
            if connection.is_closed().await {
                told.notify_one();
            }
        }
    })
    .await;
    let mut setup = Setup::of(&[slow.address]);
    setup.upstream.first_byte_timeout = SHORT;
    let gateway = setup.start();
    let mut client = gateway.connect().await;
    assert_eq!(client.ask(&get("/api/users", "")).await.problem(), (504, "gateway_timeout".to_owned()));
    soon("closing", closed.notified()).await;
    assert_eq!(client.ask(&post("/api/users", "abc")).await.problem(), (504, "gateway_timeout".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_for_a_response_counts_from_the_end_of_the_request() {
    let upstream = Upstream::ok().await;
    let mut setup = Setup::of(&[upstream.address]);
    setup.upstream.first_byte_timeout = SHORT;
    let gateway = setup.start();
    let mut client = gateway.connect().await;
    client.send("POST /api/users HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na").await;
    tokio::time::sleep(SHORT * 3 / 2).await;
    client.send("bc").await;
    assert_eq!(client.response(true).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_breaks_off_breaks_off_for_the_client_too() {
    for part in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let upstream = Upstream::start(move |mut connection| async move {
            connection.request().await;
            connection.send(part).await;
        })
        .await;
        let gateway = Setup::of(&[upstream.address]).start();
        let mut client = gateway.connect().await;
        let response = client.ask(&get("/api/users", "")).await;
        assert_eq!((response.status, response.message.complete), (200, false), "{part:?}");
        assert!(client.is_closed().await);
        assert_eq!(gateway.get("/livez", "").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_bytes_arrive_before_the_last_are_sent() {
    let go_on = Arc::new(Notify::new());
    let told = Arc::clone(&go_on);
    let upstream = Upstream::start(move |mut connection| {
        let told = Arc::clone(&told);
        async move {
            connection.request().await;
            connection
                .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
                .await;
            connection.send("3\r\none\r\n").await;
            told.notified().await;
            connection.send("3\r\ntwo\r\n0\r\n\r\n").await;
        }
    })
    .await;
    let gateway = Setup::of(&[upstream.address]).start();
    let mut client = gateway.connect().await;
    client.send(&get("/api/users", "")).await;
    let mut seen = String::new();
    while !seen.contains("one") {
        seen += &client.some().await;
    }
    assert!(!seen.contains("two"));
    go_on.notify_one();
    while !seen.ends_with("0\r\n\r\n") {
        seen += &client.some().await;
    }
    assert!(seen.contains("two"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_cancels_its_request() {
    let (begun, closed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let tell = (Arc::clone(&begun), Arc::clone(&closed));
    let upstream = Upstream::start(move |mut connection| {
        let (begun, closed) = tell.clone();
        async move {
            let request = connection.request().await.unwrap();
            if request.first_line().contains("stream") {
                connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n").await;
            }
            begun.notify_one();
            if connection.is_closed().await {
                closed.notify_one();
            }
        }
    })
    .await;
    let gateway = Setup::of(&[upstream.address]).start();
    for path in ["/api/users", "/api/users/stream"] {
        let mut client = gateway.connect().await;
        client.send(&get(path, "")).await;
        soon("the request", begun.notified()).await;
        client.reset();
        soon("the end of it", closed.notified()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_reused_and_replaced_once_it_is_stale() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let upstream = Upstream::start(move |mut connection| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            // Each connection answers three requests and is closed silently.
            for _ in 0..3 {
                if connection.request().await.is_none() {
                    return;
                }
                connection.send(OK).await;
            }
        }
    })
    .await;
    let gateway = Setup::of(&[upstream.address]).start();
    let mut client = gateway.connect().await;
    for _ in 0..3 {
        assert_eq!(client.ask(&get("/api/users", "")).await.status, 200);
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1);
    for _ in 0..30 {
        assert_eq!(client.ask(&get("/api/users", "")).await.status, 200);
    }
    assert_eq!(upstream.received().len(), 33);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_may_have_been_processed_is_not_sent_twice() {
    let bad = Upstream::start(|mut connection| async move {
        connection.request().await;
    })
    .await;
    let good = Upstream::ok().await;
    let mut setup = Setup::of(&[bad.address, good.address]);
    // Every second request goes to the bad one first.
    setup.services = vec![in_turns(&[&bad, &good])];
    let gateway = setup.start();
    for _ in 0..2 {
        assert!(matches!(gateway.ask(&post("/api/users", "abc")).await.status, 200 | 502));
    }
    assert_eq!((bad.received().len(), good.received().len()), (1, 1));
    for _ in 0..4 {
        assert_eq!(gateway.get("/api/users", "").await.status, 200, "a GET is sent to the other one");
    }
    let put = "PUT /api/users HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
    let statuses = [gateway.ask(put).await.status, gateway.ask(put).await.status];
    assert!(statuses.contains(&502), "a body that was begun is not there any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn unsent_requests_go_to_another_endpoint_and_a_dead_one_is_ejected() {
    let good = Upstream::ok().await;
    let gateway = Setup::of(&[nobody().await, good.address]).start();
    for _ in 0..4 {
        assert_eq!(gateway.ask(&post("/api/users", "abc")).await.status, 200);
    }
    assert!(good.received().iter().all(|request| request.text() == "abc"));
    let mut client = gateway.connect().await;
    for _ in 0..100 {
        // If every second request went to the dead one, the retry budget would soon be spent.
        assert_eq!(client.ask(&get("/api/users", "")).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_take_turns_if_asked_to_and_changes_take_effect_at_once() {
    let (a, b, c) = (Upstream::ok().await, Upstream::ok().await, Upstream::ok().await);
    let mut setup = Setup::of(&[]);
    setup.services = vec![in_turns(&[&a, &b])];
    let gateway = setup.start();
    let mut client = gateway.connect().await;
    for _ in 0..6 {
        client.ask(&get("/api/users", "")).await;
    }
    assert_eq!((a.received().len(), b.received().len()), (3, 3));
    let auth = service("auth", &[&format!("http://{}", c.address)]);
    gateway.snapshots.update(|next| {
        next.services = Arc::new([(auth.name.clone(), state_of(auth.clone()))].into());
    });
    client.ask(&get("/api/users", "")).await;
    assert_eq!(c.received().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_before_the_end_of_a_body_does_not_cost_the_client_its_connection() {
    let upstream = Upstream::start(|mut connection| async move {
        // Its head alone is enough, and the connection is no longer in sync.
        connection.some().await;
        connection.send(OK).await;
        connection.is_closed().await;
    })
    .await;
    let gateway = Setup::of(&[upstream.address]).start();
    let mut client = gateway.connect().await;
    let body = "b".repeat(100_000);
    for (path, status) in [("/api/auth", 401), ("/api/users", 200), ("/api/auth", 401)] {
        let request = post(path, &body);
        let (early, late) = request.split_at(request.len() - 50_000);
        client.send(early).await;
        assert_eq!(client.response(true).await.status, status, "{path}");
        client.send(late).await;
    }
    let chunked = "POST /api/auth HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    client.send(chunked).await;
    assert_eq!(client.response(true).await.status, 401);
    client.send("2\r\nde\r\n0\r\n\r\n").await;
    assert_eq!(client.ask(&get("/api/small", "")).await.status, 200);

    // A large, missing or unreadable body is not waited for long.
    let long = "POST /api/auth HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nb";
    for request in
        [long, "POST /api/auth HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nb", &format!("{chunked}x\r\n")]
    {
        let mut client = gateway.connect().await;
        client.send(request).await;
        assert_eq!(client.response(true).await.status, 401);
        assert!(client.is_closed().await, "{request}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unused_connections_to_a_service_are_closed_in_time() {
    let closed = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&closed);
    let upstream = Upstream::start(move |mut connection| {
        let closed = Arc::clone(&counted);
        async move {
            connection.request().await;
            connection.send(OK).await;
            connection.request().await;
            closed.fetch_add(1, Ordering::Relaxed);
        }
    })
    .await;
    let mut setup = Setup::of(&[upstream.address]);
    setup.upstream.idle_timeout = SHORT;
    // The same periodic task serves both ends.
    setup.listener.idle_timeout = PATIENCE;
    setup.listener.head_timeout = Duration::from_secs(1);
    let gateway = setup.start();
    assert_eq!(gateway.get("/api/users", "").await.status, 200);
    until("closing", || closed.load(Ordering::Relaxed) == 1).await;
}
