//! Kakao, by plain OAuth 2.0.

use chrono::DateTime;
use serde_json::{Value, json};

use super::*;

async fn kakao(account: Value) -> (Fake, Arc<dyn Provider>) {
    let fake = Fake::start().await;
    let tokens = json!({
        "token_type": "bearer", "access_token": "s3cret-aaa", "expires_in": 43199,
        "refresh_token": "s3cret-rrr", "refresh_token_expires_in": 5_184_000, "scope": "account_email profile_nickname"
    });
    fake.on("POST /token", tokens)
        .on(
            "GET /userinfo",
            json!({"id": 123_456_789_u64, "connected_at": "2026-01-01T00:00:00Z", "kakao_account": account}),
        )
        .on("POST /revoke", json!({"id": 123_456_789_u64}));
    let provider = plain("KAKAO", &fake);
    (fake, provider)
}

#[tokio::test]
async fn the_account_is_nested_and_the_id_a_number() {
    let account = json!({
        "profile": {"nickname": "미나"}, "email": "mina@example.com", "is_email_valid": true, "is_email_verified": true
    });
    let (_fake, provider) = kakao(account).await;
    let (tokens, identity) = provider.exchange(&code()).await.unwrap();
    assert_eq!(tokens.expires_at.unwrap().timestamp(), NOW + 43_199);
    assert_eq!((identity.subject.as_str(), identity.name.as_deref()), ("123456789", Some("미나")));
    assert_eq!(identity.verified_email.as_deref(), Some("mina@example.com"));
}

#[tokio::test]
async fn an_address_needs_both_flags() {
    for account in [
        json!({"email": "mina@example.com", "is_email_valid": true, "is_email_verified": false}),
        json!({"email": "mina@example.com", "is_email_valid": false, "is_email_verified": true}),
        json!({"email": "mina@example.com", "is_email_verified": true}),
        json!({"is_email_valid": true, "is_email_verified": true}),
        json!(null),
    ] {
        let (_fake, provider) = kakao(account).await;
        let (_, identity) = provider.exchange(&code()).await.unwrap();
        assert_eq!((identity.verified_email, identity.name), (None, None));
    }
}

#[tokio::test]
async fn errors_have_words_and_numbers() {
    let (fake, provider) = kakao(json!({})).await;
    fake.on("GET /userinfo", (401, json!({"msg": "this access token does not exist", "code": -401})));
    assert_eq!(provider.exchange(&code()).await, Err(invalid_grant("code:-401")));
    fake.on("GET /userinfo", (400, json!({"msg": "internal", "code": -1})));
    assert!(matches!(provider.exchange(&code()).await, Err(ProviderError::Unavailable(_))));
    fake.on("POST /token", (400, json!({"error": "invalid_grant", "error_code": "KOE320"})));
    assert_eq!(provider.exchange(&code()).await, Err(invalid_grant("KOE320")));
}

#[tokio::test]
async fn a_person_is_unlinked_with_an_access_token_that_lives() {
    let (fake, provider) = kakao(json!({})).await;
    assert_eq!(provider.revoke(&tokens(Some("s3cret-r"))).await, Ok(()));
    assert_eq!(fake.last("POST /revoke").header("authorization"), Some("Bearer s3cret-access"));
    assert_eq!(fake.count("POST /token"), 0);

    let expired = ProviderTokens { expires_at: DateTime::from_timestamp(NOW, 0), ..tokens(Some("s3cret-r")) };
    assert_eq!(provider.revoke(&expired).await, Ok(()));
    assert_eq!(value(&fake.last("POST /token").form(), "refresh_token"), Some("s3cret-r"));
    assert_eq!(fake.last("POST /revoke").header("authorization"), Some("Bearer s3cret-aaa"));
}

#[tokio::test]
async fn the_browser_is_sent_with_scopes_separated_by_commas_and_a_challenge() {
    let (_fake, provider) = kakao(json!({})).await;
    let query = authorize(&*provider).await;
    is_a_code_request(&query);
    assert_eq!(value(&query, "scope"), Some("account_email,profile_nickname"));
    assert_eq!((value(&query, "code_challenge"), value(&query, "nonce")), (CHALLENGE, None));
}

#[tokio::test]
async fn a_new_refresh_token_comes_only_when_the_old_one_is_about_to_end() {
    let (fake, provider) = kakao(json!({})).await;
    let old = tokens(Some("s3cret-r"));
    fake.on("POST /token", json!({"access_token": "s3cret-bbb", "token_type": "bearer", "expires_in": 43199}));
    let response = provider.refresh(&old).await.unwrap();
    let form = fake.last("POST /token").form();
    assert_eq!((value(&form, "grant_type"), value(&form, "refresh_token")), (Some("refresh_token"), Some("s3cret-r")));
    assert_eq!(value(&form, "code_verifier"), None);
    let renewed = old.clone().refreshed(response);
    assert_eq!((renewed.access_token.expose(), renewed.refresh_token), ("s3cret-bbb", Some(Secret::new("s3cret-r"))));

    fake.on("POST /token", json!({"access_token": "s3cret-ccc", "refresh_token": "s3cret-new", "expires_in": 43199}));
    let response = provider.refresh(&old).await.unwrap();
    assert_eq!(old.refreshed(response).refresh_token, Some(Secret::new("s3cret-new")));
}

#[tokio::test]
async fn scopes_are_sent_as_they_are_set_and_kept_as_they_come() {
    let (fake, provider) = kakao(json!({})).await;
    let (tokens, _) = provider.exchange(&code()).await.unwrap();
    assert_eq!(tokens.scope.as_deref(), Some("account_email profile_nickname"));
    let scopes = [("KAKAO_SCOPES", "account_email profile_nickname"), ("KAKAO_OIDC", "off")];
    let provider = provider_with("KAKAO", &fake.url(""), &TestClock::at(NOW), &scopes);
    assert_eq!(value(&authorize(&*provider).await, "scope"), Some("account_email profile_nickname"));
}
