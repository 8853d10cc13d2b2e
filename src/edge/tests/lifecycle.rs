use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
};

use super::{
    harness::{Gateway, Setup, Upstream, get, soon},
    http2::frames::PREFACE_AND_SETTINGS,
    support::NOW,
};
use crate::ports::Clock;

async fn joined(gateway: &mut Gateway) {
    let edge = gateway.edge.take().unwrap();
    soon("the end", tokio::task::spawn_blocking(move || edge.join())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_progress_are_finished_and_idle_connections_closed() {
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let told = (Arc::clone(&begun), Arc::clone(&go_on));
    let upstream = Upstream::start(move |mut connection| {
        let (begun, go_on) = told.clone();
        async move {
            connection.request().await;
            begun.notify_one();
            go_on.notified().await;
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        }
    })
    .await;
    let mut gateway = Setup { cores: 2, ..Setup::of(&[upstream.address]) }.start();
    let (mut fresh, mut idle, mut busy) = (gateway.connect().await, gateway.connect().await, gateway.connect().await);
    assert_eq!(idle.ask(&get("/livez", "")).await.status, 200);
    busy.send(&get("/api/users", "")).await;
    soon("the request", begun.notified()).await;
    gateway.edge.as_ref().unwrap().shutdown();
    assert!(idle.is_closed().await && fresh.is_closed().await);
    go_on.notify_one();
    let response = busy.response(true).await;
    assert_eq!((response.status, response.text(), response.header("connection")), (200, "ok", Some("close")));
    assert!(busy.is_closed().await);
    joined(&mut gateway).await;
    assert!(tokio::net::TcpStream::connect(gateway.address).await.is_err(), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_leaves_clients_are_served_and_told_that_their_connections_end() {
    let upstream = Upstream::ok().await;
    let mut gateway = Setup { cores: 2, ..Setup::of(&[upstream.address]) }.start();
    let mut known = gateway.connect().await;
    assert_eq!(known.ask(&get("/api/users", "")).await.header("connection"), None);
    let mut idle = gateway.connect().await;
    assert_eq!(idle.ask(&get("/livez", "")).await.status, 200);
    let edge = gateway.edge.as_ref().unwrap();
    edge.leave();
    // The cores learn of it soon.
    soon("the announcement", async {
        while gateway.get("/api/users", "").await.header("connection") != Some("close") {}
    })
    .await;
    for client in [&mut known, &mut gateway.connect().await] {
        let response = client.ask(&get("/api/users", "")).await;
        assert_eq!((response.status, response.header("connection")), (200, Some("close")));
        assert!(client.is_closed().await);
    }
    edge.shutdown();
    assert!(idle.is_closed().await);
    joined(&mut gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_came_before_the_end_is_served() {
    let upstream = Upstream::ok().await;
    let mut gateway = Setup { cores: 2, ..Setup::of(&[upstream.address]) }.start();
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = gateway.connect().await;
        client.send(&get("/api/users", "")).await;
        clients.push(client);
    }
    gateway.edge.as_ref().unwrap().shutdown();
    for client in &mut clients {
        assert_eq!(client.response(true).await.status, 200);
        assert!(client.is_closed().await);
    }
    joined(&mut gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http2_client_that_does_not_answer_the_goaway_is_not_waited_for() {
    let upstream = Upstream::ok().await;
    let mut setup = Setup::of(&[upstream.address]);
    setup.listener.drain_timeout = Duration::from_hours(1);
    let mut gateway = setup.start();
    let mut client = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    client.write_all(PREFACE_AND_SETTINGS).await.unwrap();
    let mut settings = [0; 9];
    soon("the gateway's settings", client.read_exact(&mut settings)).await.unwrap();
    gateway.edge.as_ref().unwrap().shutdown();
    joined(&mut gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_has_a_time_limit() {
    let begun = Arc::new(Notify::new());
    let told = Arc::clone(&begun);
    let upstream = Upstream::start(move |mut connection| {
        let begun = Arc::clone(&told);
        async move {
            connection.request().await;
            begun.notify_one();
            connection.is_closed().await;
        }
    })
    .await;
    let mut setup = Setup::of(&[upstream.address]);
    setup.listener.drain_timeout = Duration::from_millis(50);
    let mut gateway = setup.start();
    let mut client = gateway.connect().await;
    client.send(&get("/api/users", "")).await;
    soon("the request", begun.notified()).await;
    gateway.edge.as_ref().unwrap().shutdown();
    joined(&mut gateway).await;
    assert!(client.is_closed().await);
    let log = gateway.log.text();
    assert!(log.contains("  503 GET /api/users ") && log.contains(" (broken off)"), "{log}");
}

/// Kills the first core when it is told to: a task that reads the clock there panics.
#[derive(Default)]
struct DeadlyClock(AtomicBool);

impl Clock for DeadlyClock {
    fn now(&self) -> DateTime<Utc> {
        assert!(!self.0.load(Ordering::Relaxed) || std::thread::current().name() != Some("edge-0"), "as asked");
        DateTime::from_timestamp(NOW, 0).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_core_is_reported_and_gets_no_more_connections() {
    let upstream = Upstream::ok().await;
    let clock = Arc::<DeadlyClock>::default();
    let mut gateway = Setup { cores: 2, ..Setup::of(&[upstream.address]) }.start_with(clock.clone());
    let edge = gateway.edge.as_ref().unwrap();
    assert_eq!(gateway.get("/api/users", "").await.status, 200);
    let unharmed = tokio::time::timeout(Duration::from_millis(1), edge.failed()).await;
    assert!(unharmed.is_err(), "all cores live");
    clock.0.store(true, Ordering::Relaxed);
    soon("the report", edge.failed()).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = gateway.connect().await;
        assert_eq!(client.ask(&get("/api/users", "")).await.status, 200);
        clients.push(client);
    }
    edge.shutdown();
    joined(&mut gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_work_after_an_idle_period_even_beyond_the_kept_futures() {
    // More than `MAX_KEPT` on one core.
    const CLIENTS: usize = 70;
    let upstream = Upstream::ok().await;
    let mut gateway = Setup { cores: 1, ..Setup::of(&[upstream.address]) }.start();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(gateway.connect().await);
    }
    for pause in [Duration::ZERO, Duration::from_millis(2200), Duration::ZERO] {
        // `ClientTimeouts` ticks every second, and a connection counts as idle after one second.
        tokio::time::sleep(pause).await;
        for client in &mut clients {
            assert_eq!(client.ask(&get("/api/users", "")).await.status, 200);
        }
    }
    gateway.edge.as_ref().unwrap().shutdown();
    for client in &mut clients {
        assert!(client.is_closed().await);
    }
    joined(&mut gateway).await;
}
