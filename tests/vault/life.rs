//! One gateway: the life of a grant, and the responses to errors.

use serde_json::{Value, json};

use crate::{
    ONLY_WHEN_ASKED,
    common::stand_in::{StandIn, text, with_token},
    common::{self, Gateway, browser::Browser},
};

#[test]
fn a_person_signs_in_and_the_grant_lives_its_life() {
    let gateway = Gateway::start();
    let stand_in = StandIn::of(&gateway);
    let providers = gateway.get("/oauth/providers").expect(200).json();
    assert_eq!(
        providers["providers"],
        json!([
            {"name": "stand-in", "display_name": "Stand-in", "sign_in": "/login/stand-in"},
            {"name": "stand-in-apple", "display_name": "Apple (stand-in)", "sign_in": "/login/stand-in-apple"},
        ])
    );

    let signed_in = stand_in.exchange(&gateway, "alice");
    let (alice, id) = (text(&signed_in["tokens"]["access_token"]), text(&signed_in["id"]));
    let me = gateway.get_with_token("/api/users/me", alice).expect(200).json();
    let listed = gateway.get_with_token("/oauth?provider=stand-in&limit=1", alice).expect(200).json();
    assert_eq!((listed["grants"].as_array().unwrap().len(), &listed["grants"][0]["id"]), (1, &signed_in["id"]));
    assert!(listed["grants"][0].get("access_token").is_none());

    let opened = gateway.get_with_token(&format!("/oauth/{id}"), alice).expect(200).json();
    assert_eq!(opened["access_token"], signed_in["access_token"]);
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
fn a_failed_exchange_names_the_reason() {
    let gateway = Gateway::start();
    let stand_in = StandIn::of(&gateway);
    let code = stand_in.code_of("alice");
    let ask = |request: &Value| gateway.post("/oauth", request);
    ask(&json!({"provider": "nobody", "code": code})).expect_problem(422, "validation_failed");
    ask(&json!({"provider": "stand-in", "code": code, "redirect_uri": "https://evil.example/"}))
        .expect_problem(422, "validation_failed");
    let with_code = |code: &str| stand_in.request(code);
    ask(&with_code("made-up")).expect_problem(400, "invalid_grant");
    ask(&with_code(&code)).expect(200);
    ask(&with_code(&code)).expect_problem(400, "invalid_grant");
    let (developer, _) = gateway.tokens(&json!({"subject": "developer"}));
    let bearer = format!("Bearer {developer}");
    let body = stand_in.request(&stand_in.code_of("bob")).to_string();
    gateway
        .call("POST", "/oauth", &[("Content-Type", "application/json"), ("Authorization", &bearer)], body.as_bytes())
        .expect_problem(409, "no_account");
}

#[test]
fn a_code_that_was_begun_at_login_is_redeemed_there_alone() {
    let gateway = Gateway::start();
    let stand_in = StandIn::of(&gateway);
    let mut victim = Browser::default();
    let away = victim.leave(&gateway, "/login/stand-in");
    let callback = away.decide("person=alice");
    // An attacker who saw the URL knows the code, and its redirect URI.
    let stolen = |callback: &str| {
        let code = callback.split(['?', '&']).find_map(|part| part.strip_prefix("code=")).unwrap();
        stand_in.request(code)
    };
    let mut request = stolen(&callback);
    request["redirect_uri"] = json!(away.parameter("redirect_uri"));
    let refused = gateway.post("/oauth", &request).expect_problem(422, "validation_failed");
    assert_eq!(refused.json()["errors"][0]["field"], "redirect_uri");
    assert_eq!(stand_in.statistic("exchanges"), 0, "the code went nowhere");
    victim.get(&gateway, &callback).expect(303);
    assert!(victim.session().is_some());
    // With another redirect URI it is invalid.
    let callback = victim.leave(&gateway, "/login/stand-in").decide("person=alice");
    gateway.post("/oauth", &stolen(&callback)).expect_problem(400, "invalid_grant");
}

#[test]
fn codes_that_are_not_taken_delay_the_client() {
    let gateway = Gateway::with(&[("TRUSTED_PROXIES", "127.0.0.1")]);
    let stand_in = StandIn::of(&gateway);
    let ask = |code: &str, client: &str| {
        let body = stand_in.request(code).to_string();
        let headers = [("Content-Type", "application/json"), ("X-Forwarded-For", client)];
        gateway.call("POST", "/oauth", &headers, body.as_bytes())
    };
    for n in 0..50 {
        ask(&format!("guess-{n}"), "192.0.2.1").expect_problem(400, "invalid_grant");
    }
    let refused = ask("guess", "192.0.2.1").expect_problem(429, "too_many_attempts");
    assert!(refused.header("retry-after").is_some());
    ask(&stand_in.code_of("alice"), "192.0.2.2").expect(200);
}

#[test]
fn a_grant_that_is_deleted_takes_no_way_to_sign_in_along() {
    let gateway = Gateway::start();
    let stand_in = StandIn::of(&gateway);
    let first = stand_in.exchange(&gateway, "alice");
    let token = text(&first["tokens"]["access_token"]);
    with_token(&gateway, "DELETE", &format!("/oauth/{}", text(&first["id"])), token).expect(200);
    let mut browser = Browser::default();
    let callback = browser.leave(&gateway, "/login/stand-in").decide("person=alice");
    browser.get(&gateway, &callback).expect(303);
    let account = browser.get(&gateway, "/accounts/me").expect(200).json();
    assert_eq!(gateway.get_with_token("/accounts/me", token).expect(200).json()["id"], account["id"]);
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
    // The token is still valid, and there is no newer one.
    let opened = open().expect(200).json()["access_token"].clone();
    stand_in.switch(&json!({"refresh": {"fail": "server_error"}}));
    with_token(&gateway, "POST", &format!("{path}/refresh"), alice).expect_problem(503, "provider_unavailable");
    assert_eq!(open().expect(200).json()["access_token"], opened);
    stand_in.switch(&json!({"refresh": {"fail": "invalid_grant", "error_in_200": true}}));
    with_token(&gateway, "POST", &format!("{path}/refresh"), alice).expect_problem(409, "reauthorization_required");
    stand_in.switch(&json!({}));
    open().expect_problem(409, "reauthorization_required");
    assert_eq!(gateway.get_with_token("/oauth", alice).json()["grants"][0]["status"], json!("needs_reauthorization"));
}

#[test]
fn an_unused_grant_is_refreshed_in_the_background() {
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
