//! The switches for misbehaviour, and the statistics.

use std::time::{Duration, Instant};

use super::*;
use chrono::TimeDelta;

#[tokio::test]
async fn they_are_shown_and_replaced_as_a_whole() {
    let site = Site::new();
    let all = json!({
        "refresh": {"delay_ms": 0, "fail": "none", "takes_consent": false, "rotate": true, "error_in_200": false},
        "id_token": "none", "expires_in_as_text": false, "access_token_ttl_seconds": 60, "token_delay_ms": 0,
    });
    assert_eq!(site.get("/switches").await.json(), all);
    let changed = site.switch(json!({"refresh": {"fail": "server_error"}, "token_delay_ms": 5})).await.json();
    assert_eq!((&changed["refresh"]["fail"], &changed["token_delay_ms"]), (&json!("server_error"), &json!(5)));
    assert_eq!(site.get("/switches").await.json(), changed);
    for bad in [json!({"refresh": {"rotat": true}}), json!({"token_delay_ms": -1}), json!({"refresh": {"fail": "x"}})] {
        site.switch(bad).await.is_refused(400, "invalid_request");
    }
    assert_eq!(site.get("/switches").await.json(), changed);
    assert_eq!(site.switch(json!({})).await.json(), all);
}

#[tokio::test]
async fn a_refresh_fails_as_told_and_leaves_the_token_good() {
    let site = Site::new();
    let tokens = site.tokens().await;
    for (fail, status) in [("invalid_grant", 400), ("server_error", 500)] {
        site.switch(json!({"refresh": {"fail": fail}})).await;
        site.refresh(&tokens["refresh_token"]).await.is_refused(status, fail);
        site.switch(json!({"refresh": {"fail": fail, "error_in_200": true}})).await;
        site.refresh(&tokens["refresh_token"]).await.is_refused(200, fail);
    }
    site.switch(json!({"refresh": {"error_in_200": true}})).await;
    site.refresh(&json!("unknown")).await.is_refused(200, "invalid_grant");
    let response = site.refresh(&tokens["refresh_token"]).await;
    assert!(response.status == 200 && response.json().get("error").is_none(), "{}", response.body);
    // Exchanges are not affected.
    site.post("/token", &exchange_of("unknown", &[])).await.is_refused(400, "invalid_grant");
}

#[tokio::test]
async fn without_rotation_the_old_refresh_token_stays() {
    let site = Site::new();
    site.switch(json!({"refresh": {"rotate": false}})).await;
    let tokens = site.tokens().await;
    for _ in 0..2 {
        let response = site.refresh(&tokens["refresh_token"]).await;
        assert_eq!((response.status, response.json().get("refresh_token")), (200, None));
    }
}

#[tokio::test]
async fn a_refresh_token_takes_consent_if_told_so() {
    let site = Site::new();
    site.switch(json!({"refresh": {"takes_consent": true}})).await;
    for (prompt, comes) in [("", false), ("login", false), ("consent", true), ("login consent", true)] {
        let code = site.code(&[("prompt", prompt)]).await;
        let tokens = site.post("/token", &exchange_of(&code, &[])).await.json();
        assert_eq!(
            (tokens.get("refresh_token").is_some(), tokens["access_token"].is_string()),
            (comes, true),
            "{prompt}"
        );
    }
}

#[tokio::test]
async fn tokens_live_as_long_as_told_and_say_so_in_text() {
    let site = Site::new();
    site.switch(json!({"access_token_ttl_seconds": 5, "expires_in_as_text": true})).await;
    let tokens = site.tokens().await;
    assert_eq!(tokens["expires_in"], json!("5"));
    site.clock.pass(TimeDelta::seconds(4));
    assert_eq!(site.userinfo(&tokens["access_token"]).await.status, 200);
    site.clock.pass(TimeDelta::seconds(1));
    assert_eq!(site.userinfo(&tokens["access_token"]).await.status, 401);
    assert_eq!(site.refresh(&tokens["refresh_token"]).await.json()["expires_in"], json!("5"));
}

#[tokio::test]
async fn responses_wait_as_long_as_told() {
    let site = Site::new();
    let code = site.code(&[]).await;
    site.switch(json!({"token_delay_ms": 20, "refresh": {"delay_ms": 40}})).await;
    let start = Instant::now();
    let tokens = site.post("/token", &exchange_of(&code, &[])).await.json();
    assert!(start.elapsed() >= Duration::from_millis(20));
    let start = Instant::now();
    site.refresh(&tokens["refresh_token"]).await;
    assert!(start.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn requests_are_counted_when_they_arrive() {
    let site = Site::new();
    let count = async || site.get("/statistics").await.json();
    let none = json!({
        "exchanges": 0, "exchanges_refused": 0, "refreshes": 0, "refreshes_refused": 0, "revocations": 0,
    });
    assert_eq!(count().await, none);
    let tokens = site.tokens().await;
    site.post("/token", &exchange_of("unknown", &[])).await;
    let next = site.refresh(&tokens["refresh_token"]).await.json();
    site.refresh(&json!("unknown")).await;
    site.revoke("unknown").await;
    let some = json!({
        "exchanges": 2, "exchanges_refused": 1, "refreshes": 2, "refreshes_refused": 1, "revocations": 1,
    });
    assert_eq!(count().await, some);

    site.switch(json!({"refresh": {"delay_ms": 3_600_000}})).await;
    let slow = site.refresh(&next["refresh_token"]);
    assert!(tokio::time::timeout(Duration::from_millis(10), slow).await.is_err());
    assert_eq!(count().await["refreshes"], json!(3));
}
