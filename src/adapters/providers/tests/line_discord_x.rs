//! LINE, Discord and X: identities, client authentication, and revocation.

use serde_json::{Value, json};

use super::*;
use super::{
    fake::Reply,
    open_id::id_tokens::{Signer, claims, signed_with_secret},
};
use crate::domain::gateway::models::signing_key::SigningAlgorithm;

const LINE_USER: &str = "U1234567890abcdef1234567890abcdef";
const DISCORD_USER: &str = "80351110224678912";

/// Claims as LINE documents them (developers.line.biz/en/docs/line-login/verify-id-token/#payload).
fn line_claims() -> Value {
    json!({
        "iss": "https://access.line.me", "sub": LINE_USER, "aud": "client:1", "exp": NOW + 3600, "iat": NOW,
        "nonce": "s3cret-nonce", "amr": ["pwd"], "name": "Mina", "email": "mina@example.com"
    })
}

async fn line(id_token: &str) -> (Fake, Arc<dyn Provider>) {
    let fake = Fake::start().await;
    fake.on("POST /token", json!({"access_token": "s3cret-aaa", "expires_in": 2_592_000, "id_token": id_token}))
        .on("GET /userinfo", json!({"sub": LINE_USER, "name": "Mina"}));
    let provider = provider("LINE", &fake);
    (fake, provider)
}

#[tokio::test]
async fn line_signs_with_the_channel_secret_and_vouches_for_no_email() {
    let (fake, provider) = line(&signed_with_secret(&line_claims())).await;
    let (_, identity) = provider.exchange(&code()).await.unwrap();
    assert_eq!((identity.subject.as_str(), identity.name.as_deref()), (LINE_USER, Some("Mina")));
    assert_eq!((identity.verified_email, fake.count("GET /jwks")), (None, 0));
    let form = fake.last("POST /token").form();
    assert_eq!(
        (value(&form, "client_secret"), value(&form, "code_verifier")),
        (Some("s3cret/client"), Some("s3cret-verifier"))
    );
}

#[tokio::test]
async fn a_published_key_another_nonce_and_another_person_are_not_lines() {
    let mut other = line_claims();
    other["nonce"] = json!("s3cret-other");
    let (_fake, provider) = line(&signed_with_secret(&other)).await;
    assert_eq!(provider.exchange(&code()).await.unwrap_err(), ProviderError::NonceMismatch);

    let (_fake, provider) = line(&Signer::new(SigningAlgorithm::Es256).sign(&line_claims())).await;
    assert_eq!(
        bad_response(provider.exchange(&code()).await),
        "the id token is not signed with the algorithm of its key"
    );

    let mut other = line_claims();
    other["sub"] = json!("U2");
    let (_fake, provider) = line(&signed_with_secret(&other)).await;
    assert_eq!(bad_response(provider.exchange(&code()).await), "its userinfo belongs to another person");
}

#[tokio::test]
async fn line_is_told_the_access_token_by_a_name_of_its_own() {
    let (fake, provider) = line("").await;
    fake.on("POST /revoke", Reply::text(200, ""));
    assert_eq!(provider.revoke(&tokens(Some("s3cret-r"))).await, Ok(()));
    let form = fake.last("POST /revoke").form();
    assert_eq!((value(&form, "access_token"), value(&form, "token")), (Some("s3cret-access"), None));
    assert_eq!(value(&form, "client_id"), Some("client:1"));
}

async fn discord(user: Value, more: &[(&str, &str)]) -> (Fake, Arc<dyn Provider>) {
    let (fake, signer) = (Fake::start().await, Signer::new(SigningAlgorithm::Rs256));
    let mut claims = claims("https://discord.com");
    claims["sub"] = json!(DISCORD_USER);
    claims.as_object_mut().unwrap().remove("at_hash");
    let tokens = json!({"access_token": "s3cret-aaa", "expires_in": 604_800, "id_token": signer.sign(&claims)});
    fake.on("POST /token", tokens).on("GET /jwks", signer.jwks()).on("GET /userinfo", user);
    let provider = provider_with("DISCORD", &fake.url(""), &TestClock::at(NOW), more);
    (fake, provider)
}

#[tokio::test]
async fn discord_is_the_same_person_with_and_without_an_id_token_and_knows_us_by_basic() {
    let user = json!({
        "id": DISCORD_USER, "username": "mina", "global_name": "Mina", "email": "mina@example.com", "verified": true
    });
    let (fake, provider) = discord(user.clone(), &[]).await;
    let (_, identity) = provider.exchange(&code()).await.unwrap();
    assert_eq!((identity.subject.as_str(), identity.name.as_deref()), (DISCORD_USER, Some("Mina")));
    assert_eq!(identity.verified_email.as_deref(), Some("mina@example.com"));
    let asked = fake.last("POST /token");
    assert_eq!(asked.header("authorization"), Some("Basic Y2xpZW50JTNBMTpzM2NyZXQlMkZjbGllbnQ="));
    assert_eq!(value(&asked.form(), "client_secret"), None);

    let (_fake, plain) = discord(user, &[("DISCORD_OIDC", "off")]).await;
    assert_eq!(plain.exchange(&code()).await.unwrap().1, identity);
}

#[tokio::test]
async fn discord_vouches_for_verified_addresses_alone_and_names_people_somehow() {
    let user = json!({
        "id": DISCORD_USER, "username": "mina", "global_name": null, "email": "mina@example.com", "verified": false
    });
    let (_fake, provider) = discord(user, &[]).await;
    let (_, identity) = provider.exchange(&code()).await.unwrap();
    assert_eq!((identity.verified_email, identity.name.as_deref()), (None, Some("mina")));
    // A number would have been rounded on the way.
    let (_fake, provider) = discord(json!({"id": 80_351_110_224_678_912_u64}), &[]).await;
    assert_eq!(
        bad_response(provider.exchange(&code()).await),
        "it identifies the person by a number instead of text (id)"
    );
}

async fn x(user: Value, more: &[(&str, &str)]) -> (Fake, Arc<dyn Provider>) {
    let fake = Fake::start().await;
    fake.on("POST /token", json!({"access_token": "s3cret-aaa", "expires_in": 7200, "refresh_token": "s3cret-r"}))
        .on("GET /userinfo", user);
    let provider = provider_with("X", &fake.url(""), &TestClock::at(NOW), more);
    (fake, provider)
}

#[tokio::test]
async fn x_tells_the_email_only_if_it_may() {
    let user = json!({"data": {"id": "2244994945", "name": "Mina", "username": "mina", "confirmed_email": "mina@example.com"}});
    let (fake, provider) = x(user.clone(), &[("X_SCOPES", "users.read tweet.read users.email")]).await;
    let (_, identity) = provider.exchange(&code()).await.unwrap();
    assert_eq!((identity.subject.as_str(), identity.name.as_deref()), ("2244994945", Some("Mina")));
    assert_eq!(identity.verified_email.as_deref(), Some("mina@example.com"));
    assert_eq!(fake.last("GET /userinfo").query, [("user.fields".to_owned(), "confirmed_email".to_owned())]);

    let (fake, provider) = x(json!({"data": {"id": "2244994945", "username": "mina"}}), &[]).await;
    let (_, identity) = provider.exchange(&code()).await.unwrap();
    assert_eq!((identity.verified_email, identity.name.as_deref()), (None, Some("mina")));
    assert_eq!(fake.last("GET /userinfo").query, []);
}

#[tokio::test]
async fn x_knows_us_by_basic_wherever_it_asks() {
    let (fake, provider) = x(json!({"data": {"id": "1"}}), &[]).await;
    fake.on("POST /revoke", json!({"revoked": true}));
    provider.exchange(&code()).await.unwrap();
    provider.refresh(&tokens(Some("s3cret-r"))).await.unwrap();
    assert_eq!(provider.revoke(&tokens(Some("s3cret-r"))).await, Ok(()));
    for (what, count) in [("POST /token", 2), ("POST /revoke", 1)] {
        let all: Vec<_> = fake.seen().into_iter().filter(|seen| seen.what == what).collect();
        assert_eq!(all.len(), count);
        for asked in all {
            assert!(asked.header("authorization").is_some_and(|it| it.starts_with("Basic ")), "{what}");
            assert_eq!(value(&asked.form(), "client_secret"), None, "{what}");
        }
    }
    let (_fake, provider) = x(json!({"errors": [{"title": "Not Found Error"}]}), &[]).await;
    assert_eq!(bad_response(provider.exchange(&code()).await), "it does not identify the person (id)");
}
