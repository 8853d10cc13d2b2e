//! The OAuth vault through the real binary, with the stand-in provider: exchange, list, look at, refresh, delete; one
//! refresh at a time over two gateways; nothing in clear in the database.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::net::SocketAddr;

use common::{Answer, Gateway, call};
use serde_json::{Value, json};

/// Nothing is refreshed but by those who ask, so that refreshes can be counted.
const ONLY_WHEN_ASKED: (&str, &str) = ("OAUTH_REFRESH_AHEAD", "0s");
const VAULT_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// The stand-in provider that a gateway started beside it, as the banner says.
struct StandIn {
    address: SocketAddr,
    redirect_uri: String,
}

impl StandIn {
    fn of(gateway: &Gateway) -> Self {
        let line = gateway.printed("/authorize?");
        let address = line.trim().trim_start_matches("http://").split('/').next().unwrap().parse().unwrap();
        Self { address, redirect_uri: format!("http://localhost:{}/", gateway.address.port()) }
    }

    /// The person presses the button, and the code arrives in the address bar.
    fn code_of(&self, person: &str) -> String {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("response_type", "code"),
                ("client_id", "gateway"),
                ("redirect_uri", &self.redirect_uri),
                ("scope", "openid email profile"),
                ("state", "by-hand"),
                ("person", person),
            ])
            .finish();
        let form_type = ("Content-Type", "application/x-www-form-urlencoded");
        let answer = call(self.address, "POST", "/authorize", &[form_type], form.as_bytes()).expect(303);
        let location: url::Url = answer.header("location").unwrap().parse().unwrap();
        location.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned()
    }

    fn switch(&self, switches: &Value) {
        let json = ("Content-Type", "application/json");
        assert!(call(self.address, "PUT", "/switches", &[json], switches.to_string().as_bytes()).status < 300);
    }

    fn statistic(&self, name: &str) -> u64 {
        call(self.address, "GET", "/statistics", &[], b"").json()[name].as_u64().unwrap()
    }

    fn exchange(&self, gateway: &Gateway, person: &str) -> Value {
        let request = json!({"provider": "stand-in", "code": self.code_of(person), "redirect_uri": self.redirect_uri});
        gateway.post("/oauth", &request).expect(200).json()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn with_token(gateway: &Gateway, method: &str, path: &str, token: &str) -> Answer {
    gateway.call(method, path, &[("Authorization", &format!("Bearer {token}"))], b"")
}

#[test]
fn a_person_signs_in_and_the_grant_lives_its_life() {
    let gateway = Gateway::start();
    let stand_in = StandIn::of(&gateway);
    let providers = gateway.get("/oauth/providers").expect(200).json();
    assert_eq!(providers["providers"], json!([{"name": "stand-in", "display_name": "Stand-in"}]));

    let signed_in = stand_in.exchange(&gateway, "alice");
    let (alice, id) = (text(&signed_in["tokens"]["access_token"]), text(&signed_in["id"]));
    let me = gateway.get_with_token("/api/users/me", alice).expect(200).json();
    let listed = gateway.get_with_token("/oauth?provider=stand-in&limit=1", alice).expect(200).json();
    assert_eq!((listed["grants"].as_array().unwrap().len(), &listed["grants"][0]["id"]), (1, &signed_in["id"]));
    assert!(listed["grants"][0].get("access_token").is_none());

    let opened = gateway.get_with_token(&format!("/oauth/{id}"), alice).expect(200).json();
    // The stand-in's tokens live for a minute, which is too short to hand one out as it is.
    assert_ne!(opened["access_token"], signed_in["access_token"]);
    let refreshed = with_token(&gateway, "POST", &format!("/oauth/{id}/refresh"), alice).expect(200).json();
    assert_ne!(refreshed["access_token"], opened["access_token"]);

    let again = stand_in.exchange(&gateway, "alice");
    let same = gateway.get_with_token("/api/users/me", text(&again["tokens"]["access_token"])).expect(200).json();
    assert_eq!((same["subject"].as_str(), &again["id"]), (me["subject"].as_str(), &signed_in["id"]));

    let bob = stand_in.exchange(&gateway, "bob");
    let bob = text(&bob["tokens"]["access_token"]);
    for (method, path) in
        [("GET", format!("/oauth/{id}")), ("POST", format!("/oauth/{id}/refresh")), ("DELETE", format!("/oauth/{id}"))]
    {
        with_token(&gateway, method, &path, bob).expect_problem(404, "grant_not_found");
        gateway.call(method, &path, &[], b"").expect_problem(401, "token_missing");
    }

    let deleted = with_token(&gateway, "DELETE", &format!("/oauth/{id}"), alice).expect(200).json();
    assert_eq!(deleted, json!({"revoked_at_provider": true}));
    assert_eq!(stand_in.statistic("revocations"), 1);
    gateway.get_with_token(&format!("/oauth/{id}"), alice).expect_problem(404, "grant_not_found");
}

#[test]
fn what_cannot_be_exchanged_is_told_why() {
    let gateway = Gateway::start();
    let stand_in = StandIn::of(&gateway);
    let code = stand_in.code_of("alice");
    let ask = |request: &Value| gateway.post("/oauth", request);
    ask(&json!({"provider": "nobody", "code": code})).expect_problem(422, "validation_failed");
    ask(&json!({"provider": "stand-in", "code": code, "redirect_uri": "https://evil.example/"}))
        .expect_problem(422, "validation_failed");
    ask(&json!({"provider": "stand-in", "code": "made-up"})).expect_problem(400, "invalid_grant");
    ask(&json!({"provider": "stand-in", "code": code})).expect(200);
    ask(&json!({"provider": "stand-in", "code": code})).expect_problem(400, "invalid_grant");
    let (developer, _) = gateway.tokens(&json!({"subject": "developer"}));
    let bearer = format!("Bearer {developer}");
    let body = json!({"provider": "stand-in", "code": stand_in.code_of("bob")}).to_string();
    gateway
        .call("POST", "/oauth", &[("Content-Type", "application/json"), ("Authorization", &bearer)], body.as_bytes())
        .expect_problem(409, "no_account");
}

#[test]
fn a_refusal_asks_for_the_person_and_a_failure_for_patience() {
    let gateway = Gateway::with(&[ONLY_WHEN_ASKED]);
    let stand_in = StandIn::of(&gateway);
    stand_in.switch(&json!({"access_token_ttl_seconds": 1}));
    let signed_in = stand_in.exchange(&gateway, "alice");
    let (alice, path) = (text(&signed_in["tokens"]["access_token"]), format!("/oauth/{}", text(&signed_in["id"])));
    let open = || gateway.get_with_token(&path, alice);
    common::eventually("the provider's token has expired", || {
        stand_in.switch(&json!({"access_token_ttl_seconds": 1, "refresh": {"fail": "server_error"}}));
        open().status == 503
    });
    open().expect_problem(503, "provider_unavailable");
    stand_in.switch(&json!({"expires_in_as_text": true, "access_token_ttl_seconds": 3600}));
    assert!((3500..=3600).contains(&open().expect(200).json()["expires_in"].as_i64().unwrap()));
    stand_in.switch(&json!({"refresh": {"fail": "invalid_grant", "error_in_200": true}}));
    with_token(&gateway, "POST", &format!("{path}/refresh"), alice).expect_problem(409, "reauthorization_required");
    stand_in.switch(&json!({}));
    open().expect_problem(409, "reauthorization_required");
    assert_eq!(gateway.get_with_token("/oauth", alice).json()["grants"][0]["status"], json!("needs_reauthorization"));
}

#[test]
fn a_grant_that_nobody_asks_for_is_refreshed_all_the_same() {
    let gateway = Gateway::start();
    let stand_in = StandIn::of(&gateway);
    stand_in.switch(&json!({"access_token_ttl_seconds": 1}));
    let signed_in = stand_in.exchange(&gateway, "alice");
    stand_in.switch(&json!({"access_token_ttl_seconds": 3600}));
    let before = stand_in.statistic("refreshes");
    common::eventually("it was refreshed", || stand_in.statistic("refreshes") > before);
    let (alice, path) = (text(&signed_in["tokens"]["access_token"]), format!("/oauth/{}", text(&signed_in["id"])));
    let opened = gateway.get_with_token(&path, alice).expect(200).json();
    assert_ne!(opened["access_token"], signed_in["access_token"]);
    assert_eq!(stand_in.statistic("refreshes"), before + 1, "whoever asks gets what is there");
    assert_eq!(gateway.terminate(), Some(0));
}

#[test]
fn two_hundred_who_ask_two_gateways_make_one_refresh_and_the_database_holds_nothing_in_clear() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.db");
    let database = format!("sqlite://{}", file.display());
    let store = [("DATABASE_URL", database.as_str()), ("VAULT_KEY", VAULT_KEY), ONLY_WHEN_ASKED];
    let one = Gateway::with(&store);
    let stand_in = StandIn::of(&one);
    let issuer = format!("http://{}", stand_in.address);
    let same_provider = [
        ("OIDC_STAND_IN_ISSUER", issuer.as_str()),
        ("OIDC_STAND_IN_CLIENT_ID", "gateway"),
        ("OIDC_STAND_IN_CLIENT_SECRET", "development"),
    ];
    let two = Gateway::with(&[&store[..], &same_provider].concat());
    stand_in.switch(&json!({"access_token_ttl_seconds": 1}));
    let signed_in = stand_in.exchange(&one, "alice");
    let (alice, path) = (text(&signed_in["tokens"]["access_token"]), format!("/oauth/{}", text(&signed_in["id"])));
    stand_in.switch(&json!({"access_token_ttl_seconds": 3600, "refresh": {"delay_ms": 300}}));
    let before = stand_in.statistic("refreshes");
    let opened: Vec<Value> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..200)
            .map(|n| {
                let (gateway, path) = (if n % 2 == 0 { &one } else { &two }, &path);
                scope.spawn(move || gateway.get_with_token(path, alice).expect(200).json())
            })
            .collect();
        asking.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(stand_in.statistic("refreshes") - before, 1, "the provider was asked once");
    let fresh = &opened[0];
    assert_ne!(fresh["access_token"], signed_in["access_token"]);
    assert!(opened.iter().all(|one| one["access_token"] == fresh["access_token"]), "all got the same fresh token");

    assert_eq!(one.terminate(), Some(0));
    assert_eq!(two.terminate(), Some(0));
    let wal = folder.path().join("gateway.db-wal");
    let held: Vec<u8> = [&file, &wal].iter().flat_map(|file| std::fs::read(file).unwrap_or_default()).collect();
    let holds = |text: &str| held.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("stand-in"), "the file is the one that holds the grant");
    for grant in [&signed_in, fresh] {
        assert!(!holds(text(&grant["access_token"])) && !holds(text(&grant["refresh_token"])));
    }
}
