//! Tokens through the real binary: from the API to the data plane and to the service behind it.

mod common;

use common::{Gateway, eventually};
use serde_json::json;

#[test]
fn a_created_token_reaches_the_auth_service() {
    let gateway = Gateway::start();
    let users = gateway.get("/api/users").expect(200);
    assert_eq!(users.json(), json!({"message": "Welcome from AUTH service"}));

    gateway.get("/api/users/me").expect_problem(401, "token_missing");
    let (access, _) = gateway.tokens(&json!({"subject": "alice", "scope": "users:read"}));
    let me = gateway.get_with_token("/api/users/me", &access).expect(200).json();
    assert_eq!((&me["subject"], &me["scope"]), (&json!("alice"), &json!(["users:read"])));
}

#[test]
fn everything_responds_at_the_root_and_under_the_prefix() {
    let gateway = Gateway::start();
    for path in ["/", "/e/", "/e", "/docs", "/e/docs", "/openapi.json", "/e/openapi.json", "/livez", "/e/readyz"] {
        gateway.get(path).expect(200);
    }
    let pair = gateway.post("/e/tokens/create", &json!({})).expect(200).json();
    let verified = gateway.post("/tokens/verify", &json!({"token": pair["access_token"]})).expect(200).json();
    assert_eq!(verified["active"], json!(true));
    assert_eq!(gateway.get("/e/").json()["message"], json!("Welcome to the gateway of www.jinmini.com"));
}

#[test]
fn a_revoked_token_is_refused_at_the_very_next_request() {
    let gateway = Gateway::start();
    let (access, refresh) = gateway.tokens(&json!({"subject": "alice"}));
    let next = gateway.post("/tokens/refresh", &json!({"refresh_token": refresh})).expect(200).json();
    let next_access = next["access_token"].as_str().unwrap();
    // The data plane caches both before they are revoked.
    gateway.get_with_token("/api/users/me", &access).expect(200);
    gateway.get_with_token("/api/users/me", next_access).expect(200);

    gateway.post("/tokens/revoke", &json!({"token": access})).expect(200);
    let refused = gateway.get_with_token("/api/users/me", &access).expect_problem(401, "invalid_token");
    assert!(refused.header("www-authenticate").unwrap().contains(r#"error="invalid_token""#));
    gateway.get_with_token("/api/users/me", next_access).expect(200);

    gateway.post("/tokens/revoke", &json!({"token": next["refresh_token"]})).expect(200);
    gateway.get_with_token("/api/users/me", next_access).expect_problem(401, "invalid_token");
}

#[test]
fn a_refresh_token_that_comes_back_costs_the_family() {
    let gateway = Gateway::with(&[("REFRESH_GRACE", "0s")]);
    let (access, refresh) = gateway.tokens(&json!({}));
    let next = gateway.post("/tokens/refresh", &json!({"refresh_token": refresh})).expect(200).json();
    gateway.post("/tokens/refresh", &json!({"refresh_token": refresh})).expect_problem(401, "invalid_grant");
    for token in [access.as_str(), next["access_token"].as_str().unwrap()] {
        gateway.get_with_token("/api/users/me", token).expect_problem(401, "invalid_token");
    }
    gateway
        .post("/tokens/refresh", &json!({"refresh_token": next["refresh_token"]}))
        .expect_problem(401, "invalid_grant");
    gateway.printed("a used refresh token was presented again");
}

#[test]
fn a_dummy_token_is_printed_and_passes_until_it_is_revoked() {
    let gateway = Gateway::start();
    let typed = "안녕하세요 hello 123";
    let response = gateway.post("/tokens/dummy", &json!({"token": typed})).expect(200).json();
    assert_eq!(response["access_token"], json!(typed));
    assert_eq!(gateway.printed(typed), format!("│ {typed}"));
    assert_eq!(gateway.post("/tokens/verify", &json!({"token": typed})).json()["active"], json!(true));
    let me = gateway.get_with_token("/api/users/me", typed).expect(200).json();
    assert_eq!(me["subject"], json!("dummy"));

    gateway.post("/tokens/revoke", &json!({"token": typed})).expect(200);
    gateway.get_with_token("/api/users/me", typed).expect_problem(401, "invalid_token");
    // Typed again it is a new token, also for a core that has cached the revoked one.
    gateway.post("/tokens/dummy", &json!({"token": typed})).expect(200);
    gateway.get_with_token("/api/users/me", typed).expect(200);
}

/// Plain text is a simple request: browsers send it without a preflight for a page of any site.
#[test]
fn no_page_of_another_site_makes_a_dummy_token() {
    let gateway = Gateway::with(&[("ALLOWED_ORIGINS", "https://app.jinmini.com")]);
    let send = |kind: &str, more: &[(&str, &str)]| {
        let (body, content_type) = match kind {
            "text" => ("typed elsewhere".to_owned(), "text/plain"),
            _ => (json!({"token": "typed elsewhere"}).to_string(), "application/json"),
        };
        gateway.call("POST", "/tokens/dummy", &[&[("Content-Type", content_type)], more].concat(), body.as_bytes())
    };
    for kind in ["text", "json"] {
        for foreign in [
            vec![("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example")],
            vec![("Sec-Fetch-Site", "cross-site"), ("Origin", "null")],
            vec![("Sec-Fetch-Site", "same-site")],
            vec![("Sec-Fetch-Site", "none")],
            vec![("Origin", "https://evil.example")],
        ] {
            send(kind, &foreign).expect_problem(403, "cross_site_request");
        }
    }
    let verified = gateway.post("/tokens/verify", &json!({"token": "typed elsewhere"})).expect(200).json();
    assert_eq!(verified["active"], json!(false));
    for ours in [
        vec![("Sec-Fetch-Site", "same-origin")],
        vec![("Sec-Fetch-Site", "cross-site"), ("Origin", "https://app.jinmini.com")],
        vec![],
    ] {
        send("text", &ours).expect(200);
    }
}

#[test]
fn secrets_do_not_reach_the_console() {
    let gateway = Gateway::with(&[("RUST_LOG", "debug")]);
    let (access, refresh) = gateway.tokens(&json!({}));
    gateway.get_with_token("/api/users/me", &access).expect(200);
    gateway.post("/tokens/verify", &json!({"token": access})).expect(200);
    let next = gateway.post("/tokens/refresh", &json!({"refresh_token": refresh})).expect(200).json();
    gateway.call("GET", &format!("/api/users?token={access}"), &[("Cookie", "session=s3cret")], b"").expect(200);
    gateway.post("/tokens/revoke", &json!({"token": next["refresh_token"]})).expect(200);
    gateway.printed("/tokens/revoke");
    let console = gateway.console();
    let signature = access.rsplit('.').next().unwrap();
    for secret in [signature, &refresh, next["refresh_token"].as_str().unwrap(), "s3cret"] {
        assert!(!console.contains(secret), "{secret} in\n{console}");
    }
}

#[test]
fn in_production_creating_tokens_takes_the_scope() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}/gateway.db?mode=rwc", folder.path().display());
    let vault = "dzpPopuI4/KNx+qnj3WNpMLS2v0Vek+qyopYqciI7cE=";
    // The operator creates the first token on a gateway that no other client can reach.
    let setup = Gateway::with(&[("DATABASE_URL", &database), ("VAULT_KEY", vault)]);
    let (operator, _) = setup.tokens(&json!({"subject": "operator", "scope": "tokens:issue"}));
    let (reader, _) = setup.tokens(&json!({"subject": "reader", "scope": "read"}));
    setup.terminate();

    let gateway = Gateway::with(&[
        ("GATEWAY_ENV", "production"),
        ("DATABASE_URL", &database),
        ("VAULT_KEY", vault),
        ("LOG_FORMAT", "text"),
    ]);
    gateway.post("/tokens/create", &json!({})).expect_problem(401, "token_missing");
    let create = |token: &str| {
        let bearer = format!("Bearer {token}");
        gateway.call(
            "POST",
            "/tokens/create",
            &[("Content-Type", "application/json"), ("Authorization", &bearer)],
            b"{}",
        )
    };
    create(&reader).expect_problem(403, "insufficient_scope");
    create(&operator).expect(200);
    gateway.post("/tokens/dummy", &json!({"token": "hello"})).expect_problem(404, "not_found");
    gateway.get_with_token("/api/users/me", "hello").expect_problem(401, "invalid_token");
}

#[test]
fn sigterm_ends_it_well() {
    let gateway = Gateway::start();
    gateway.get("/api/users").expect(200);
    assert_eq!(gateway.terminate(), Some(0));
}

#[test]
fn readiness_is_told_to_operators_too() {
    let gateway = Gateway::start();
    eventually("ready", || common::call(gateway.admin, "GET", "/readyz", &[], b"").status == 200);
    assert_eq!(common::call(gateway.admin, "GET", "/livez", &[], b"").json()["status"], json!("ok"));
    let status = common::call(gateway.admin, "GET", "/status", &[], b"").expect(200).json();
    let well = ["stand-in", "stand-in-apple"].map(|name| json!({"name": name, "ok": true}));
    assert_eq!((&status["providers"], &status["settings"]["ok"]), (&json!(well), &json!(true)), "{status}");
    common::call(gateway.admin, "GET", "/tokens/create", &[], b"").expect(404);
}
