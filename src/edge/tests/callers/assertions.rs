use std::sync::{Arc, atomic::Ordering};

use chrono::DateTime;

use crate::{
    domain::gateway::models::{
        access::{Accepted, Access, Demands},
        service::Route,
        values::{digest::Sha256Digest, id::FamilyId, identity::Identity, scope::Scope},
    },
    edge::tests::{
        harness::{Gateway, Setup, Upstream, bearer},
        support::{FakeVerifier, NOW, route, token_id},
    },
};

const NAME: &str = "x-gateway-assertion";

/// `/api/told` leads to `auth`, and `/api/others` to another service; both are open, and get assertions.
fn gateway(upstream: &Upstream) -> Gateway {
    let mut setup = Setup::of(&[upstream.address]);
    let mut other = setup.services[0].clone();
    other.name = "other".parse().unwrap();
    setup.services.push(other);
    setup.routes.extend([
        Route { assertion: true, ..route("/api/told", "auth", "/") },
        Route { assertion: true, ..route("/api/others", "other", "/") },
    ]);
    setup.start()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_gets_an_assertion_if_the_route_says_so() {
    let upstream = Upstream::ok().await;
    let gateway = gateway(&upstream);
    let forged = "X-Gateway-Assertion: forged\r\nX_Gateway_Assertion: forged\r\n";
    let u1 = bearer("jwt.u1..1");
    for (path, lines) in [
        ("/api/told", format!("{u1}{forged}")),
        ("/api/told", forged.to_owned()),
        ("/api/users", format!("{u1}{forged}")),
        ("/api/others", u1.clone()),
        ("/api/told", bearer("jwt.u2..2")),
        ("/api/told", u1.clone()),
    ] {
        assert_eq!(gateway.get(path, &lines).await.status, 200);
    }
    let told: Vec<_> = upstream.received().iter().map(|request| request.header(NAME).map(str::to_owned)).collect();
    let told: Vec<_> = told.iter().map(Option::as_deref).collect();
    // The first is reused: signing costs more than a request.
    assert_eq!(told, [Some("auth.u1.1"), None, None, Some("other.u1.2"), Some("auth.u2.3"), Some("auth.u1.1")]);
    for request in upstream.received() {
        assert!(!request.head.to_lowercase().contains("forged"), "{}", request.head);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_looked_up_again_keeps_its_assertion() {
    let upstream = Upstream::ok().await;
    let mut setup = Setup::of(&[upstream.address]);
    let access = Access::Callers(Demands { credentials: Accepted::Session, ..Demands::default() });
    setup.routes.push(Route { access, assertion: true, ..route("/api/session", "auth", "/") });
    let gateway = setup.start();
    let secret = "s".repeat(43);
    let identity = |subject: &str| Identity {
        subject: subject.into(),
        scope: Scope::default(),
        token_id: token_id(1),
        family: FamilyId::from_random([1; 16]),
        expires_at: DateTime::from_timestamp(NOW + 1000, 0).unwrap(),
        claims: serde_json::Map::default(),
    };
    let ask = async |seconds: i64, subject: &str| {
        gateway.clock.set(NOW + seconds);
        gateway.resolver.sessions.lock().unwrap().insert(Sha256Digest::of(secret.as_bytes()), identity(subject));
        let cookie = format!("Cookie: gateway_session={secret}\r\n");
        assert_eq!(gateway.get("/api/session", &cookie).await.status, 200);
        upstream.received().last().unwrap().header(NAME).unwrap().to_owned()
    };
    assert_eq!([ask(0, "u1").await, ask(10, "u1").await, ask(20, "u1").await], ["auth.u1.1"; 3]);
    assert_eq!(gateway.resolver.asked_for_sessions.load(Ordering::Relaxed), 3);
    // The caller's identity has changed.
    assert_eq!(ask(30, "u2").await, "auth.u2.2");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_is_not_reused_once_its_key_was_removed() {
    let upstream = Upstream::ok().await;
    let mut setup = Setup::of(&[upstream.address]);
    let access = Access::Callers(Demands { credentials: Accepted::Session, ..Demands::default() });
    setup.routes.push(Route { access, assertion: true, ..route("/api/session", "auth", "/") });
    let gateway = setup.start();
    let secret = "s".repeat(43);
    let identity = Identity {
        subject: "u1".into(),
        scope: Scope::default(),
        token_id: token_id(1),
        family: FamilyId::from_random([1; 16]),
        expires_at: DateTime::from_timestamp(NOW + 1000, 0).unwrap(),
        claims: serde_json::Map::default(),
    };
    gateway.resolver.sessions.lock().unwrap().insert(Sha256Digest::of(secret.as_bytes()), identity);
    let ask = async || {
        assert_eq!(gateway.get("/api/session", &format!("Cookie: gateway_session={secret}\r\n")).await.status, 200);
        upstream.received().last().unwrap().header(NAME).unwrap().to_owned()
    };
    assert_eq!([ask().await, ask().await], ["auth.u1.1"; 2]);
    let removed = |key| {
        gateway
            .snapshots
            .update(move |next| next.keys = Arc::new(FakeVerifier { removed: key, ..FakeVerifier::default() }));
    };
    removed(Some("key-1"));
    assert_eq!([ask().await, ask().await], ["auth.u1.2"; 2]);
    // Other keys that are added or removed change nothing.
    removed(None);
    assert_eq!(ask().await, "auth.u1.2");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_is_reused_only_while_it_stays_valid_for_a_while() {
    let upstream = Upstream::ok().await;
    let gateway = gateway(&upstream);
    let ask = async |seconds: i64| {
        gateway.clock.set(NOW + seconds);
        assert_eq!(gateway.get("/api/told", &bearer("jwt.u1..1")).await.status, 200);
        upstream.received().last().unwrap().header(NAME).unwrap().to_owned()
    };
    assert_eq!(
        [ask(0).await, ask(29).await, ask(30).await, ask(59).await],
        ["auth.u1.1", "auth.u1.1", "auth.u1.2", "auth.u1.2"]
    );
    gateway.clock.set(NOW + 60);
    gateway.resolver.down.store(true, Ordering::Relaxed);
    assert_eq!(gateway.get("/api/told", &bearer("jwt.u1..1")).await.problem(), (503, "unavailable".to_owned()));
    assert_eq!(gateway.get("/api/told", "").await.status, 200, "of nobody there is nothing to say");
}
