//! Google.

use serde_json::json;

use super::open_id::id_tokens::{Signer, claims};
use super::*;
use crate::domain::gateway::models::signing_key::SigningAlgorithm;

#[tokio::test]
async fn the_id_token_alone_identifies_the_person() {
    let signer = Signer::new(SigningAlgorithm::Rs256);
    let fake = Fake::start().await;
    let mut all = claims("accounts.google.com");
    all.as_object_mut().unwrap().remove("at_hash");
    fake.on("GET /jwks", signer.jwks()).on(
        "POST /token",
        json!({
            "access_token": "s3cret-ya29", "expires_in": 3599, "refresh_token": "s3cret-1r", "token_type": "Bearer",
            "scope": "openid email profile", "id_token": signer.sign(&all)
        }),
    );
    let google = provider("GOOGLE", &fake);
    let (tokens, identity) = google.exchange(&code()).await.unwrap();
    assert_eq!(tokens.refresh_token, Some(Secret::new("s3cret-1r")));
    assert_eq!((identity.subject.as_str(), identity.name.as_deref()), ("u-1", Some("Mina")));
    assert_eq!(identity.verified_email.as_deref(), Some("mina@example.com"));
    assert_eq!(fake.seen().len(), 2);

    all["email_verified"] = json!(false);
    fake.on("POST /token", json!({"access_token": "a", "id_token": signer.sign(&all)}));
    assert_eq!(google.exchange(&code()).await.unwrap().1.verified_email, None);

    fake.on("POST /token", json!({"access_token": "a"}));
    assert!(matches!(google.exchange(&code()).await, Err(ProviderError::NoIdToken { .. })));
}

#[tokio::test]
async fn the_refresh_token_stays_and_an_unchecked_id_token_is_dropped() {
    let fake = Fake::start().await;
    fake.on("POST /token", json!({"access_token": "s3cret-2", "expires_in": 3599, "id_token": "a.b.c"}));
    let google = provider("GOOGLE", &fake);
    let old = tokens(Some("s3cret-1r"));
    let response = google.refresh(&old).await.unwrap();
    assert_eq!(response.id_token, None);
    assert_eq!(old.refreshed(response).refresh_token, Some(Secret::new("s3cret-1r")));
    assert_eq!(google.refresh(&tokens(None)).await, Err(ProviderError::Unsupported));

    fake.on("POST /token", (400, json!({"error": "invalid_grant", "error_description": "Token has been revoked."})));
    assert_eq!(google.refresh(&tokens(Some("s3cret-1r"))).await, Err(invalid_grant("invalid_grant")));
}

#[tokio::test]
async fn a_token_that_is_gone_is_as_good_as_revoked() {
    let fake = Fake::start().await;
    fake.on("POST /revoke", json!({}));
    let google = provider("GOOGLE", &fake);
    assert_eq!(google.revoke(&tokens(Some("s3cret-1r"))).await, Ok(()));
    assert_eq!(fake.last("POST /revoke").form(), [("token".to_owned(), "s3cret-1r".to_owned())]);
    fake.on("POST /revoke", (400, json!({"error": "invalid_token"})));
    assert_eq!(google.revoke(&tokens(None)).await, Ok(()));
    fake.on("POST /revoke", (503, json!({})));
    assert!(matches!(google.revoke(&tokens(None)).await, Err(ProviderError::Unavailable(_))));
}

#[tokio::test]
async fn with_a_hosted_domain_the_claim_counts_and_not_the_hint() {
    let (fake, signer) = (Fake::start().await, Signer::new(SigningAlgorithm::Es256));
    fake.on("GET /jwks", signer.jwks());
    let open = provider("GOOGLE", &fake);
    let domain = [("GOOGLE_HOSTED_DOMAIN", "Jinmini.com")];
    let closed = provider_with("GOOGLE", &fake.url(""), &TestClock::at(NOW), &domain);
    assert_eq!(value(&authorize(&*closed).await, "hd"), Some("jinmini.com"));
    assert_eq!(value(&authorize(&*open).await, "hd"), None);

    for (hd, may) in [
        (json!("jinmini.com"), true),
        (json!("evil.com"), false),
        (json!("www.jinmini.com"), false),
        (json!("jinmini.com.evil.com"), false),
        (json!(""), false),
        (json!(["jinmini.com"]), false),
        (json!(null), false),
    ] {
        let mut claims = claims("https://accounts.google.com");
        claims["hd"] = hd.clone();
        // The address proves nothing: a Google account can have any.
        claims["email"] = json!("mina@jinmini.com");
        fake.on("POST /token", json!({"access_token": "s3cret-access", "id_token": signer.sign(&claims)}));
        let outcome = closed.exchange(&code()).await;
        if may {
            assert_eq!(outcome.unwrap().1.subject, "u-1");
        } else {
            assert_eq!(outcome, Err(ProviderError::NotAdmitted(AdmissionRule::HostedDomain)), "{hd}");
        }
        assert!(open.exchange(&code()).await.is_ok(), "{hd}");
    }
}

#[tokio::test]
async fn a_response_that_names_its_issuer_names_google_in_either_form() {
    let google = provider("GOOGLE", &Fake::start().await);
    for iss in [None, Some("https://accounts.google.com"), Some("accounts.google.com")] {
        assert_eq!(google.check_issuer(iss).await, Ok(()));
    }
    for iss in ["", "https://accounts.google.com/", "HTTPS://accounts.google.com", "https://evil.example"] {
        let outcome = google.check_issuer(Some(iss)).await;
        assert_eq!(bad_response(outcome), "the authorization response has another issuer", "{iss}");
    }
}
