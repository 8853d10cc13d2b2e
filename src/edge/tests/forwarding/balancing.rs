use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use crate::{
    domain::gateway::models::service::{Balancing, HashKey, Instance, Service, ServicePolicy},
    edge::tests::{
        harness::{Gateway, Setup, Upstream, get, until},
        support::auth_with,
    },
};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn gateway(service: Service) -> Gateway {
    let mut setup = Setup::of(&[]);
    setup.services = vec![service];
    setup.cores = 2;
    setup.start()
}

fn by(balancing: Balancing) -> ServicePolicy {
    ServicePolicy { balancing, ..ServicePolicy::default() }
}

async fn three() -> [Upstream; 3] {
    [Upstream::ok().await, Upstream::ok().await, Upstream::ok().await]
}

fn addresses(upstreams: &[Upstream]) -> Vec<SocketAddr> {
    upstreams.iter().map(|upstream| upstream.address).collect()
}

/// The positions of the instances that got requests since `before`.
fn used(upstreams: &[Upstream], before: &[usize]) -> Vec<usize> {
    (0..upstreams.len()).filter(|&at| upstreams[at].received().len() > before[at]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_share_requests_evenly_by_default() {
    let upstreams = three().await;
    let gateway = gateway(auth_with(ServicePolicy::default(), &addresses(&upstreams)));
    let mut client = gateway.connect().await;
    for _ in 0..900 {
        assert_eq!(client.ask(&get("/api/users", "")).await.status, 200);
    }
    let shares = upstreams.each_ref().map(|upstream| upstream.received().len());
    assert!(shares.iter().all(|share| (220..380).contains(share)), "{shares:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_instance_gets_fewer_requests() {
    let go_on = Arc::new(Notify::new());
    let told = Arc::clone(&go_on);
    let busy = Upstream::start(move |mut connection| {
        let told = Arc::clone(&told);
        async move {
            while connection.request().await.is_some() {
                told.notified().await;
                connection.send(OK).await;
            }
        }
    })
    .await;
    let idle = Upstream::ok().await;
    let gateway = gateway(auth_with(ServicePolicy::default(), &[busy.address, idle.address]));
    let mut waiting = Vec::new();
    while busy.received().is_empty() {
        let mut client = gateway.connect().await;
        client.send(&get("/api/users", "")).await;
        waiting.push(client);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut client = gateway.connect().await;
    for _ in 0..100 {
        assert_eq!(client.ask(&get("/api/users", "")).await.status, 200);
    }
    assert_eq!(busy.received().len(), 1, "one waits there, none elsewhere");
    go_on.notify_waiters();
}

#[tokio::test(flavor = "multi_thread")]
async fn turns_follow_the_weights() {
    let upstreams = three().await;
    let service = auth_with(by(Balancing::RoundRobin), &addresses(&upstreams));
    let weighed = service.instances.iter().zip([1, 2, 3]);
    let instances =
        weighed.map(|(instance, weight)| Arc::new(Instance { weight, ..Instance::clone(instance) })).collect();
    let gateway = gateway(Service { instances, ..service });
    let mut client = gateway.connect().await;
    for _ in 0..60 {
        assert_eq!(client.ask(&get("/api/users", "")).await.status, 200);
    }
    assert_eq!(upstreams.each_ref().map(|upstream| upstream.received().len()), [10, 20, 30]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_leads_to_the_same_instance() {
    let upstreams = three().await;
    let gateway = gateway(auth_with(by(Balancing::Hash(HashKey::Header("X-Tenant".into()))), &addresses(&upstreams)));
    let mut all = HashSet::new();
    for tenant in 0..30 {
        let before = upstreams.each_ref().map(|upstream| upstream.received().len());
        for _ in 0..3 {
            gateway.get("/api/users", &format!("X-Tenant: {tenant}\r\n")).await;
        }
        let used = used(&upstreams, &before);
        assert_eq!(used.len(), 1, "tenant {tenant}");
        all.extend(used);
    }
    assert_eq!(all.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_keeps_a_client_at_its_instance() {
    let upstreams = three().await;
    let gateway = gateway(auth_with(by(Balancing::StickyCookie("instance".into())), &addresses(&upstreams)));
    let first = gateway.get("/api/users", "").await;
    let cookie = first.header("set-cookie").unwrap().to_owned();
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{cookie}");
    let pair = cookie.split(';').next().unwrap();
    let before = upstreams.each_ref().map(|upstream| upstream.received().len());
    for _ in 0..20 {
        let response = gateway.get("/api/users", &format!("Cookie: {pair}\r\n")).await;
        assert_eq!(response.header("set-cookie"), None);
    }
    assert_eq!(used(&upstreams, &before).len(), 1);
    // An instance that is not there any more leads to another, and to another cookie.
    for unknown in ["instance=0123456789abcdef", "instance=", "instance=zz"] {
        let response = gateway.get("/api/users", &format!("Cookie: {unknown}\r\n")).await;
        assert!(response.status == 200 && response.header("set-cookie").is_some(), "{unknown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_requests_wait_for_a_service() {
    let go_on = Arc::new(Notify::new());
    let told = Arc::clone(&go_on);
    let slow = Upstream::start(move |mut connection| {
        let told = Arc::clone(&told);
        async move {
            connection.request().await;
            told.notified().await;
            connection.send(OK).await;
        }
    })
    .await;
    let policy = ServicePolicy { max_pending: Some(2), ..ServicePolicy::default() };
    let gateway = gateway(auth_with(policy, &[slow.address]));
    let mut waiting = [gateway.connect().await, gateway.connect().await];
    for client in &mut waiting {
        client.send(&get("/api/users", "")).await;
    }
    until("both", || slow.received().len() == 2).await;
    let refused = gateway.get("/api/users", "").await;
    assert_eq!(refused.problem(), (503, "overloaded".to_owned()));
    assert!(refused.header("retry-after").is_some());
    go_on.notify_waiters();
    for client in &mut waiting {
        assert_eq!(client.response(true).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_replaced_when_it_is_old() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let upstream = Upstream::start(move |mut connection| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            while connection.request().await.is_some() {
                connection.send(OK).await;
            }
        }
    })
    .await;
    for (age, expected) in [(Some(Duration::ZERO), 5), (Some(Duration::from_hours(1)), 1), (None, 1)] {
        connections.store(0, Ordering::Relaxed);
        let policy = ServicePolicy { connection_age: age, ..ServicePolicy::default() };
        let gateway = gateway(auth_with(policy, &[upstream.address]));
        let mut client = gateway.connect().await;
        for _ in 0..5 {
            assert_eq!(client.ask(&get("/api/users", "")).await.status, 200);
        }
        assert_eq!(connections.load(Ordering::Relaxed), expected, "{age:?}");
    }
}
