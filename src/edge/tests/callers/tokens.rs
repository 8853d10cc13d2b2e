use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    domain::gateway::models::{access::Access, service::Route, token::Expectations},
    edge::tests::{
        harness::{Gateway, Response, Setup, Upstream, bearer, get},
        support::{FakeVerifier, NOW, route},
    },
};

const GOOD: &str = "jwt.u1.read.1";

fn challenge(response: &Response) -> &str {
    response.header("www-authenticate").unwrap()
}

/// Counts the signatures that are checked from now on.
fn counted(gateway: &Gateway) -> Arc<AtomicUsize> {
    let verified = Arc::<AtomicUsize>::default();
    let keys = FakeVerifier { verified: Arc::clone(&verified), removed: None };
    let keys = Arc::new(keys);
    gateway.snapshots.update(|next| next.keys = Arc::clone(&keys) as _);
    verified
}

#[tokio::test(flavor = "multi_thread")]
async fn each_rejection_has_its_own_response() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    gateway.resolver.knows_none.store(true, Ordering::Relaxed);
    let missing = gateway.get("/api/auth", "").await;
    assert_eq!(missing.problem(), (401, "token_missing".to_owned()));
    assert_eq!(challenge(&missing), "Bearer realm=\"gateway\"");
    for token in ["nonsense", "jwt.u1..1!", &"x".repeat(9000)] {
        let invalid = gateway.get("/api/auth", &bearer(token)).await;
        assert_eq!(invalid.problem(), (401, "invalid_token".to_owned()));
        assert!(
            challenge(&invalid).starts_with("Bearer realm=\"gateway\", error=\"invalid_token\", error_description=\"")
        );
        assert!(!invalid.text().contains(token) && !challenge(&invalid).contains(token));
    }
    let lacking = gateway.get("/api/users/admin", &bearer(GOOD)).await;
    assert_eq!(lacking.problem(), (403, "insufficient_scope".to_owned()));
    assert_eq!(challenge(&lacking), "Bearer realm=\"gateway\", error=\"insufficient_scope\", scope=\"admin\"");
    for lines in [format!("{}{}", bearer(GOOD), bearer(GOOD)), bearer(""), "Authorization: Bearer\r\n".to_owned()] {
        let malformed = gateway.get("/api/auth", &lines).await;
        assert_eq!(malformed.problem(), (400, "invalid_request".to_owned()), "{lines}");
    }
    assert_eq!(gateway.get("/api/auth", "Authorization: Basic dTpw\r\n").await.problem().1, "token_missing");
    assert_eq!(upstream.received(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_route_ignores_an_invalid_token() {
    let upstream = Upstream::ok().await;
    let mut setup = Setup::of(&[upstream.address]);
    setup.routes.push(Route { forward_authorization: true, ..route("/api/own", "auth", "/own") });
    let gateway = setup.start();
    assert_eq!(gateway.get("/api/users", "").await.status, 200);
    assert_eq!(gateway.get("/api/users", "Authorization: Basic dTpw\r\n").await.status, 200);
    assert_eq!(gateway.get("/api/users", "Authorization: bEARER   jwt.u1.read.1\r\n").await.status, 200);
    for bad in [
        bearer("jwt.u1..1!"),
        bearer("sk_live_123"),
        bearer(&"x".repeat(13_000)),
        "Authorization: Bearer\r\n".to_owned(),
    ] {
        for path in ["/api/users", "/api/own"] {
            assert_eq!(gateway.get(path, &bad).await.status, 200, "{path} {bad}");
        }
        let [users, own] = upstream.received().last_chunk().unwrap().clone();
        assert_eq!((users.header("authorization"), users.header("x-user-id")), (None, None));
        let sent = bad.trim_end().strip_prefix("Authorization: ");
        assert_eq!((own.header("authorization"), own.header("x-user-id")), (sent, None), "the service judges it");
    }
    gateway.resolver.down.store(true, Ordering::Relaxed);
    assert_eq!(gateway.get("/api/users", &bearer("opaque")).await.status, 200, "nobody can say who that is");
    let told: Vec<_> =
        upstream.received().iter().take(3).map(|request| request.header("x-user-id").map(str::to_owned)).collect();
    assert_eq!(told, [None, None, Some("u1".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_is_checked_once_and_everything_else_each_time() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    let verified = counted(&gateway);
    for _ in 0..5 {
        assert_eq!(gateway.get("/api/auth", &bearer(GOOD)).await.status, 200);
    }
    assert_eq!(verified.load(Ordering::Relaxed), 1);
    assert_eq!(gateway.get("/api/users/admin", &bearer(GOOD)).await.status, 403, "the route's rule is judged");
    // A lifetime of 100 seconds, and 5 of leeway.
    gateway.clock.set(NOW + 104);
    assert_eq!(gateway.get("/api/auth", &bearer(GOOD)).await.status, 200);
    gateway.clock.set(NOW + 105);
    for _ in 0..2 {
        let expired = gateway.get("/api/auth", &bearer(GOOD)).await;
        assert_eq!(expired.status, 401);
        assert!(challenge(&expired).contains("expired"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_change_of_keys_or_issuer_every_token_is_checked_again() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    assert_eq!(gateway.get("/api/auth", &bearer(GOOD)).await.status, 200);
    let verified = counted(&gateway);
    assert_eq!(gateway.get("/api/auth", &bearer(GOOD)).await.status, 200);
    assert_eq!(verified.load(Ordering::Relaxed), 1);
    gateway.snapshots.update(|next| {
        next.expectations = Arc::new(Expectations { issuer: "others".into(), audience: "us".into() });
    });
    assert_eq!(gateway.get("/api/auth", &bearer(GOOD)).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_is_refused_at_the_next_request_on_every_core() {
    let upstream = Upstream::ok().await;
    let gateway = Setup { cores: 3, ..Setup::of(&[upstream.address]) }.start();
    let mut clients = Vec::new();
    for _ in 0..6 {
        let mut client = gateway.connect().await;
        assert_eq!(client.ask(&get("/api/auth", &bearer(GOOD))).await.status, 200);
        clients.push(client);
    }
    gateway.revoke(1);
    for client in &mut clients {
        let refused = client.ask(&get("/api/auth", &bearer(GOOD))).await;
        assert_eq!(refused.problem(), (401, "invalid_token".to_owned()));
        assert!(challenge(&refused).contains("revoked"));
        assert_eq!(
            client.ask(&get("/api/users", &bearer(GOOD))).await.status,
            200,
            "an open route is open to nobody, too"
        );
        assert_eq!(client.ask(&get("/api/auth", &bearer("jwt.u1.read.2"))).await.status, 200, "another goes on");
    }
    assert_eq!(upstream.received().len(), 18);
    let of_nobody = upstream.received().into_iter().filter(|request| request.header("x-user-id").is_none());
    assert_eq!(of_nobody.count(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opaque_token_is_looked_up_once_and_again_after_its_revocation() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    let texts = ["hello world", "안녕하세요 토큰", "jwt.looks.like!"];
    for (number, text) in (10..).zip(texts) {
        gateway.resolver.learn(text, number);
        for _ in 0..3 {
            assert_eq!(gateway.get("/api/auth", &bearer(text)).await.status, 200, "{text}");
        }
        assert_eq!(upstream.received().last().unwrap().header("x-user-id"), Some("dummy"));
    }
    assert_eq!(gateway.times_asked(), texts.len());
    gateway.revoke(10);
    assert_eq!(gateway.get("/api/auth", &bearer(texts[0])).await.problem().1, "invalid_token");
    assert_eq!(gateway.times_asked(), 4);
    gateway.resolver.learn(texts[0], 20);
    assert_eq!(gateway.get("/api/auth", &bearer(texts[0])).await.status, 200, "typed again, it is a new token");
    let unknown = gateway.get("/api/auth", &bearer("never heard of")).await;
    assert_eq!(unknown.problem(), (401, "invalid_token".to_owned()));
    assert!(challenge(&unknown).contains("the token is unknown"), "{}", challenge(&unknown));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_limited_to_12_kib() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    let (longest, longer) = ("x".repeat(12 * 1024), "x".repeat(12 * 1024 + 1));
    gateway.resolver.learn(&longest, 10);
    gateway.resolver.learn(&longer, 11);
    assert_eq!(gateway.get("/api/auth", &bearer(&longest)).await.status, 200);
    assert_eq!(gateway.get("/api/auth", &bearer(&longer)).await.problem(), (401, "invalid_token".to_owned()));
    assert_eq!(gateway.times_asked(), 1, "nobody is asked about the other");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_cannot_be_checked_is_a_503_and_not_invalid() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    gateway.resolver.down.store(true, Ordering::Relaxed);
    let response = gateway.get("/api/auth", &bearer("opaque")).await;
    assert_eq!((response.problem(), response.header("retry-after")), ((503, "unavailable".to_owned()), Some("1")));
    assert_eq!(gateway.get("/api/auth", &bearer(GOOD)).await.status, 200, "a signed one needs nobody");
    gateway.resolver.knows_none.store(true, Ordering::Relaxed);
    let asked = gateway.times_asked();
    assert_eq!(gateway.get("/api/auth", &bearer("opaque")).await.status, 401);
    assert_eq!(gateway.times_asked(), asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_route_refuses_callers_while_no_revocations_arrive() {
    let upstream = Upstream::ok().await;
    let mut setup = Setup::of(&[upstream.address]);
    let access = Access::with_scope("read".parse().unwrap());
    let strict = Some(Duration::from_millis(1));
    setup.routes.extend([
        Route { access: access.clone(), strict_revocation: strict, ..route("/api/strict", "auth", "/") },
        Route { access, ..route("/api/available", "auth", "/") },
    ]);
    let gateway = setup.start();
    // The last news is as old as the gateway.
    tokio::time::sleep(Duration::from_millis(10)).await;
    let refused = gateway.get("/api/strict", &bearer(GOOD)).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert!(refused.text().contains("revocations_unknown"), "{}", refused.text());
    assert_eq!(gateway.get("/api/available", &bearer(GOOD)).await.status, 200);
    assert_eq!(gateway.get("/api/strict", "").await.status, 401, "without a credential, news does not matter");
    gateway.snapshots.load().revocations_heard.set(Instant::now() + Duration::from_hours(1));
    assert_eq!(gateway.get("/api/strict", &bearer(GOOD)).await.status, 200);
}
