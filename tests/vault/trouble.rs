//! A gateway that the provider does not accept: no grant is lost, and the operator sees the cause.

use serde_json::json;

use crate::{
    ONLY_WHEN_ASKED, VAULT_KEY,
    common::stand_in::{StandIn, text},
    common::{
        self, Gateway, call,
        database::{Sqlite, TestDatabase},
    },
};

#[test]
fn a_wrong_client_secret_costs_no_grant_and_is_shown_to_the_operator_once() {
    let host = Gateway::start();
    let (stand_in, database) = (StandIn::of(&host), Sqlite::open());
    let gateway = |more: &[(&str, &str)]| {
        let settings = stand_in.settings();
        let mut variables = vec![("DATABASE_URL", database.url()), ("VAULT_KEY", VAULT_KEY)];
        variables.extend(settings.iter().map(|(name, value)| (*name, value.as_str())));
        variables.retain(|(name, _)| !more.iter().any(|(other, _)| name == other));
        Gateway::with(&[variables.as_slice(), more].concat())
    };
    let status_of = |gateway: &Gateway| {
        let status = call(gateway.admin, "GET", "/status", &[], b"").expect(200).json();
        status["providers"].as_array().unwrap().iter().find(|provider| provider["name"] == "stand-in").unwrap().clone()
    };

    let right = gateway(&[ONLY_WHEN_ASKED]);
    stand_in.switch(&json!({"access_token_ttl_seconds": 0}));
    let signed_in = stand_in.exchange(&right, "alice");
    let (alice, path) = (text(&signed_in["tokens"]["access_token"]), format!("/oauth/{}", text(&signed_in["id"])));
    stand_in.switch(&json!({"access_token_ttl_seconds": 3600}));
    assert_eq!(status_of(&right), json!({"name": "stand-in", "ok": true}));
    assert_eq!(right.terminate(), Some(0));

    let wrong = gateway(&[("OIDC_STAND_IN_CLIENT_SECRET", "mistyped")]);
    common::eventually("the grant was tried though nobody asked", || status_of(&wrong)["ok"] == json!(false));
    let status = status_of(&wrong);
    assert_eq!((&status["kind"], &status["error"]), (&json!("configuration"), &json!("invalid_client")));
    assert!(status["since"].is_string(), "{status}");
    for _ in 0..3 {
        wrong.get_with_token(&path, alice).expect_problem(503, "provider_unavailable");
    }
    assert_eq!(wrong.get_with_token("/oauth", alice).json()["grants"][0]["status"], json!("active"));
    // Ordinary callers must not see it.
    wrong.get("/status").expect_problem(404, "not_found");
    let told = |text: &str| wrong.console().lines().filter(|line| line.contains(text)).count();
    common::eventually("the three requests are logged", || told(&path) == 3);
    assert_eq!(told(text(&signed_in["id"])), 3, "the grant is named in no other line");
    assert_eq!((told("the provider refuses the gateway itself"), told("mistyped")), (1, 0));
    assert_eq!(wrong.terminate(), Some(0));

    let right = gateway(&[]);
    let renewed = right.get_with_token(&path, alice).expect(200).json();
    assert_ne!(renewed["access_token"], signed_in["access_token"]);
    assert_eq!(status_of(&right), json!({"name": "stand-in", "ok": true}));
}
