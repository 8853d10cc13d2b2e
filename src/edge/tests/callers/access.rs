use std::sync::atomic::Ordering;

use crate::{
    domain::gateway::models::{
        access::{Access, ClaimDemand, ClaimValue, Demands},
        oauth::ProviderName,
        service::Route,
        values::id::AccountId,
    },
    edge::tests::{
        harness::{Setup, Upstream, bearer},
        support::{NOW, route},
    },
};

fn demanding(path: &str, demands: Demands) -> Route {
    Route { access: Access::Callers(demands), ..route(path, "auth", "/") }
}

fn google() -> ProviderName {
    "google".parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_or_any_scopes_and_claims_can_be_required() {
    let upstream = Upstream::ok().await;
    let mut setup = Setup::of(&[upstream.address]);
    let client = ClaimDemand {
        name: "client_id".into(),
        one_of: ["test", "other"].map(|id| ClaimValue::Text(id.into())).to_vec(),
    };
    let team = ClaimDemand { name: "team".into(), one_of: vec![ClaimValue::Text("blue".into())] };
    setup.routes.extend([
        demanding("/api/all", Demands { scope: "read write".parse().unwrap(), ..Demands::default() }),
        demanding("/api/any", Demands { any_scope: "read write".parse().unwrap(), ..Demands::default() }),
        demanding("/api/ours", Demands { claims: vec![client.clone()], ..Demands::default() }),
        demanding("/api/blue", Demands { claims: vec![client, team], ..Demands::default() }),
    ]);
    let gateway = setup.start();
    let one_word = bearer("jwt.u1.read.1");
    for (path, lines, expected) in [
        ("/api/all", &one_word, Some("Bearer realm=\"gateway\", error=\"insufficient_scope\", scope=\"read write\"")),
        ("/api/all", &bearer("jwt.u1.read+write+x.2"), None),
        ("/api/any", &one_word, None),
        (
            "/api/any",
            &bearer("jwt.u1.reader.3"),
            Some("Bearer realm=\"gateway\", error=\"insufficient_scope\", scope=\"read write\""),
        ),
        ("/api/ours", &one_word, None),
    ] {
        let response = gateway.get(path, lines).await;
        assert_eq!(response.status, if expected.is_none() { 200 } else { 403 }, "{path} {lines}");
        assert_eq!(response.header("www-authenticate"), expected);
    }
    let response = gateway.get("/api/blue", &one_word).await;
    assert_eq!(response.problem(), (403, "claim_missing".to_owned()));
    assert!(response.text().contains("team = \\\"blue\\\""), "{}", response.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_at_a_provider_can_be_required() {
    let upstream = Upstream::ok().await;
    let mut setup = Setup::of(&[upstream.address]);
    setup.routes.push(demanding("/api/google", Demands { provider: Some(google()), ..Demands::default() }));
    let gateway = setup.start();
    let account = AccountId::from_random([7; 16]);
    let asked = || gateway.resolver.asked_for_linked.load(Ordering::Relaxed);
    let [person, machine] = [format!("jwt.{account}..1"), "jwt.machine..2".to_owned()];
    let denied = (403, "provider_missing".to_owned());
    let response = gateway.get("/api/google", &bearer(&machine)).await;
    assert_eq!((response.problem(), asked()), (denied.clone(), 0));
    assert!(response.text().contains("/login/google/link"), "{}", response.text());
    for _ in 0..2 {
        assert_eq!(gateway.get("/api/google", &bearer(&person)).await.problem(), denied);
    }
    assert_eq!(asked(), 2, "that there is none may change at any time");
    gateway.resolver.linked.lock().unwrap().insert(account, vec!["kakao".parse().unwrap(), google()]);
    for _ in 0..3 {
        assert_eq!(gateway.get("/api/google", &bearer(&person)).await.status, 200);
    }
    assert_eq!(asked(), 3);
    // Removed from the account by this replica:
    gateway.resolver.linked.lock().unwrap().clear();
    let now = chrono::DateTime::from_timestamp(NOW, 0).unwrap();
    gateway.snapshots.update(|next| next.grant_changes.insert(account, now));
    assert_eq!(gateway.get("/api/google", &bearer(&person)).await.problem(), denied);
    // And by another replica, which is noticed a little later:
    gateway.clock.set(NOW + 1);
    gateway.resolver.linked.lock().unwrap().insert(account, vec![google()]);
    assert_eq!(gateway.get("/api/google", &bearer(&person)).await.status, 200);
    gateway.resolver.linked.lock().unwrap().clear();
    assert_eq!(gateway.get("/api/google", &bearer(&person)).await.status, 200);
    gateway.clock.set(NOW + 11);
    assert_eq!(gateway.get("/api/google", &bearer(&person)).await.problem(), denied);
    gateway.resolver.down.store(true, Ordering::Relaxed);
    assert_eq!(gateway.get("/api/google", &bearer(&person)).await.problem(), (503, "unavailable".to_owned()));
}
