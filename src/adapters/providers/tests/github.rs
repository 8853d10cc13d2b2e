//! GitHub.

use serde_json::json;

use super::*;

async fn signed_in(emails: impl Into<fake::Reply>) -> (Fake, Arc<dyn Provider>) {
    let fake = Fake::start().await;
    fake.on(
        "POST /token",
        json!({"access_token": "s3cret-gho", "scope": "read:user,user:email", "token_type": "bearer"}),
    )
    .on("GET /userinfo", json!({"login": "mina", "id": 583_231, "name": null, "email": "profile@example.com"}))
    .on("GET /emails", emails);
    let provider = provider("GITHUB", &fake);
    (fake, provider)
}

#[tokio::test]
async fn a_code_becomes_a_token_that_never_expires_and_a_person() {
    let (fake, provider) = signed_in(json!([
        {"email": "old@example.com", "primary": false, "verified": true},
        {"email": "mina@example.com", "primary": true, "verified": true},
    ]))
    .await;
    let (tokens, identity) = provider.exchange(&code()).await.unwrap();
    assert_eq!((tokens.access_token.expose(), tokens.token_type.as_str()), ("s3cret-gho", "Bearer"));
    assert_eq!((tokens.expires_at, tokens.refresh_token), (None, None));
    assert_eq!(tokens.scope.as_deref(), Some("read:user,user:email"));
    assert_eq!((identity.provider.as_str(), identity.subject.as_str()), ("github", "583231"));
    assert_eq!(identity.verified_email.as_deref(), Some("mina@example.com"));
    assert_eq!(identity.name.as_deref(), Some("mina"));

    let asked = fake.last("POST /token");
    assert_eq!(asked.header("accept"), Some("application/json"));
    assert!(asked.header("user-agent").unwrap().starts_with("gateway/"));
    let form = asked.form();
    for (name, expected) in [
        ("grant_type", "authorization_code"),
        ("code", "s3cret-code"),
        ("redirect_uri", CALLBACK),
        ("code_verifier", "s3cret-verifier"),
        ("client_id", "client:1"),
        ("client_secret", "s3cret/client"),
    ] {
        assert_eq!(value(&form, name), Some(expected), "{name}");
    }
    assert_eq!(fake.last("GET /userinfo").header("authorization"), Some("Bearer s3cret-gho"));
}

#[tokio::test]
async fn errors_with_status_200_are_errors() {
    let (fake, provider) = signed_in(json!([])).await;
    fake.on("POST /token", json!({"error": "bad_verification_code", "error_description": "d", "error_uri": "u"}));
    assert_eq!(provider.exchange(&code()).await, Err(invalid_grant("bad_verification_code")));
}

#[tokio::test]
async fn only_the_primary_address_counts_and_only_if_it_is_verified() {
    for emails in [
        (200, json!([{"email": "a@example.com", "primary": true, "verified": false}])),
        (200, json!([{"email": "a@example.com", "primary": false, "verified": true}])),
        (200, json!({"message": "no list"})),
        (403, json!({"message": "Resource not accessible by integration"})),
        (404, json!({"message": "Not Found"})),
        (500, json!({})),
    ] {
        let (_fake, provider) = signed_in(emails).await;
        let (_, identity) = provider.exchange(&code()).await.unwrap();
        assert_eq!((identity.subject.as_str(), identity.verified_email), ("583231", None));
    }
}

#[tokio::test]
async fn only_a_refresh_token_can_be_refreshed_and_the_new_pair_replaces_the_old() {
    let (fake, provider) = signed_in(json!([])).await;
    assert_eq!(provider.refresh(&tokens(None)).await, Err(ProviderError::Unsupported));
    assert!(fake.seen().is_empty());

    fake.on("POST /token", json!({"access_token": "s3cret-2", "expires_in": 28800, "refresh_token": "s3cret-r2"}));
    let fresh = provider.refresh(&tokens(Some("s3cret-r1"))).await.unwrap();
    assert_eq!(fresh.refresh_token, Some(Secret::new("s3cret-r2")));
    assert_eq!(fresh.expires_at.unwrap().timestamp(), NOW + 28_800);
    let form = fake.last("POST /token").form();
    assert_eq!((value(&form, "grant_type"), value(&form, "refresh_token")), (Some("refresh_token"), Some("s3cret-r1")));
    assert_eq!((value(&form, "code_verifier"), value(&form, "redirect_uri")), (None, None));
}

#[tokio::test]
async fn the_token_is_deleted_with_our_own_name_and_password() {
    let (fake, provider) = signed_in(json!([])).await;
    fake.on("DELETE /revoke", fake::Reply::text(204, ""));
    assert_eq!(provider.revoke(&tokens(None)).await, Ok(()));
    let asked = fake.last("DELETE /revoke");
    // client%3A1:s3cret%2Fclient
    assert_eq!(asked.header("authorization"), Some("Basic Y2xpZW50JTNBMTpzM2NyZXQlMkZjbGllbnQ="));
    assert_eq!(asked.body, r#"{"access_token":"s3cret-access"}"#);

    fake.on("DELETE /revoke", (418, json!({"message": "I'm a teapot"})));
    assert_eq!(bad_response(provider.revoke(&tokens(None)).await), "its status is 418");
}

#[tokio::test]
async fn the_browser_is_sent_with_a_challenge() {
    let (_fake, provider) = signed_in(json!([])).await;
    let query = authorize(&*provider).await;
    is_a_code_request(&query);
    assert_eq!(value(&query, "scope"), Some("read:user user:email"));
    assert_eq!((value(&query, "code_challenge"), value(&query, "code_challenge_method")), (CHALLENGE, Some("S256")));
    assert_eq!(value(&query, "nonce"), None);
    assert_eq!(provider.display_name(), "GitHub");
}

#[tokio::test]
async fn profile_texts_are_cleaned() {
    let name = format!("Mi\u{0}na\r\n{}", "é".repeat(1000));
    for hostile in [json!("mina\u{0}@example.com"), json!(format!("{}@example.com", "m".repeat(300)))] {
        let (fake, provider) = signed_in(json!([{"email": hostile, "primary": true, "verified": true}])).await;
        fake.on("GET /userinfo", json!({"id": 583_231, "login": "mina", "name": name}));
        let (_, identity) = provider.exchange(&code()).await.unwrap();
        assert_eq!(identity.verified_email, None);
        assert_eq!(identity.name, Some(format!("Mina{}", "é".repeat(196))));
    }
    let (fake, provider) = signed_in(json!([])).await;
    for id in [json!("5\u{0}"), json!("5\n"), json!("5".repeat(256)), json!(""), json!(null), json!({})] {
        fake.on("GET /userinfo", json!({"id": id, "login": "mina"}));
        assert_eq!(bad_response(provider.exchange(&code()).await), "it does not identify the person (id)");
    }
    for id in ["9007199254740993", "12345678901234567890123", "1.5"] {
        let response = fake::Reply::text(200, format!(r#"{{"id": {id}, "login": "mina"}}"#));
        fake.on("GET /userinfo", response.header("content-type", "application/json"));
        assert_eq!(
            bad_response(provider.exchange(&code()).await),
            "it identifies the person by an inexact number (id)"
        );
    }
}
