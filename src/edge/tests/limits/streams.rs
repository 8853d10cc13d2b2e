use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::{
    domain::gateway::models::{
        access::Access,
        service::{Route, TimeLimits},
    },
    edge::tests::{
        harness::{Client, Gateway, Setup, Upstream, bearer, get},
        support::{NOW, route},
    },
};

const GOOD: &str = "jwt.u1.read.1";
const UPGRADE: &str = "Connection: upgrade\r\nUpgrade: chat\r\n";

/// A service whose responses never end: an event each twentieth of a second.
async fn ticking() -> Upstream {
    Upstream::start(|mut connection| async move {
        let Some(request) = connection.request().await else { return };
        let head = if request.header("upgrade").is_some() {
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n".to_owned()
        } else {
            let kind = request.header("accept").unwrap();
            format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n")
        };
        connection.send(&head).await;
        while tokio::time::timeout(Duration::from_millis(50), connection.is_closed()).await.is_err() {
            connection.send("6\r\ntick\n\n\r\n").await;
        }
    })
    .await
}

/// `/api/events` needs a token; so does `/api/on`, but its streams do not end with the token; `/api/users` is open.
fn gateway(upstream: &Upstream) -> Gateway {
    let mut setup = Setup::of(&[upstream.address]);
    let access = Access::with_scope("read".parse().unwrap());
    let of_token = |path| Route { access: access.clone(), ..route(path, "auth", "/") };
    setup.routes.extend([of_token("/api/events"), Route { end_with_token: false, ..of_token("/api/on") }]);
    setup.start()
}

async fn opened(gateway: &Gateway, path: &str, lines: &str) -> Client {
    let mut client = gateway.connect().await;
    client.send(&get(path, &format!("{}{lines}", bearer(GOOD)))).await;
    let mut seen = String::new();
    while !seen.contains("tick") {
        let some = client.some().await;
        assert!(!some.is_empty(), "{seen}");
        seen += &some;
    }
    client
}

/// Late enough for every stream that has to end, and for half a dozen ticks on those that must not.
fn a_while() -> Instant {
    Instant::now() + Duration::from_millis(1500)
}

/// Whether the stream ends before `until`, instead of delivering events.
async fn ends(client: &mut Client, until: Instant) -> bool {
    let mut seen = String::new();
    while let Ok(some) = timeout_at(until, client.some()).await {
        if some.is_empty() {
            assert!(!seen.contains("\r\n0\r\n"), "what broke off looks whole");
            return true;
        }
        seen += &some;
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_needs_a_token_ends_with_it() {
    let upstream = ticking().await;
    for by_revocation in [false, true] {
        let gateway = gateway(&upstream);
        let events = "Accept: text/event-stream; charset=utf-8\r\n";
        let mut ending = [
            opened(&gateway, "/api/events", events).await,
            opened(&gateway, "/api/events", "Accept: Text/Event-Stream\r\n").await,
            opened(&gateway, "/api/events", UPGRADE).await,
            opened(&gateway, "/api/auth/events", events).await,
        ];
        let mut lasting = [
            opened(&gateway, "/api/events", "Accept: text/plain\r\n").await,
            opened(&gateway, "/api/on", events).await,
            opened(&gateway, "/api/on", UPGRADE).await,
            opened(&gateway, "/api/users", events).await,
            opened(&gateway, "/api/users", UPGRADE).await,
        ];
        if by_revocation {
            gateway.revoke(2);
            let until = a_while();
            assert!(!ends(&mut ending[0], until).await && !ends(&mut ending[2], until).await, "it was another's");
            gateway.revoke(1);
        } else {
            gateway.clock.set(NOW + 104);
            let until = a_while();
            assert!(!ends(&mut ending[0], until).await && !ends(&mut ending[2], until).await, "it is good for a while");
            gateway.clock.set(NOW + 105);
        }
        let until = a_while();
        for (number, client) in ending.iter_mut().enumerate() {
            assert!(ends(client, until).await, "{number}");
        }
        for (number, client) in lasting.iter_mut().enumerate() {
            assert!(!ends(client, until).await, "{number}");
        }
        let again = gateway.get("/api/events", &format!("{}{events}", bearer(GOOD))).await;
        assert_eq!(again.status, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_arrives_before_the_next_is_sent() {
    let (tell, told) = tokio::sync::watch::channel(0);
    let upstream = Upstream::start(move |mut connection| {
        let mut told = told.clone();
        async move {
            connection.request().await;
            connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n").await;
            for number in 1..=5 {
                connection.send(&format!("data: {number}\n\n")).await;
                told.wait_for(|&seen| seen == number).await.unwrap();
            }
        }
    })
    .await;
    let gateway = Setup::of(&[upstream.address]).start();
    let mut client = gateway.connect().await;
    client.send(&get("/api/users", "Accept: text/event-stream\r\nLast-Event-ID: 0\r\n")).await;
    let mut seen = String::new();
    for number in 1..=5 {
        while !seen.contains(&format!("data: {number}\n\n")) {
            seen += &client.some().await;
        }
        assert!(!seen.contains(&format!("data: {}", number + 1)));
        tell.send(number).unwrap();
    }
    while !seen.ends_with("0\r\n\r\n") {
        seen += &client.some().await;
    }
    assert_eq!(upstream.only().header("last-event-id"), Some("0"));
}

/// Routes with one limit each.
fn limited(upstream: &Upstream) -> Setup {
    let short = Some(Duration::from_millis(400));
    let mut setup = Setup::of(&[upstream.address]);
    let none = TimeLimits::default();
    setup.routes = [
        ("/api/first", TimeLimits { first_byte: short, ..none }),
        ("/api/idle", TimeLimits { idle: short, ..none }),
        ("/api/total", TimeLimits { total: short, ..none }),
        ("/api/users", none),
    ]
    .map(|(path, time_limits)| Route { time_limits, ..route(path, "auth", "/") })
    .into();
    setup
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_limits_the_time_until_the_head() {
    let upstream = Upstream::start(|mut connection| async move {
        connection.request().await;
        connection.is_closed().await;
    })
    .await;
    let gateway = limited(&upstream).start();
    for path in ["/api/first", "/api/total"] {
        let mut client = gateway.connect().await;
        assert_eq!(client.ask(&get(path, "")).await.problem(), (504, "gateway_timeout".to_owned()), "{path}");
        assert_eq!(client.ask(&get("/livez", "")).await.status, 200);
    }
    assert_eq!(upstream.received().len(), 2, "whoever has waited long enough does not wait again");
    let mut patient = gateway.connect().await;
    patient.send(&get("/api/users", "")).await;
    let waited = tokio::time::timeout(Duration::from_secs(1), patient.some()).await;
    assert!(waited.is_err(), "the others wait as the settings say: {waited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_limits_the_time_of_a_body() {
    let upstream = ticking().await;
    let gateway = limited(&upstream).start();
    let plain = "Accept: text/plain\r\n";
    let until = a_while();
    assert!(ends(&mut opened(&gateway, "/api/total", plain).await, until).await);
    for (path, lines) in [
        ("/api/idle", plain),
        ("/api/first", plain),
        ("/api/total", "Accept: text/event-stream\r\n"),
        ("/api/total", UPGRADE),
    ] {
        assert!(!ends(&mut opened(&gateway, path, lines).await, a_while()).await, "{path} {lines}");
    }
    // A service that stalls after its first event.
    let upstream = Upstream::start(|mut connection| async move {
        connection.request().await;
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\ntick\n\n\r\n").await;
        connection.is_closed().await;
    })
    .await;
    let gateway = limited(&upstream).start();
    assert!(ends(&mut opened(&gateway, "/api/idle", plain).await, a_while()).await);
    let mut patient = opened(&gateway, "/api/users", plain).await;
    assert!(tokio::time::timeout(Duration::from_secs(1), patient.some()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_limits_how_long_a_clients_body_may_be_idle() {
    let upstream = Upstream::ok().await;
    let mut setup = limited(&upstream);
    setup.listener.idle_timeout = Duration::from_millis(400);
    setup.routes.push(Route {
        time_limits: TimeLimits { idle: Some(Duration::from_mins(1)), ..TimeLimits::default() },
        ..route("/api/patient", "auth", "/")
    });
    let gateway = setup.start();
    let begun = |path| format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc");
    let (mut other, mut patient) = (gateway.connect().await, gateway.connect().await);
    other.send(&begun("/api/users")).await;
    patient.send(&begun("/api/patient")).await;
    assert!(other.is_closed().await);
    tokio::time::sleep(Duration::from_millis(400)).await;
    patient.send("defghi").await;
    assert_eq!(patient.response(true).await.status, 200);
    assert!(patient.is_closed().await, "between requests the settings count again");
}
