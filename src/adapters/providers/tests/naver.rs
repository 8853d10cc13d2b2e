//! Naver, by plain OAuth 2.0.

use serde_json::json;

use super::*;

async fn naver() -> (Fake, Arc<dyn Provider>) {
    let fake = Fake::start().await;
    let tokens = json!({
        "access_token": "s3cret-aaa", "refresh_token": "s3cret-c8c", "token_type": "bearer", "expires_in": "3600"
    });
    let profile = json!({
        "resultcode": "00", "message": "success",
        "response": {"id": "32742776", "nickname": "mina", "email": "mina@naver.com"}
    });
    fake.on("POST /token", tokens).on("GET /userinfo", profile);
    let provider = plain("NAVER", &fake);
    (fake, provider)
}

#[tokio::test]
async fn the_profile_is_nested_and_the_life_is_text() {
    let (_fake, provider) = naver().await;
    let (tokens, identity) = provider.exchange(&code()).await.unwrap();
    assert_eq!(tokens.expires_at.unwrap().timestamp(), NOW + 3600);
    assert_eq!(tokens.refresh_token, Some(Secret::new("s3cret-c8c")));
    assert_eq!((identity.subject.as_str(), identity.name.as_deref()), ("32742776", Some("mina")));
    assert_eq!(identity.verified_email, None, "a contact address proves nothing");
}

#[tokio::test]
async fn the_token_request_has_a_state_and_the_refresh_has_none() {
    let (fake, provider) = naver().await;
    provider.exchange(&code()).await.unwrap();
    assert_eq!(value(&fake.last("POST /token").form(), "state"), Some("s3cret-state"));
    provider.refresh(&tokens(Some("s3cret-r"))).await.unwrap();
    assert_eq!(value(&fake.last("POST /token").form(), "state"), None);
}

#[tokio::test]
async fn a_refresh_without_a_refresh_token_keeps_the_old_one() {
    let (fake, provider) = naver().await;
    fake.on("POST /token", json!({"access_token": "s3cret-bbb", "token_type": "bearer", "expires_in": "3600"}));
    let old = tokens(Some("s3cret-r"));
    let response = provider.refresh(&old).await.unwrap();
    assert_eq!(response.refresh_token, None);
    assert_eq!(old.refreshed(response).refresh_token, Some(Secret::new("s3cret-r")));
}

#[tokio::test]
async fn every_body_may_be_an_error() {
    let (fake, provider) = naver().await;
    fake.on("POST /token", json!({"error": "invalid_request", "error_description": "s3cret-code"}));
    assert_eq!(provider.exchange(&code()).await, Err(refused("invalid_request")));

    let (fake, provider) = naver().await;
    fake.on("GET /userinfo", (401, json!({"resultcode": "024", "message": "Authentication failed"})));
    assert_eq!(provider.exchange(&code()).await, Err(refused("resultcode:024")));
    fake.on("GET /userinfo", json!({"resultcode": "024", "message": "Authentication failed"}));
    assert_eq!(provider.exchange(&code()).await, Err(refused("resultcode:024")));
    fake.on("GET /userinfo", json!({"response": {"id": "1"}}));
    assert_eq!(bad_response(provider.exchange(&code()).await), "it lacks resultcode");
    fake.on("GET /userinfo", json!({"resultcode": "00", "id": "1"}));
    assert_eq!(bad_response(provider.exchange(&code()).await), "it does not identify the person (id)");

    // With status 200, at every endpoint.
    let error = json!({"error": "invalid_token", "error_description": "s3cret-aaa"});
    fake.on("GET /userinfo", error.clone()).on("POST /revoke", json!({"error": "invalid_request"}));
    assert_eq!(provider.exchange(&code()).await, Err(refused("invalid_token")));
    assert_eq!(provider.revoke(&tokens(Some("s3cret-r"))).await, Err(refused("invalid_request")));
    fake.on("POST /token", error);
    assert_eq!(provider.refresh(&tokens(Some("s3cret-r"))).await, Err(refused("invalid_token")));
}

#[tokio::test]
async fn a_grant_is_taken_back_by_the_standard() {
    let (fake, provider) = naver().await;
    fake.on("POST /revoke", fake::Reply::text(200, ""));
    assert_eq!(provider.revoke(&tokens(Some("s3cret-r"))).await, Ok(()));
    let form = fake.last("POST /revoke").form();
    assert_eq!((value(&form, "token"), value(&form, "client_id")), (Some("s3cret-r"), Some("client:1")));
    assert_eq!(value(&form, "token_type_hint"), Some("refresh_token"), "without it Naver takes it for an access token");
    provider.revoke(&tokens(None)).await.unwrap();
    let form = fake.last("POST /revoke").form();
    assert_eq!((value(&form, "token"), value(&form, "token_type_hint")), (Some("s3cret-access"), Some("access_token")));
}
