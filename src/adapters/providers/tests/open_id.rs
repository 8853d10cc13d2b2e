//! Naver and Kakao with OpenID Connect: the checks of their id tokens, and that no person is mistaken for another.

pub(super) mod discovery;
pub(super) mod id_tokens;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::open_id::id_tokens::{Signer, claims};
use super::*;
use crate::domain::gateway::models::signing_key::SigningAlgorithm;

/// A person's data at a provider.
struct Site {
    prefix: &'static str,
    issuer: &'static str,
    /// The subject in the id token.
    sub: &'static str,
    userinfo: Value,
    /// The gateway's subject for the person without id tokens.
    subject: &'static str,
}

/// Claims: developers.naver.com/docs/login/devguide §3.5 documents none; these are seen in practice (iss, aud, azp,
/// sub, nonce, jti, iat, exp). Profile: developers.naver.com/docs/login/profile.
fn naver() -> Site {
    Site {
        prefix: "NAVER",
        issuer: "https://nid.naver.com",
        sub: "of-the-id-token",
        userinfo: json!({"resultcode": "00", "message": "success", "response": {"id": "32742776", "name": "Mina"}}),
        subject: "32742776",
    }
}

/// Claims: developers.kakao.com/docs/latest/ko/kakaologin/utilize#oidc-id-token. `sub` is the number of the account.
fn kakao() -> Site {
    Site {
        prefix: "KAKAO",
        issuer: "https://kauth.kakao.com",
        sub: "123456789",
        userinfo: json!({
            "id": 123_456_789,
            "kakao_account": {
                "profile": {"nickname": "Mina"},
                "email": "mina@example.com", "is_email_valid": true, "is_email_verified": true
            }
        }),
        subject: "123456789",
    }
}

impl Site {
    fn claims(&self) -> Value {
        let mut claims = claims(self.issuer);
        let object = claims.as_object_mut().unwrap();
        for other in ["at_hash", "name", "email", "email_verified"] {
            object.remove(other);
        }
        object.insert("sub".to_owned(), json!(self.sub));
        claims
    }

    async fn with(&self, id_token: Option<&str>, signer: &Signer) -> Fake {
        let fake = Fake::start().await;
        let mut tokens = json!({"access_token": "s3cret-aaa", "token_type": "bearer", "expires_in": 3600});
        if let Some(id_token) = id_token {
            tokens["id_token"] = json!(id_token);
        }
        fake.on("POST /token", tokens).on("GET /jwks", signer.jwks()).on("GET /userinfo", self.userinfo.clone());
        fake
    }

    async fn outcome(&self, id_token: Option<&str>, signer: &Signer) -> Result<String, ProviderError> {
        let outcome = provider(self.prefix, &self.with(id_token, signer).await).exchange(&code()).await;
        outcome.inspect_err(is_discreet).map(|(_, identity)| identity.subject)
    }
}

#[tokio::test]
async fn the_plain_flow_and_open_id_connect_identify_the_same_person() {
    let signer = Signer::new(SigningAlgorithm::Rs256);
    for site in [naver(), kakao()] {
        let fake = site.with(Some(&signer.sign(&site.claims())), &signer).await;
        let (_, yesterday) = plain(site.prefix, &fake).exchange(&code()).await.unwrap();
        let (_, today) = provider(site.prefix, &fake).exchange(&code()).await.unwrap();
        assert_eq!((today.subject.as_str(), &today), (site.subject, &yesterday), "{}", site.prefix);
        assert_eq!(fake.count("GET /jwks"), 1, "{}: the plain flow has no keys", site.prefix);
        assert_eq!(fake.count("GET /.well-known/openid-configuration"), 0);
    }
}

#[tokio::test]
async fn the_browser_is_sent_with_a_nonce_and_a_challenge_and_asks_for_an_id_token() {
    for (prefix, scope, plain_scope, plain_challenge) in [
        ("NAVER", "openid", None, None),
        ("KAKAO", "openid,account_email,profile_nickname", Some("account_email,profile_nickname"), CHALLENGE),
    ] {
        let fake = Fake::start().await;
        let open_id = provider(prefix, &fake);
        assert!(open_id.uses_nonce() && open_id.uses_pkce());
        let query = authorize(&*open_id).await;
        is_a_code_request(&query);
        assert_eq!((value(&query, "nonce"), value(&query, "code_challenge")), (Some("s3cret-nonce"), CHALLENGE));
        assert_eq!(value(&query, "scope"), Some(scope), "{prefix}");

        let plain = plain(prefix, &fake);
        assert!(!plain.uses_nonce());
        let query = authorize(&*plain).await;
        assert_eq!((value(&query, "nonce"), value(&query, "code_challenge")), (None, plain_challenge), "{prefix}");
        assert_eq!(value(&query, "scope"), plain_scope, "{prefix}");
    }
}

#[tokio::test]
async fn every_id_token_that_is_wrong_is_refused() {
    let (signer, other) = (Signer::new(SigningAlgorithm::Rs256), Signer::new(SigningAlgorithm::Rs256));
    for site in [naver(), kakao()] {
        let with = |claim: &str, value: Value| {
            let mut claims = site.claims();
            claims[claim] = value;
            signer.sign(&claims)
        };
        let hmac = Header { kid: signer.jwk["kid"].as_str().map(str::to_owned), ..Header::new(Algorithm::HS256) };
        let hmac = |secret: &str| {
            jsonwebtoken::encode(&hmac, &site.claims(), &EncodingKey::from_secret(secret.as_bytes())).unwrap()
        };
        let good = signer.sign(&site.claims());
        let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", good.split('.').nth(1).unwrap());
        for (token, flaw) in [
            (with("iss", json!("https://evil.example")), "has another iss"),
            (with("iss", json!(format!("{}/", site.issuer))), "has another iss"),
            (with("aud", json!("client:2")), "has another aud"),
            (with("azp", json!("client:2")), "has another azp"),
            (with("exp", json!(NOW - 5)), "has expired"),
            (with("iat", json!(NOW + 61)), "is from the future"),
            (unsigned, "is not signed with the algorithm of its key"),
            (hmac(signer.jwk["n"].as_str().unwrap()), "is not signed with the algorithm of its key"),
            (hmac("s3cret/client"), "is not signed with the algorithm of its key"),
            (other.sign(&site.claims()), "is signed with a key that the provider does not publish"),
        ] {
            let outcome = site.outcome(Some(&token), &signer).await;
            assert_eq!(bad_response(outcome), format!("the id token {flaw}"), "{}", site.prefix);
        }
        for nonce in [json!("another"), json!(null)] {
            let outcome = site.outcome(Some(&with("nonce", nonce)), &signer).await;
            assert_eq!(outcome, Err(ProviderError::NonceMismatch), "{}", site.prefix);
        }
        assert!(site.outcome(Some(&with("sub", json!(null))), &signer).await.is_err(), "{}", site.prefix);
        assert_eq!(site.outcome(Some(&good), &signer).await.as_deref(), Ok(site.subject), "{}", site.prefix);
    }
}

#[tokio::test]
async fn kakao_must_tell_of_the_person_of_the_id_token() {
    let (site, signer) = (kakao(), Signer::new(SigningAlgorithm::Rs256));
    let mut claims = site.claims();
    claims["sub"] = json!("123456780");
    let outcome = site.outcome(Some(&signer.sign(&claims)), &signer).await;
    assert_eq!(bad_response(outcome), "its userinfo belongs to another person");
}

/// Kakao issues none while a switch of the app is off:
/// developers.kakao.com/docs/latest/ko/kakaologin/prerequisite#kakao-login-oidc.
#[tokio::test]
async fn without_an_id_token_the_operator_is_told_which_switch_it_takes() {
    let signer = Signer::new(SigningAlgorithm::Rs256);
    for (site, parts) in [
        (kakao(), &["https://developers.kakao.com/console/app", "OpenID Connect 활성화 > ON", "KAKAO_OIDC=off"][..]),
        (naver(), &["openid", "NAVER_OIDC=off"]),
    ] {
        let missing = site.outcome(None, &signer).await.unwrap_err();
        assert!(matches!(missing, ProviderError::NoIdToken { .. }), "{missing}");
        assert!(parts.iter().all(|part| missing.to_string().contains(part)), "{missing}");
    }
}

#[tokio::test]
async fn a_response_that_names_another_issuer_is_not_theirs() {
    for site in [naver(), kakao()] {
        let provider = provider(site.prefix, &Fake::start().await);
        assert_eq!(provider.check_issuer(None).await, Ok(()));
        assert_eq!(provider.check_issuer(Some(site.issuer)).await, Ok(()));
        let foreign = bad_response(provider.check_issuer(Some("https://evil.example")).await);
        assert_eq!(foreign, "the authorization response has another issuer");
    }
}
