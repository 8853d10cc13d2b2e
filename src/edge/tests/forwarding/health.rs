use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::{
    domain::gateway::models::service::{Balancing, Breaker, Circuit, Ejection, Health, HealthCheck, ServicePolicy},
    edge::tests::{
        harness::{Gateway, PATIENCE, Setup, Upstream, get, nobody, post, until},
        support::auth_with,
    },
};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn gateway(policy: ServicePolicy, addresses: &[SocketAddr]) -> Gateway {
    let mut setup = Setup::of(&[]);
    setup.services = vec![auth_with(policy, addresses)];
    setup.cores = 2;
    setup.start()
}

/// Instances take turns, so that each gets its part of the requests.
fn in_turns() -> ServicePolicy {
    ServicePolicy { balancing: Balancing::RoundRobin, ..ServicePolicy::default() }
}

fn health(gateway: &Gateway, at: usize) -> Health {
    gateway.snapshots.load().services.get("auth").unwrap().instances[at].health()
}

/// Answers as long as the switch is on; hangs otherwise, with its socket open.
async fn switched(is_well: &Arc<AtomicBool>) -> Upstream {
    let is_well = Arc::clone(is_well);
    Upstream::start(move |mut connection| {
        let is_well = Arc::clone(&is_well);
        async move {
            while connection.request().await.is_some() {
                if !is_well.load(Ordering::Relaxed) {
                    connection.is_closed().await;
                    return;
                }
                connection.send(OK).await;
            }
        }
    })
    .await
}

/// A listener that lets nobody in: its queue is full, so the kernel drops further attempts.
fn black_hole() -> (Socket, Vec<Socket>) {
    let socket = || Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
    let listener = socket();
    listener.bind(&SockAddr::from(SocketAddr::from(([127, 0, 0, 1], 0)))).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let waiting = (0..3).map(|_| {
        let client = socket();
        client.set_nonblocking(true).unwrap();
        // It is under way, or is dropped: both are fine.
        let _ = client.connect(&address);
        client
    });
    let waiting = waiting.collect();
    (listener, waiting)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_instance_holds_few_requests_and_comes_back() {
    let is_well = Arc::new(AtomicBool::new(false));
    let (hung, a, b) = (switched(&is_well).await, Upstream::ok().await, Upstream::ok().await);
    let gateway = Arc::new(gateway(ServicePolicy::default(), &[hung.address, a.address, b.address]));
    let load = |gateway: &Arc<Gateway>| {
        let gateway = Arc::clone(gateway);
        tokio::spawn(async move {
            let mut client = gateway.connect().await;
            loop {
                assert_eq!(client.ask(&get("/api/users", "")).await.status, 200);
            }
        })
    };
    // Each of them stops where it meets the hung one; a new one then takes its place.
    let mut loads = Vec::new();
    for _ in 0..9 {
        loads.push(load(&gateway));
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    until("its end", || health(&gateway, 0) == Health::Unreachable || hung.received().len() < 5).await;
    let held = hung.received().len();
    assert!(held <= 5, "{held} requests wait for it");
    let before = a.received().len() + b.received().len();
    until("more requests", || a.received().len() + b.received().len() > before + 200).await;
    assert!(hung.received().len() <= 5);
    is_well.store(true, Ordering::Relaxed);
    until("its return", || hung.received().len() > held + 20).await;
    loads.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_instance_loses_its_turns_at_once() {
    let is_well = Arc::new(AtomicBool::new(false));
    let (hung, a, b) = (switched(&is_well).await, Upstream::ok().await, Upstream::ok().await);
    let gateway = gateway(in_turns(), &[hung.address, a.address, b.address]);
    let mut waiting = Vec::new();
    for sent in 1..=120 {
        let before = hung.received().len();
        let mut client = gateway.connect().await;
        client.send(&get("/api/users", "")).await;
        until("its arrival", || hung.received().len() + a.received().len() + b.received().len() >= sent).await;
        if hung.received().len() > before {
            waiting.push(client);
        } else {
            assert_eq!(client.response(true).await.status, 200);
        }
    }
    // One of them may be the request of a check.
    assert!((1..=5).contains(&hung.received().len()), "{} requests wait for it", hung.received().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_five_requests_wait_for_is_checked_and_left() {
    let is_well = Arc::new(AtomicBool::new(false));
    let (hung, good) = (switched(&is_well).await, Upstream::ok().await);
    let gateway = gateway(in_turns(), &[hung.address, good.address]);
    let mut waiting = Vec::new();
    while hung.received().len() < 5 {
        let mut client = gateway.connect().await;
        client.send(&get("/api/users", "")).await;
        waiting.push(client);
        tokio::task::yield_now().await;
    }
    until("its ejection", || health(&gateway, 0) == Health::Unreachable).await;
    let held = hung.received().len();
    for _ in 0..50 {
        assert_eq!(gateway.ask(&post("/api/users", "abc")).await.status, 200);
    }
    assert_eq!(hung.received().len(), held);
    is_well.store(true, Ordering::Relaxed);
    until("its return", || health(&gateway, 0) == Health::Healthy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_without_a_response_in_time_is_enough_for_a_check() {
    let is_well = Arc::new(AtomicBool::new(false));
    let (hung, good) = (switched(&is_well).await, Upstream::ok().await);
    let mut setup = Setup::of(&[]);
    setup.services = vec![auth_with(in_turns(), &[hung.address, good.address])];
    setup.upstream.first_byte_timeout = Duration::from_millis(100);
    let gateway = setup.start();
    while hung.received().is_empty() {
        gateway.get("/api/users", "").await;
    }
    until("its ejection", || health(&gateway, 0) == Health::Unreachable).await;
    for _ in 0..10 {
        assert_eq!(gateway.get("/api/users", "").await.status, 200);
    }
    assert_eq!(hung.received().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_only_sends_errors_is_ejected_for_a_while() {
    for status in ["500 Internal Server Error", "503 Service Unavailable"] {
        let is_well = Arc::new(AtomicBool::new(false));
        let state = Arc::clone(&is_well);
        let bad = Upstream::start(move |mut connection| {
            let is_well = Arc::clone(&state);
            async move {
                while connection.request().await.is_some() {
                    let well = is_well.load(Ordering::Relaxed);
                    let response =
                        if well { OK.to_owned() } else { format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n") };
                    connection.send(&response).await;
                }
            }
        })
        .await;
        let good = Upstream::ok().await;
        let ejection = Ejection { after: 5, time: Duration::from_millis(300), max_time: PATIENCE };
        let gateway = gateway(ServicePolicy { ejection, ..in_turns() }, &[bad.address, good.address]);
        let mut failed = 0;
        for _ in 0..40 {
            failed += usize::from(gateway.get("/api/users", "").await.status != 200);
        }
        // Until it is out, and one more each time that it comes back.
        assert!((5..=8).contains(&failed), "{failed} of 40 failed");
        is_well.store(true, Ordering::Relaxed);
        until("its return", || health(&gateway, 0) == Health::Healthy).await;
        for _ in 0..20 {
            assert_eq!(gateway.get("/api/users", "").await.status, 200);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_cuts_responses_is_ejected() {
    let cut = Upstream::start(|mut connection| async move {
        connection.request().await;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").await;
    })
    .await;
    let good = Upstream::ok().await;
    let gateway = gateway(in_turns(), &[cut.address, good.address]);
    let mut broken = 0;
    for _ in 0..30 {
        broken += usize::from(!gateway.get("/api/users", "").await.message.complete);
    }
    assert_eq!((broken, health(&gateway, 0)), (5, Health::Ejected));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_waits_long_for_a_host_that_is_gone() {
    let (hole, _waiting) = black_hole();
    let good = Upstream::ok().await;
    let address = hole.local_addr().unwrap().as_socket().unwrap();
    let gateway = gateway(in_turns(), &[address, good.address]);
    for _ in 0..10 {
        let begun = std::time::Instant::now();
        assert_eq!(gateway.ask(&post("/api/users", "abc")).await.status, 200);
        assert!(begun.elapsed() < PATIENCE / 4, "it waited for {:?}", begun.elapsed());
    }
    assert_eq!(health(&gateway, 0), Health::Unreachable);
    assert_eq!(good.received().len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn if_no_instance_is_left_all_are_tried() {
    let (dead, address) = (nobody().await, nobody().await);
    let gateway = gateway(in_turns(), &[dead, address]);
    for _ in 0..4 {
        assert_eq!(gateway.get("/api/users", "").await.status, 502);
    }
    assert_eq!([0, 1].map(|at| health(&gateway, at)), [Health::Unreachable; 2]);
    let back = Upstream::at(&address.to_string(), |mut connection| async move {
        while connection.request().await.is_some() {
            connection.send(OK).await;
        }
    })
    .await;
    // At once: nobody waits for a check.
    assert_eq!(gateway.get("/api/users", "").await.status, 200);
    until("its return", || health(&gateway, 1) == Health::Healthy).await;
    assert!(!back.received().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_whose_health_check_fails_gets_no_requests() {
    let is_well = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&is_well);
    let sick = Upstream::start(move |mut connection| {
        let is_well = Arc::clone(&state);
        async move {
            while let Some(request) = connection.request().await {
                let fails = request.first_line().contains("/health") && !is_well.load(Ordering::Relaxed);
                connection.send(if fails { "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n" } else { OK }).await;
            }
        }
    })
    .await;
    let good = Upstream::ok().await;
    let check = HealthCheck {
        interval: Duration::from_millis(50),
        timeout: PATIENCE,
        unhealthy_after: 2,
        healthy_after: 2,
        ..HealthCheck::default()
    };
    let gateway = gateway(ServicePolicy { check: Some(check), ..in_turns() }, &[sick.address, good.address]);
    until("the first check", || sick.checks().iter().any(|request| request.first_line() == "GET /health HTTP/1.1"))
        .await;
    assert_eq!(health(&gateway, 0), Health::Healthy);
    is_well.store(false, Ordering::Relaxed);
    until("its end", || health(&gateway, 0) == Health::Unhealthy).await;
    let before = sick.received().len();
    for _ in 0..10 {
        assert_eq!(gateway.get("/api/users", "").await.status, 200);
    }
    assert_eq!(sick.received().len(), before);
    is_well.store(true, Ordering::Relaxed);
    until("its return", || health(&gateway, 0) == Health::Healthy).await;
    for _ in 0..4 {
        assert_eq!(gateway.get("/api/users", "").await.status, 200);
    }
    assert!(sick.received().len() > before);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_one_service_use_up_its_own_retries_only() {
    let good = Upstream::ok().await;
    let mut setup = Setup::of(&[]);
    let lost = Upstream::start(|mut connection| async move {
        connection.request().await;
    })
    .await;
    let never = Ejection { after: 0, ..Ejection::default() };
    setup.services = vec![
        auth_with(ServicePolicy { ejection: never, ..in_turns() }, &[lost.address, lost.address]),
        crate::edge::tests::support::service(
            "good",
            &[&format!("http://{}", nobody().await), &format!("http://{}", good.address)],
        ),
    ];
    setup.routes.push(crate::edge::tests::support::route("/api/good", "good", "/"));
    let gateway = setup.start();
    for _ in 0..200 {
        assert_eq!(gateway.get("/api/users", "").await.status, 502);
    }
    for _ in 0..10 {
        assert_eq!(gateway.get("/api/good", "").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_fails_gets_no_requests_until_one_shows_that_it_works_again() {
    let is_well = Arc::new(AtomicBool::new(false));
    let upstream = {
        let is_well = Arc::clone(&is_well);
        Upstream::start(move |mut connection| {
            let is_well = Arc::clone(&is_well);
            async move {
                while connection.request().await.is_some() {
                    let failed = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";
                    connection.send(if is_well.load(Ordering::Relaxed) { OK } else { failed }).await;
                }
            }
        })
        .await
    };
    let open = Duration::from_millis(300);
    let breaker = Some(Breaker { failures: 50, requests: 4, window: PATIENCE, open });
    let gateway = gateway(ServicePolicy { breaker, ..ServicePolicy::default() }, &[upstream.address]);
    let circuit = || gateway.snapshots.load().services.get("auth").unwrap().circuit();
    for _ in 0..4 {
        assert_eq!(gateway.get("/api/users", "").await.status, 500);
    }
    until("its opening", || circuit() == Some(Circuit::Open)).await;
    let refused = gateway.get("/api/users", "").await;
    assert_eq!((refused.problem(), refused.header("retry-after")), ((503, "circuit_open".to_owned()), Some("1")));
    assert_eq!(upstream.received().len(), 4);
    is_well.store(true, Ordering::Relaxed);
    let mut client = gateway.connect().await;
    loop {
        let response = client.ask(&get("/api/users", "")).await;
        if response.status == 200 {
            break;
        }
        assert_eq!(response.problem(), (503, "circuit_open".to_owned()));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    until("its closing", || circuit() == Some(Circuit::Closed)).await;
    assert_eq!(upstream.received().len(), 5, "a single request was tried");
}
