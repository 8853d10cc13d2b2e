//! Tokens for the scripts of a page.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{OURS, common::Gateway, refresh, signed_in, text, token_pair};

#[test]
fn a_signed_in_browser_gets_an_uncached_pair_that_opens_routes() {
    let gateway = Gateway::start();
    let mut browser = signed_in(&gateway, "alice");
    let subject = browser.get(&gateway, "/session").expect(200).json()["subject"].clone();
    for path in ["/session/token", "/e/session/token"] {
        let response = browser.call(&gateway, "POST", path, &OURS).expect(200);
        assert_eq!(response.header("cache-control"), Some("no-store"));
        let pair = response.json();
        assert_eq!(
            (&pair["token_type"], &pair["scope"], &pair["expires_in"]),
            (&json!("Bearer"), &json!(""), &json!(900))
        );
        let refresh_life = pair["refresh_expires_in"].as_i64().unwrap();
        assert!((86_300..=86_400).contains(&refresh_life), "as long as the session may lie idle: {refresh_life}");
        let me = gateway.get_with_token("/api/users/me", text(&pair["access_token"])).expect(200).json();
        assert_eq!(me["subject"], subject, "{me}");
        let verified = gateway.post("/tokens/verify", &json!({"token": pair["access_token"]})).expect(200).json();
        assert_eq!(verified["audience"], json!(["https://www.jinmini.com"]), "{verified}");
        let next = refresh(&gateway, text(&pair["refresh_token"])).expect(200).json();
        gateway.get_with_token("/api/users/me", text(&next["access_token"])).expect(200);
        for token in [&pair["access_token"], &pair["refresh_token"], &next["refresh_token"]] {
            assert!(!gateway.console().contains(text(token)));
        }
    }
}

#[test]
fn signing_out_ends_every_token_of_the_session_at_once_and_no_other() {
    let gateway = Gateway::start();
    let [mut browser, mut other] = [signed_in(&gateway, "alice"), signed_in(&gateway, "alice")];
    let pairs = [token_pair(&mut browser, &gateway), token_pair(&mut browser, &gateway)];
    let next = refresh(&gateway, &pairs[0].1).expect(200).json();
    let (kept, kept_refresh) = token_pair(&mut other, &gateway);
    let open = |access: &str| gateway.get_with_token("/api/users/me", access);
    // Cached by every core.
    for access in [&pairs[0].0, &pairs[1].0, &kept] {
        for _ in 0..8 {
            open(access).expect(200);
        }
    }
    browser.call(&gateway, "POST", "/logout", &OURS).expect(200);
    for access in [&pairs[0].0, &pairs[1].0, text(&next["access_token"])] {
        open(access).expect_problem(401, "invalid_token");
        assert_eq!(gateway.post("/tokens/verify", &json!({"token": access})).json()["reason"], json!("revoked"));
    }
    for token in [&pairs[1].1, text(&next["refresh_token"])] {
        refresh(&gateway, token).expect_problem(401, "invalid_grant");
    }
    open(&kept).expect(200);
    refresh(&gateway, &kept_refresh).expect(200);
}

#[test]
fn signing_in_again_leaves_no_token_of_the_session_before() {
    let gateway = Gateway::start();
    let mut browser = signed_in(&gateway, "alice");
    let (access, token) = token_pair(&mut browser, &gateway);
    let callback = browser.leave(&gateway, "/login/stand-in").decide("person=bob");
    browser.get(&gateway, &callback).expect(303);
    gateway.get_with_token("/api/users/me", &access).expect_problem(401, "invalid_token");
    refresh(&gateway, &token).expect_problem(401, "invalid_grant");
}

/// This takes a minute: the shortest lifetime of a session.
#[test]
fn tokens_are_over_when_their_session_is() {
    let gateway = Gateway::with(&[("SESSION_TTL", "1m")]);
    let mut browser = signed_in(&gateway, "alice");
    let (access, token) = token_pair(&mut browser, &gateway);
    let begun = Instant::now();
    gateway.get_with_token("/api/users/me", &access).expect(200);
    while browser.get(&gateway, "/session").status == 200 {
        assert!(begun.elapsed() < Duration::from_secs(70));
        std::thread::sleep(Duration::from_millis(200));
    }
    gateway.get_with_token("/api/users/me", &access).expect_problem(401, "invalid_token");
    refresh(&gateway, &token).expect_problem(401, "invalid_grant");
}
