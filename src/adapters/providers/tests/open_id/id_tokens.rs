//! Each check of an id token, with a token that is valid except for this.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};

use super::*;
use crate::{
    adapters::{jwt::AwsLcKeyGenerator, providers::protocol::id_token::at_hash},
    domain::gateway::{models::signing_key::SigningAlgorithm, services::ports::KeyGenerator},
};

/// Signs like a provider.
pub(in crate::adapters::providers::tests) struct Signer {
    kid: String,
    algorithm: Algorithm,
    key: EncodingKey,
    pub(in crate::adapters::providers::tests) jwk: Value,
}

impl Signer {
    pub(in crate::adapters::providers::tests) fn new(algorithm: SigningAlgorithm) -> Self {
        let pair = AwsLcKeyGenerator.generate(algorithm).unwrap();
        let (algorithm, key) = match algorithm {
            SigningAlgorithm::Es256 => (Algorithm::ES256, EncodingKey::from_ec_der(&pair.private_key.0)),
            SigningAlgorithm::EdDsa => (Algorithm::EdDSA, EncodingKey::from_ed_der(&pair.private_key.0)),
            _ => (Algorithm::RS256, EncodingKey::from_rsa_der(&pair.private_key.0)),
        };
        Self { kid: pair.kid, algorithm, key, jwk: pair.public_jwk.unwrap() }
    }

    /// A key on the other curve of NIST.
    fn on_p384() -> Self {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let key = EncodingKey::from_ec_der(document.as_ref());
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&key, Algorithm::ES384).unwrap()).unwrap();
        jwk["kid"] = json!("p-384");
        Self { kid: "p-384".to_owned(), algorithm: Algorithm::ES384, key, jwk }
    }

    /// The key with another `alg` member.
    fn by(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self.jwk["alg"] = json!(algorithm);
        self
    }

    /// The key set.
    pub(in crate::adapters::providers::tests) fn jwks(&self) -> Value {
        json!({"keys": [{"kty": "AKP", "kid": "of tomorrow"}, self.jwk]})
    }

    fn header(&self) -> Header {
        Header { kid: Some(self.kid.clone()), ..Header::new(self.algorithm) }
    }

    /// A token with another type, or with none.
    pub(in crate::adapters::providers::tests) fn sign_as(&self, typ: Option<&str>, claims: &Value) -> String {
        jsonwebtoken::encode(&Header { typ: typ.map(str::to_owned), ..self.header() }, claims, &self.key).unwrap()
    }

    pub(in crate::adapters::providers::tests) fn sign(&self, claims: &Value) -> String {
        jsonwebtoken::encode(&self.header(), claims, &self.key).unwrap()
    }
}

/// Signs with the client secret.
pub(in crate::adapters::providers::tests) fn signed_with_secret(claims: &Value) -> String {
    let key = EncodingKey::from_secret(b"s3cret/client");
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
}

/// Valid claims.
pub(in crate::adapters::providers::tests) fn claims(issuer: &str) -> Value {
    json!({
        "iss": issuer, "sub": "u-1", "aud": "client:1", "azp": "client:1", "exp": NOW + 300, "iat": NOW,
        "nonce": "s3cret-nonce", "at_hash": at_hash(&Secret::new("s3cret-access"), Algorithm::ES256),
        "name": "Mina", "email": "mina@example.com", "email_verified": true
    })
}

fn with(mut claims: Value, claim: &str, value: Value) -> Value {
    let object = claims.as_object_mut().unwrap();
    match value {
        Value::Null => drop(object.remove(claim)),
        value => drop(object.insert(claim.to_owned(), value)),
    }
    claims
}

const GOOGLE: &str = "https://accounts.google.com";

async fn outcome_of(signer: &Signer, id_token: &str) -> Result<String, ProviderError> {
    let fake = Fake::start().await;
    fake.on("POST /token", json!({"access_token": "s3cret-access", "id_token": id_token}))
        .on("GET /jwks", signer.jwks());
    let outcome = provider("GOOGLE", &fake).exchange(&code()).await;
    if let Err(error) = &outcome {
        is_discreet(error);
        assert!(!error.to_string().contains(id_token), "{error}");
    }
    outcome.map(|(_, identity)| identity.subject)
}

#[tokio::test]
async fn a_good_token_is_believed_whatever_its_key() {
    let rsa = |algorithm| Signer::new(SigningAlgorithm::Rs256).by(algorithm);
    for signer in [
        Signer::new(SigningAlgorithm::Es256),
        Signer::on_p384(),
        Signer::new(SigningAlgorithm::EdDsa),
        rsa(Algorithm::RS256),
        rsa(Algorithm::RS384),
        rsa(Algorithm::RS512),
        rsa(Algorithm::PS256),
        rsa(Algorithm::PS384),
        rsa(Algorithm::PS512),
    ] {
        let algorithm = signer.algorithm;
        let hash = at_hash(&Secret::new("s3cret-access"), signer.algorithm);
        let claims = with(claims(GOOGLE), "at_hash", json!(hash));
        assert_eq!(outcome_of(&signer, &signer.sign(&claims)).await.as_deref(), Ok("u-1"), "{algorithm:?}");
    }
}

#[tokio::test]
async fn a_token_for_pss_is_believed_only_if_its_key_says_so() {
    let mut signer = Signer::new(SigningAlgorithm::Rs256);
    signer.algorithm = Algorithm::PS256;
    let token = signer.sign(&claims(GOOGLE));
    let outcome = outcome_of(&signer, &token).await;
    assert_eq!(bad_response(outcome), "the id token is not signed with the algorithm of its key");
    signer.jwk["alg"] = json!("PS256");
    assert_eq!(outcome_of(&signer, &token).await.as_deref(), Ok("u-1"));
}

#[tokio::test]
async fn every_claim_is_checked() {
    let signer = Signer::new(SigningAlgorithm::Es256);
    for (claim, value, flaw) in [
        ("iss", json!("https://accounts.example.com"), "has another iss"),
        ("iss", json!("https://accounts.google.com/"), "has another iss"),
        ("iss", json!(null), "has another iss"),
        ("aud", json!("client:2"), "has another aud"),
        ("aud", json!(["client:2"]), "has another aud"),
        ("aud", json!([]), "has another aud"),
        ("aud", json!(null), "has another aud"),
        ("azp", json!("client:2"), "has another azp"),
        ("azp", json!(["client:1"]), "has another azp"),
        ("exp", json!(NOW - 5), "has expired"),
        ("exp", json!(null), "has no exp"),
        ("exp", json!("soon"), "has no exp"),
        ("iat", json!(NOW + 61), "is from the future"),
        ("iat", json!(null), "has no iat"),
        ("nbf", json!(NOW + 61), "is not valid yet"),
        ("nbf", json!(i64::MAX), "is not valid yet"),
        ("nbf", json!("soon"), "is not valid yet"),
        ("nbf", json!([]), "is not valid yet"),
        ("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA"), "belongs to another access token (at_hash)"),
        ("at_hash", json!(1), "belongs to another access token (at_hash)"),
    ] {
        let token = signer.sign(&with(claims(GOOGLE), claim, value.clone()));
        let outcome = outcome_of(&signer, &token).await;
        assert_eq!(bad_response(outcome), format!("the id token {flaw}"), "{claim}: {value}");
    }
    // The sender of the nonce is at fault.
    for nonce in [json!("another"), json!(null), json!(1)] {
        let outcome = outcome_of(&signer, &signer.sign(&with(claims(GOOGLE), "nonce", nonce))).await;
        assert_eq!(outcome, Err(ProviderError::NonceMismatch));
    }
    let many = with(with(claims(GOOGLE), "aud", json!(["client:1", "client:2"])), "azp", json!(null));
    let outcome = outcome_of(&signer, &signer.sign(&many)).await;
    assert_eq!(bad_response(outcome), "the id token has more than one aud but no azp");
    for subject in [json!(null), json!(""), json!("a\n"), json!("a".repeat(256))] {
        let outcome = outcome_of(&signer, &signer.sign(&with(claims(GOOGLE), "sub", subject))).await;
        assert_eq!(bad_response(outcome), "it does not identify the person (sub)");
    }
    for subject in [json!(1), json!(1.0), json!(u64::MAX)] {
        let outcome = outcome_of(&signer, &signer.sign(&with(claims(GOOGLE), "sub", subject))).await;
        assert_eq!(bad_response(outcome), "it identifies the person by a number instead of text (sub)");
    }
}

#[tokio::test]
async fn optional_claims_may_vary() {
    let signer = Signer::new(SigningAlgorithm::Es256);
    for (claim, value) in [
        ("iss", json!("accounts.google.com")),
        ("aud", json!(["client:1"])),
        ("aud", json!(["client:2", "client:1"])),
        ("azp", json!(null)),
        ("exp", json!(NOW - 4)),
        ("iat", json!(NOW + 60)),
        ("nbf", json!(NOW + 60)),
        ("nbf", json!(NOW - 60)),
        ("nbf", json!(NOW.to_string())),
        ("at_hash", json!(null)),
    ] {
        let token = signer.sign(&with(claims(GOOGLE), claim, value.clone()));
        assert_eq!(outcome_of(&signer, &token).await.as_deref(), Ok("u-1"), "{claim}: {value}");
    }
}

#[tokio::test]
async fn one_audience_in_a_list_needs_no_azp() {
    let signer = Signer::new(SigningAlgorithm::Es256);
    let one = with(with(claims(GOOGLE), "aud", json!(["client:1"])), "azp", json!(null));
    assert_eq!(outcome_of(&signer, &signer.sign(&one)).await.as_deref(), Ok("u-1"));
}

/// The first is the example of OpenID Connect Core §A.3; the others were computed with Python.
#[test]
fn at_hash_is_the_left_half_of_the_hash_that_the_algorithm_has() {
    let token = Secret::new("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y");
    for (algorithms, hash) in [
        (&[Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::HS256][..], "77QmUPtjPfzWtF2AnpK9RQ"),
        (&[Algorithm::RS384, Algorithm::PS384, Algorithm::ES384], "jtAeDp945y1dDqU3nkIVGNZP1HjH_MFs"),
        (&[Algorithm::RS512, Algorithm::PS512, Algorithm::EdDSA], "q7nS86GgvvFaZkzALLWqJYaJIKw2wCDAVfCAsm5CrBM"),
    ] {
        for algorithm in algorithms {
            assert_eq!(at_hash(&token, *algorithm), hash, "{algorithm:?}");
        }
    }
}

#[tokio::test]
async fn without_a_nonce_none_is_wanted() {
    let signer = Signer::new(SigningAlgorithm::Es256);
    let fake = Fake::start().await;
    let token = signer.sign(&with(claims(GOOGLE), "nonce", json!(null)));
    fake.on("POST /token", json!({"access_token": "s3cret-access", "id_token": token})).on("GET /jwks", signer.jwks());
    let without = CodeExchange { nonce: None, ..code() };
    assert!(provider("GOOGLE", &fake).exchange(&without).await.is_ok());
}

#[tokio::test]
async fn the_signature_is_that_of_the_key() {
    let (signer, other) = (Signer::new(SigningAlgorithm::Es256), Signer::new(SigningAlgorithm::Es256));
    let good = claims(GOOGLE);
    let forged = |header: &Header, key: &EncodingKey| jsonwebtoken::encode(header, &good, key).unwrap();
    let hmac = Header { kid: Some(signer.kid.clone()), ..Header::new(Algorithm::HS256) };
    let rsa = Signer::new(SigningAlgorithm::Rs256);
    let confused = Header { kid: Some(rsa.kid.clone()), ..Header::new(Algorithm::HS256) };
    let confused = forged(&confused, &EncodingKey::from_secret(rsa.jwk["n"].as_str().unwrap().as_bytes()));
    let outcome = outcome_of(&rsa, &confused).await;
    assert_eq!(bad_response(outcome), "the id token is not signed with the algorithm of its key");
    let none = "eyJhbGciOiJub25lIn0.e30.";
    let parts = |token: String| token.split('.').map(str::to_owned).collect::<Vec<_>>();
    let own = parts(signer.sign(&good));
    let admin = parts(signer.sign(&with(good.clone(), "sub", json!("admin"))));
    let typed = Header { typ: Some("at+jwt".to_owned()), ..signer.header() };
    let untyped = Header { typ: None, ..signer.header() };
    for (token, flaw) in [
        (forged(&signer.header(), &other.key), "has an invalid signature"),
        (format!("{}.{}.{}", own[0], admin[1], own[2]), "has an invalid signature"),
        (format!("{}.{}.", own[0], own[1]), "has an invalid signature"),
        (
            forged(&hmac, &EncodingKey::from_secret(signer.jwk.to_string().as_bytes())),
            "is not signed with the algorithm of its key",
        ),
        (forged(&other.header(), &other.key), "is signed with a key that the provider does not publish"),
        (forged(&typed, &signer.key), "is another kind of token"),
        (none.to_owned(), "is not signed with the algorithm of its key"),
        ("a.b".to_owned(), "is not a signed JWT"),
        ("..".to_owned(), "is not a signed JWT"),
        ("not a token".to_owned(), "is not a signed JWT"),
    ] {
        let outcome = outcome_of(&signer, &token).await;
        assert_eq!(bad_response(outcome), format!("the id token {flaw}"), "{token}");
    }
    assert_eq!(outcome_of(&signer, &forged(&untyped, &signer.key)).await.as_deref(), Ok("u-1"));
}

#[tokio::test]
async fn unknown_critical_headers_are_refused() {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

    let signer = Signer::new(SigningAlgorithm::Es256);
    for crit in [json!(["b64"]), json!([]), json!(null), json!(false)] {
        let header = json!({"alg": "ES256", "kid": signer.kid, "crit": crit, "b64": false});
        let message = [header, claims(GOOGLE)].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &signer.key, Algorithm::ES256).unwrap();
        let outcome = outcome_of(&signer, &format!("{message}.{signature}")).await;
        assert_eq!(bad_response(outcome), "the id token requires unsupported extensions (crit)", "{crit}");
    }
}
