use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

use super::*;
use crate::{
    adapters::jwt::AwsLcKeysmith,
    domain::gateway::{
        models::{id::ClientId, signing_key::SigningAlgorithm},
        services::ports::{KeyPair, Keysmith},
    },
};

/// Made with openssl, for this test alone.
const P256: &str = include_str!("tests/p256.pem");
const RSA2048: &str = include_str!("tests/rsa2048.pem");
const RSA1024: &str = include_str!("tests/rsa1024.pem");
const ED25519: &str = include_str!("tests/ed25519.pem");
const P384: &str = include_str!("tests/p384.pem");

const ALL: [(SigningAlgorithm, ClientAlgorithm); 3] = [
    (SigningAlgorithm::Es256, ClientAlgorithm::Es256),
    (SigningAlgorithm::Rs256, ClientAlgorithm::Rs256),
    (SigningAlgorithm::EdDsa, ClientAlgorithm::EdDsa),
];

fn pair(algorithm: SigningAlgorithm) -> KeyPair {
    AwsLcKeysmith.generate(algorithm).unwrap()
}

fn read(file: &str) -> Result<Vec<ClientKey>, ClientKeyError> {
    AwsLcClientKeys.read(file.as_bytes())
}

fn signed(pair: &KeyPair, header: &Header) -> String {
    let key = match header.alg {
        Algorithm::ES256 => EncodingKey::from_ec_der(&pair.private_key.0),
        Algorithm::RS256 => EncodingKey::from_rsa_der(&pair.private_key.0),
        Algorithm::EdDSA => EncodingKey::from_ed_der(&pair.private_key.0),
        _ => EncodingKey::from_secret(&pair.private_key.0),
    };
    let id = ClientId::from_random([7; 16]).to_string();
    let claims = json!({"iss": id, "sub": id, "aud": "https://us", "jti": "1", "exp": 1_800_000_000});
    jsonwebtoken::encode(header, &claims, &key).unwrap()
}

#[test]
fn an_assertion_is_verified_by_the_key_that_signed_it_and_by_no_other() {
    for (algorithm, expected) in ALL {
        let (own, other) = (pair(algorithm), pair(algorithm));
        let keys = read(&own.public_jwk.as_ref().unwrap().to_string()).unwrap();
        assert_eq!((keys.len(), keys[0].algorithm), (1, expected));
        let header = Header::new(jose(expected));
        let assertion = signed(&own, &header);
        let claims = AwsLcClientKeys.verify(&assertion, &keys).unwrap();
        assert_eq!((claims.subject.as_str(), claims.id.as_str()), (claims.issuer.as_str(), "1"));
        assert_eq!(AwsLcClientKeys.unverified_subject(&assertion), Ok(claims.subject));
        let refused = |assertion: &str| AwsLcClientKeys.verify(assertion, &keys).unwrap_err();
        assert_eq!(refused(&signed(&other, &header)), AssertionError::BadSignature);
        let (message, _) = assertion.rsplit_once('.').unwrap();
        assert_eq!(refused(&format!("{message}.")), AssertionError::BadSignature);
    }
}

#[test]
fn the_algorithm_is_the_keys() {
    let own = pair(SigningAlgorithm::Rs256);
    let keys = read(&own.public_jwk.as_ref().unwrap().to_string()).unwrap();
    for alg in [Algorithm::HS256, Algorithm::RS384] {
        let key = match alg {
            // With the public key as the secret.
            Algorithm::HS256 => {
                EncodingKey::from_secret(own.public_jwk.as_ref().unwrap()["n"].as_str().unwrap().as_bytes())
            }
            _ => EncodingKey::from_rsa_der(&own.private_key.0),
        };
        let assertion = jsonwebtoken::encode(&Header::new(alg), &json!({"sub": "a"}), &key).unwrap();
        assert_eq!(AwsLcClientKeys.verify(&assertion, &keys), Err(AssertionError::BadSignature), "{alg:?}");
    }
    let [none, claims] = [r#"{"alg":"none"}"#, r#"{"sub":"a"}"#].map(|part| URL_SAFE_NO_PAD.encode(part));
    assert_eq!(AwsLcClientKeys.verify(&format!("{none}.{claims}."), &keys), Err(AssertionError::BadSignature));
}

#[test]
fn a_kid_names_the_key_and_a_type_must_fit() {
    let own = pair(SigningAlgorithm::Es256);
    let keys = read(&own.public_jwk.as_ref().unwrap().to_string()).unwrap();
    let plain = || Header { typ: None, ..Header::new(Algorithm::ES256) };
    let typed = |typ: &str| Header { typ: Some(typ.into()), ..plain() };
    for good in [plain(), Header { kid: Some(own.kid.clone()), ..plain() }, typed("jwt"), {
        typed("application/client-authentication+jwt")
    }] {
        assert!(AwsLcClientKeys.verify(&signed(&own, &good), &keys).is_ok(), "{good:?}");
    }
    let other_kid = Header { kid: Some("another".into()), ..plain() };
    assert_eq!(AwsLcClientKeys.verify(&signed(&own, &other_kid), &keys), Err(AssertionError::BadSignature));
    assert_eq!(AwsLcClientKeys.verify(&signed(&own, &typed("at+jwt")), &keys), Err(AssertionError::Malformed));
    for malformed in ["", "a", "a.b", "a.b.c", &"x".repeat(20_000), "W10.e30.AA"] {
        assert_eq!(AwsLcClientKeys.verify(malformed, &keys), Err(AssertionError::Malformed), "{malformed:.20}");
    }
}

/// RFC 9864: the same algorithm has two names.
#[test]
fn ed25519_may_be_called_by_either_name() {
    let own = pair(SigningAlgorithm::EdDsa);
    let mut jwk = own.public_jwk.clone().unwrap();
    jwk["alg"] = json!("Ed25519");
    let [key] = read(&jwk.to_string()).unwrap().try_into().unwrap();
    assert_eq!(key.algorithm, ClientAlgorithm::EdDsa);
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"Ed25519"}"#);
    let claims = json!({"iss": "a", "sub": "a", "aud": "b", "jti": "1", "exp": 1});
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signing = EncodingKey::from_ed_der(&own.private_key.0);
    let signature = crypto::sign(message.as_bytes(), &signing, Algorithm::EdDSA).unwrap();
    assert!(AwsLcClientKeys.verify(&format!("{message}.{signature}"), &[key]).is_ok());
}

#[test]
fn keys_are_read_as_jwk_as_set_and_as_pem() {
    for (pem, algorithm) in
        [(P256, ClientAlgorithm::Es256), (RSA2048, ClientAlgorithm::Rs256), (ED25519, ClientAlgorithm::EdDsa)]
    {
        let [key] = read(pem).unwrap().try_into().unwrap();
        assert_eq!((key.algorithm, &key.kid), (algorithm, &None));
        assert_eq!(read(&key.jwk.to_string()).unwrap(), [key]);
    }
    assert_eq!(read(&format!("{P256}\n{ED25519}")).unwrap().len(), 2);
    let [one, other] = ALL.map(|(algorithm, _)| pair(algorithm).public_jwk.unwrap())[..2].to_vec().try_into().unwrap();
    let kids: Vec<_> =
        read(&json!({"keys": [one, other]}).to_string()).unwrap().into_iter().map(|key| key.kid).collect();
    assert_eq!(json!(kids), json!([one["kid"], other["kid"]]));
}

#[test]
fn what_is_no_usable_public_key_is_refused_for_its_reason() {
    let jwk = pair(SigningAlgorithm::Es256).public_jwk.unwrap();
    let with = |name: &str, value: &str| {
        let mut jwk = jwk.clone();
        jwk[name] = json!(value);
        jwk.to_string()
    };
    let private = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for (file, why) in [
        ("", ClientKeyError::NoKey),
        ("[]", ClientKeyError::NoKey),
        (r#"{"keys": []}"#, ClientKeyError::NoKey),
        (r#"{"keys": {}}"#, ClientKeyError::NoKey),
        (r#"{"kty": "oct", "k": "c2VjcmV0"}"#, ClientKeyError::Private),
        (&with("d", "AQAB"), ClientKeyError::Private),
        (private, ClientKeyError::Private),
        (&private.replace("PRIVATE", "EC PRIVATE"), ClientKeyError::Private),
        (&with("use", "enc"), ClientKeyError::Unsupported),
        (&with("alg", "ES384"), ClientKeyError::Unsupported),
        (&with("crv", "P-384"), ClientKeyError::Unsupported),
        (&with("x", "AQAB"), ClientKeyError::Unsupported),
        (r#"{"kty": "AKP"}"#, ClientKeyError::Unsupported),
        (RSA1024, ClientKeyError::Unsupported),
        (P384, ClientKeyError::Unsupported),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", ClientKeyError::Unsupported),
        (&json!({"keys": [jwk, jwk]}).to_string(), ClientKeyError::Ambiguous),
    ] {
        assert_eq!(read(file), Err(why), "{file}");
    }
}
