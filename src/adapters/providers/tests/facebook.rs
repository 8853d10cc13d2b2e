//! Facebook.

use serde_json::json;

use super::*;

fn proof_of(access_token: &str) -> String {
    crate::adapters::providers::facebook::appsecret_proof(&Secret::new("s3cret/client"), &Secret::new(access_token))
}

async fn facebook() -> (Fake, Arc<dyn Provider>) {
    let fake = Fake::start().await;
    fake.on("POST /token", json!({"access_token": "s3cret-eaa", "token_type": "bearer", "expires_in": 5_183_944}))
        .on("GET /userinfo", json!({"id": "10158", "name": "Mina", "email": "mina@example.com"}));
    let provider = provider("FACEBOOK", &fake);
    (fake, provider)
}

#[tokio::test]
async fn a_person_has_a_name_but_no_proven_address() {
    let (fake, provider) = facebook().await;
    let (tokens, identity) = provider.exchange(&code()).await.unwrap();
    assert_eq!(tokens.expires_at.unwrap().timestamp(), NOW + 5_183_944);
    assert_eq!((identity.subject.as_str(), identity.name.as_deref()), ("10158", Some("Mina")));
    assert_eq!(identity.verified_email, None);

    let asked = fake.last("GET /userinfo");
    assert_eq!(value(&asked.query, "fields"), Some("id,name,email"));
    assert_eq!(value(&asked.query, "appsecret_proof"), Some(proof_of("s3cret-eaa").as_str()));
    assert_eq!(asked.header("authorization"), Some("Bearer s3cret-eaa"));
    assert_eq!(value(&asked.query, "access_token"), None, "no token in a URL");
}

#[tokio::test]
async fn a_token_that_is_good_is_exchanged_for_one_that_lasts() {
    let (fake, provider) = facebook().await;
    assert!(provider.renews_living_tokens());
    let fresh = provider.refresh(&tokens(None)).await.unwrap();
    assert_eq!((fresh.access_token.expose(), fresh.refresh_token), ("s3cret-eaa", None));
    let form = fake.last("POST /token").form();
    assert_eq!(value(&form, "grant_type"), Some("fb_exchange_token"));
    assert_eq!(value(&form, "fb_exchange_token"), Some("s3cret-access"));
    assert_eq!((value(&form, "client_id"), value(&form, "client_secret")), (Some("client:1"), Some("s3cret/client")));
}

#[tokio::test]
async fn errors_are_objects() {
    let (fake, provider) = facebook().await;
    let error = |code: i64| json!({"error": {"message": "s3cret-access", "type": "OAuthException", "code": code}});
    fake.on("POST /token", (400, error(190)));
    assert_eq!(provider.refresh(&tokens(None)).await, Err(invalid_grant("OAuthException:190")));
    for code in [1, 4, 100, 101, 190] {
        fake.on("POST /token", (400, error(code)));
        is_discreet(&provider.refresh(&tokens(None)).await.unwrap_err());
    }
}

#[tokio::test]
async fn permissions_are_deleted_with_a_proof() {
    let (fake, provider) = facebook().await;
    fake.on("DELETE /revoke", json!({"success": true}));
    assert_eq!(provider.revoke(&tokens(None)).await, Ok(()));
    let asked = fake.last("DELETE /revoke");
    assert_eq!(asked.header("authorization"), Some("Bearer s3cret-access"));
    assert_eq!(asked.query, [("appsecret_proof".to_owned(), proof_of("s3cret-access"))]);

    fake.on("DELETE /revoke", json!({"success": false}));
    assert!(matches!(provider.revoke(&tokens(None)).await, Err(ProviderError::BadResponse(_))));
}

#[tokio::test]
async fn accounts_by_phone_number_have_no_address() {
    let (fake, provider) = facebook().await;
    fake.on("GET /userinfo", json!({"id": "10158"}));
    let (_, identity) = provider.exchange(&code()).await.unwrap();
    assert_eq!((identity.subject.as_str(), identity.name, identity.verified_email), ("10158", None, None));
}
