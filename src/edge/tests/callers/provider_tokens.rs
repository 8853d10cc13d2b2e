use std::{collections::HashSet, sync::atomic::Ordering};

use chrono::DateTime;
use tokio::sync::watch;

use crate::{
    domain::gateway::models::{
        access::Access,
        service::{ProviderToken, Route},
        values::{id::AccountId, secret::Secret},
    },
    edge::{
        ports::{ProviderAccess, ProviderAccessError},
        tests::{
            harness::{Gateway, Response, Setup, Upstream, bearer, get, nobody, until},
            support::{NOW, route, service},
        },
    },
};

/// The routes of the harness, plus `/api/mail` with the caller's token at google, `/api/mail/header` with that token in
/// a header of its own, `/api/mail/both` with our token, too, and `/api/issues` with the token at github.
fn setup(upstream: &Upstream) -> Setup {
    let mut setup = Setup::of(&[upstream.address]);
    let with = |path: &str, provider: &str, header: &str| Route {
        access: Access::default(),
        provider_token: Some(ProviderToken { provider: provider.parse().unwrap(), header: header.parse().unwrap() }),
        ..route(path, "auth", "/at-service")
    };
    setup.routes.extend([
        with("/api/mail", "google", "Authorization"),
        with("/api/mail/header", "google", "X-Google-Token"),
        Route { forward_authorization: true, ..with("/api/mail/both", "google", "X-Google-Token") },
        with("/api/issues", "github", "Authorization"),
    ]);
    setup
}

fn account(n: u8) -> AccountId {
    AccountId::from_random([n; 16])
}

/// Our token of a person.
fn ours(n: u8) -> String {
    format!("jwt.{}.read.{n}", account(n))
}

impl Gateway {
    fn respond_with(&self, n: u8, provider: &str, response: Result<ProviderAccess, ProviderAccessError>) {
        self.resolver.grants.lock().unwrap().insert((account(n), provider.parse().unwrap()), response);
    }

    fn grant(&self, n: u8, provider: &str, token: &str) {
        self.respond_with(n, provider, Ok(ProviderAccess { token: Secret::new(token), fresh_until: None }));
    }

    fn grant_until(&self, n: u8, token: &str, fresh_until: i64) {
        let fresh_until = DateTime::from_timestamp(fresh_until, 0);
        self.respond_with(n, "google", Ok(ProviderAccess { token: Secret::new(token), fresh_until }));
    }

    async fn as_person(&self, n: u8, path: &str) -> Response {
        self.get(path, &bearer(&ours(n))).await
    }

    fn times_asked_for_grants(&self) -> usize {
        self.resolver.asked_for_grants.load(Ordering::Relaxed)
    }

    fn time(&self, now: i64) {
        self.clock.set(now);
    }

    fn grant_changed(&self, n: u8, at: i64) {
        let at = DateTime::from_timestamp(at, 0).unwrap();
        self.snapshots.update(|next| next.grant_changes.insert(account(n), at));
    }

    /// Requests for provider tokens wait until `true` is sent.
    fn gate(&self) -> watch::Sender<bool> {
        let (gate, waiting) = watch::channel(false);
        *self.resolver.gate.lock().unwrap() = Some(waiting);
        gate
    }
}

/// The value of `Authorization` in the service's last request.
fn last(upstream: &Upstream) -> String {
    upstream.received().last().unwrap().header("authorization").unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_providers_token_is_sent_only_where_the_route_says_so() {
    let upstream = Upstream::ok().await;
    let gateway = setup(&upstream).start();
    gateway.grant(1, "google", "ya29.secret");
    for path in ["/api/mail", "/api/mail/header", "/api/mail/both", "/api/with-token", "/api/users", "/api/auth"] {
        let response = gateway.as_person(1, path).await;
        assert_eq!(response.status, 200, "{path}");
        assert!(!response.message.head.contains("ya29"), "{path}");
    }
    let our_token = format!("Bearer {}", ours(1));
    let got: Vec<_> = upstream
        .received()
        .iter()
        .map(|request| ["authorization", "x-google-token"].map(|name| request.header(name).map(str::to_owned)))
        .collect();
    let (some, bare) = (|text: &str| Some(text.to_owned()), Some("ya29.secret".to_owned()));
    assert_eq!(got[0], [some("Bearer ya29.secret"), None]);
    assert_eq!(got[1], [None, bare.clone()]);
    assert_eq!(got[2], [some(&our_token), bare]);
    assert_eq!(got[3], [some(&our_token), None]);
    assert_eq!(got[4..], [[None, None], [None, None]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clients_value_for_the_token_header_never_arrives() {
    let upstream = Upstream::ok().await;
    let gateway = setup(&upstream).start();
    gateway.grant(1, "google", "real");
    let forged = "X-Google-Token: forged\r\nX-Google-Token: forged\r\nX_Google_Token: forged\r\n\
        x.google_token: forged\r\nConnection: X-Google-Token\r\n";
    for path in ["/api/mail/header", "/api/mail/both"] {
        assert_eq!(gateway.get(path, &format!("{}{forged}", bearer(&ours(1)))).await.status, 200);
        let request = upstream.received().pop().unwrap();
        assert_eq!(request.headers("x-google-token").collect::<Vec<_>>(), ["real"]);
        assert!(!request.head.contains("forged"), "{}", request.head);
    }
    let plain = gateway.get("/api/mail", &format!("{}Connection: Authorization\r\n", bearer(&ours(1)))).await;
    // `Connection` removes our token before it is checked.
    assert_eq!(plain.status, 401);
    assert_eq!(upstream.received().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_person_has_their_own_token_at_each_provider() {
    let upstream = Upstream::ok().await;
    let gateway = setup(&upstream).start();
    for n in [1, 2] {
        gateway.grant(n, "google", &format!("google-{n}"));
        gateway.grant(n, "github", &format!("github-{n}"));
    }
    for _ in 0..3 {
        for n in [1, 2] {
            for (path, provider) in [("/api/mail", "google"), ("/api/issues", "github")] {
                assert_eq!(gateway.as_person(n, path).await.status, 200);
                assert_eq!(last(&upstream), format!("Bearer {provider}-{n}"));
            }
        }
    }
    assert_eq!(gateway.times_asked_for_grants(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_cached_for_a_while_but_never_longer_than_it_is_fresh() {
    let upstream = Upstream::ok().await;
    let gateway = setup(&upstream).start();
    let ask = async |at: i64, token: &str, asked: usize| {
        gateway.time(NOW + at);
        for _ in 0..2 {
            assert_eq!(gateway.as_person(1, "/api/mail").await.status, 200);
            assert_eq!((last(&upstream), gateway.times_asked_for_grants()), (format!("Bearer {token}"), asked), "{at}");
        }
    };
    gateway.grant(1, "google", "without-end");
    ask(0, "without-end", 1).await;
    ask(9, "without-end", 1).await;
    gateway.grant_until(1, "until-15", NOW + 15);
    ask(10, "until-15", 2).await;
    ask(14, "until-15", 2).await;
    gateway.grant_until(1, "until-500", NOW + 500);
    ask(15, "until-500", 3).await;
    ask(24, "until-500", 3).await;
    gateway.grant_until(1, "ends-soon", NOW + 25);
    gateway.time(NOW + 25);
    for asked in [4, 5] {
        assert_eq!(gateway.as_person(1, "/api/mail").await.status, 200);
        assert_eq!((last(&upstream).as_str(), gateway.times_asked_for_grants()), ("Bearer ends-soon", asked));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_grant_takes_effect_at_the_next_request() {
    let upstream = Upstream::ok().await;
    let gateway = setup(&upstream).start();
    for n in [1, 2] {
        gateway.grant(n, "google", "before");
        gateway.as_person(n, "/api/mail").await;
    }
    gateway.grant(1, "google", "after");
    gateway.grant_changed(1, NOW + 1);
    gateway.time(NOW + 2);
    assert_eq!(gateway.as_person(1, "/api/mail").await.status, 200);
    assert_eq!(last(&upstream), "Bearer after");
    gateway.as_person(1, "/api/mail").await;
    gateway.as_person(2, "/api/mail").await;
    assert_eq!((last(&upstream).as_str(), gateway.times_asked_for_grants()), ("Bearer before", 3));
    gateway.resolver.grants.lock().unwrap().clear();
    gateway.grant_changed(1, NOW + 3);
    assert_eq!(gateway.as_person(1, "/api/mail").await.problem().1, "provider_grant_missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_joins_a_lookup_that_began_before_a_change() {
    let upstream = Upstream::ok().await;
    let gateway = setup(&upstream).start();
    gateway.grant(1, "google", "before");
    let gate = gateway.gate();
    let request = get("/api/mail", &bearer(&ours(1)));
    let (mut early, mut late) = (gateway.connect().await, gateway.connect().await);
    early.send(&request).await;
    until("the first question", || gateway.times_asked_for_grants() == 1).await;
    gateway.grant(1, "google", "after");
    gateway.grant_changed(1, NOW + 1);
    gateway.time(NOW + 2);
    late.send(&request).await;
    until("the second question", || gateway.times_asked_for_grants() == 2).await;
    gate.send(true).unwrap();
    assert_eq!((early.response(true).await.status, late.response(true).await.status), (200, 200));
    let mut sent: Vec<_> =
        upstream.received().iter().map(|request| request.header("authorization").unwrap().to_owned()).collect();
    sent.sort();
    assert_eq!(sent, ["Bearer after", "Bearer before"]);
    gateway.as_person(1, "/api/mail").await;
    assert_eq!((last(&upstream).as_str(), gateway.times_asked_for_grants()), ("Bearer after", 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_for_a_token_on_one_core_share_one_lookup() {
    let upstream = Upstream::ok().await;
    let gateway = setup(&upstream).start();
    gateway.grant(1, "google", "shared");
    let gate = gateway.gate();
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = gateway.connect().await;
        client.send(&get("/api/mail", &bearer(&ours(1)))).await;
        clients.push(client);
    }
    until("the question", || gateway.times_asked_for_grants() > 0).await;
    assert_eq!(gateway.get("/api/users", "").await.status, 200, "nobody else waits");
    gate.send(true).unwrap();
    for client in &mut clients {
        assert_eq!(client.response(true).await.status, 200);
    }
    assert_eq!(gateway.times_asked_for_grants(), 1);
    let sent: HashSet<_> =
        upstream.received().iter().map(|request| request.header("authorization").map(str::to_owned)).collect();
    assert_eq!(sent, HashSet::from([None, Some("Bearer shared".to_owned())]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_during_a_lookup_does_not_affect_others() {
    let upstream = Upstream::ok().await;
    let gateway = setup(&upstream).start();
    gateway.grant(1, "google", "shared");
    let gate = gateway.gate();
    let request = get("/api/mail", &bearer(&ours(1)));
    let (mut leaves, mut stays) = (gateway.connect().await, gateway.connect().await);
    leaves.send(&request).await;
    until("the question", || gateway.times_asked_for_grants() == 1).await;
    stays.send(&request).await;
    leaves.reset();
    until("the question of who stayed", || gateway.times_asked_for_grants() == 2).await;
    gate.send(true).unwrap();
    assert_eq!(stays.response(true).await.status, 200);
    assert_eq!(upstream.only().header("authorization"), Some("Bearer shared"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_nothing_is_sent_and_the_error_says_what_to_do() {
    let upstream = Upstream::ok().await;
    let gateway = setup(&upstream).start();
    for (error, status, code, says) in [
        (ProviderAccessError::GrantMissing, 403, "provider_grant_missing", "/login/google"),
        (ProviderAccessError::ReauthorizationRequired, 409, "reauthorization_required", "/login/google"),
        (ProviderAccessError::ProviderUnavailable, 503, "provider_unavailable", "google"),
        (ProviderAccessError::Unavailable, 503, "unavailable", "cannot be looked up"),
        (ProviderAccessError::Broken, 500, "internal", "failed"),
    ] {
        gateway.respond_with(1, "google", Err(error));
        for path in ["/api/mail", "/api/mail/header"] {
            let response = gateway.as_person(1, path).await;
            assert_eq!(response.problem(), (status, code.to_owned()));
            assert!(response.text().contains(says), "{}", response.text());
            assert_eq!(response.header("retry-after").is_some(), status == 503, "{error}");
        }
    }
    assert_eq!(gateway.times_asked_for_grants(), 10, "no failure is remembered");
    assert_eq!(gateway.get("/api/mail", "").await.problem().1, "token_missing");
    gateway.grant(1, "google", "two\r\nlines");
    assert_eq!(gateway.as_person(1, "/api/mail").await.problem().1, "internal");
    assert_eq!(upstream.received(), []);
    gateway.grant(1, "google", "at-last");
    assert_eq!(gateway.as_person(1, "/api/mail").await.status, 200);
    assert_eq!(last(&upstream), "Bearer at-last");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_without_an_account_has_no_grant_and_needs_no_lookup() {
    let upstream = Upstream::ok().await;
    let gateway = setup(&upstream).start();
    gateway.resolver.learn("typed by hand", 10);
    for token in ["jwt.u1.read.1", "typed by hand"] {
        let response = gateway.get("/api/mail", &bearer(token)).await;
        assert_eq!(response.problem(), (403, "provider_grant_missing".to_owned()));
        assert!(response.text().contains("/login/google"), "{}", response.text());
        assert_eq!(gateway.get("/api/auth", &bearer(token)).await.status, 200);
    }
    assert_eq!((gateway.times_asked_for_grants(), upstream.received().len()), (0, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_endpoint_gets_the_token_if_the_first_is_down() {
    let upstream = Upstream::ok().await;
    let (gone, there) = (format!("http://{}", nobody().await), format!("http://{}", upstream.address));
    let gateway = Setup { services: vec![service("auth", &[&gone, &there])], ..setup(&upstream) }.start();
    gateway.grant(1, "google", "shared");
    for _ in 0..2 {
        assert_eq!(gateway.as_person(1, "/api/mail").await.status, 200);
        assert_eq!(last(&upstream), "Bearer shared");
    }
}

#[test]
fn a_token_is_not_shown_in_debug_output() {
    let access = ProviderAccess { token: Secret::new("ya29.secret"), fresh_until: None };
    assert!(!format!("{access:?}").contains("ya29"));
}
