use chrono::{DateTime, Utc};
use jsonwebtoken::crypto;
use serde_json::json;

use super::*;
use crate::domain::gateway::models::values::id::{FamilyId, TokenId};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn claims() -> AccessClaims {
    AccessClaims {
        issuer: "https://www.jinmini.com".into(),
        subject: "alice".into(),
        audience: vec!["https://www.jinmini.com".into()],
        client_id: "gateway".into(),
        scope: "read".parse().unwrap(),
        token_id: TokenId::from_random([1; 16]),
        family: FamilyId::from_random([2; 16]),
        issued_at: at(1000),
        not_before: None,
        expires_at: at(2000),
        extra: json!({"team": "blue"}).as_object().unwrap().clone(),
    }
}

struct Made {
    kid: String,
    public_jwk: Option<Value>,
    ring: Arc<dyn KeyRing>,
}

fn ring(algorithm: SigningAlgorithm) -> Made {
    let pair = AwsLcKeyGenerator.generate(algorithm).unwrap();
    let key = SigningKey {
        kid: pair.kid.clone(),
        algorithm,
        generation: 1,
        sealed_private_key: vec![],
        public_jwk: pair.public_jwk.clone(),
        created_at: at(0),
        signs_from: at(0),
    };
    let ring = AwsLcKeyGenerator.load(&[(key, pair.private_key)]).unwrap();
    Made { kid: pair.kid, public_jwk: pair.public_jwk, ring }
}

/// A token with this header and payload, and the signature that `sign` makes.
fn forge(header: &Value, payload: &Value, sign: impl Fn(&str) -> String) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(payload));
    let signature = sign(&message);
    format!("{message}.{signature}")
}

#[test]
fn every_algorithm_signs_what_it_verifies_and_says_at_jwt() {
    for algorithm in SigningAlgorithm::ALL {
        let Made { kid, ring, .. } = ring(algorithm);
        let token = ring.sign(&kid, &claims()).unwrap();
        assert_eq!(ring.verify(&token), Ok(claims()), "{algorithm}");
        let header = jsonwebtoken::decode_header(&token).unwrap();
        assert_eq!((header.typ.as_deref(), header.kid), (Some("at+jwt"), Some(kid)));
        assert_eq!(header.alg, jose(algorithm));
    }
}

#[test]
fn an_assertion_is_signed_by_the_same_keys_and_is_no_access_token() {
    let caller = claims().identity();
    let assertion = CallerAssertion {
        issuer: "https://www.jinmini.com".into(),
        service: "auth".parse().unwrap(),
        id: caller.token_id,
        issued_at: claims().issued_at,
        caller,
    };
    for algorithm in SigningAlgorithm::ALL {
        let Made { kid, ring, public_jwk } = ring(algorithm);
        let text = ring.sign_assertion(&kid, &assertion).unwrap();
        assert_eq!(ring.verify(&text), Err(Rejection::Malformed), "{algorithm}");
        let header = jsonwebtoken::decode_header(&text).unwrap();
        assert_eq!((header.typ.as_deref(), header.kid), (Some("JWT"), Some(kid)));
        let Some(jwk) = public_jwk else { continue };
        let key = DecodingKey::from_jwk(&serde_json::from_value(jwk).unwrap()).unwrap();
        let mut checks = jsonwebtoken::Validation::new(jose(algorithm));
        checks.validate_exp = false;
        checks.set_audience(&["auth"]);
        assert_eq!(jsonwebtoken::decode::<Value>(&text, &key, &checks).unwrap().claims, assertion.to_json());
        checks.set_audience(&["other"]);
        assert!(jsonwebtoken::decode::<Value>(&text, &key, &checks).is_err(), "it is for one service");
    }
}

#[test]
fn a_published_key_names_itself_and_holds_nothing_private() {
    for algorithm in [SigningAlgorithm::Es256, SigningAlgorithm::Rs256, SigningAlgorithm::EdDsa] {
        let Made { kid, public_jwk, .. } = ring(algorithm);
        let jwk = public_jwk.unwrap();
        assert_eq!(jwk["kid"], json!(kid));
        assert_eq!(jwk["alg"], json!(algorithm.name()));
        assert_eq!(jwk["use"], json!("sig"));
        for private in ["d", "p", "q", "dp", "dq", "qi", "k", "oth"] {
            assert!(jwk.get(private).is_none(), "{algorithm} publishes {private}");
        }
    }
    assert_eq!(ring(SigningAlgorithm::Hs256).public_jwk, None);
}

#[test]
fn one_bit_changed_anywhere_is_refused() {
    let Made { kid, ring, .. } = ring(SigningAlgorithm::Es256);
    let token = ring.sign(&kid, &claims()).unwrap();
    for at in 0..token.len() {
        let mut altered = token.clone().into_bytes();
        altered[at] ^= 1;
        let Ok(altered) = String::from_utf8(altered) else { continue };
        assert!(ring.verify(&altered).is_err(), "byte {at}");
    }
}

#[test]
fn none_is_refused() {
    let Made { kid, ring, .. } = ring(SigningAlgorithm::Es256);
    for alg in ["none", "None", "NONE", ""] {
        let header = json!({"alg": alg, "kid": kid, "typ": "at+jwt"});
        let token = forge(&header, &claims().to_json(), |_| String::new());
        assert_eq!(ring.verify(&token), Err(Rejection::BadSignature), "{alg}");
    }
}

#[test]
fn an_hmac_over_our_public_key_is_refused() {
    for algorithm in [SigningAlgorithm::Es256, SigningAlgorithm::Rs256, SigningAlgorithm::EdDsa] {
        let Made { kid, public_jwk, ring } = ring(algorithm);
        let public = public_jwk.unwrap();
        let jwk: Jwk = serde_json::from_value(public.clone()).unwrap();
        let decoding = DecodingKey::from_jwk(&jwk).unwrap();
        let mut secrets = vec![public.to_string().into_bytes()];
        secrets.extend(decoding.try_get_as_bytes().map(<[u8]>::to_vec));
        for secret in secrets {
            let header = json!({"alg": "HS256", "kid": kid, "typ": "at+jwt"});
            let token = forge(&header, &claims().to_json(), |message| {
                crypto::sign(message.as_bytes(), &EncodingKey::from_secret(&secret), Algorithm::HS256).unwrap()
            });
            assert_eq!(ring.verify(&token), Err(Rejection::BadSignature), "{algorithm}");
        }
    }
}

#[test]
fn a_token_of_another_gateway_has_an_unknown_key() {
    let (ours, theirs) = (ring(SigningAlgorithm::Es256), ring(SigningAlgorithm::Es256));
    let token = theirs.ring.sign(&theirs.kid, &claims()).unwrap();
    assert_eq!(ours.ring.verify(&token), Err(Rejection::UnknownKey));
    let header = json!({"alg": "ES256", "kid": ours.kid, "typ": "at+jwt"});
    let signature = token.rsplit_once('.').unwrap().1.to_owned();
    assert_eq!(
        ours.ring.verify(&forge(&header, &claims().to_json(), |_| signature.clone())),
        Err(Rejection::BadSignature)
    );
}

/// A ring with one key, `k`: this secret.
fn ring_of_secret(secret: &[u8; 32]) -> Arc<dyn KeyRing> {
    let key = SigningKey {
        kid: "k".into(),
        algorithm: SigningAlgorithm::Hs256,
        generation: 1,
        sealed_private_key: vec![],
        public_jwk: None,
        created_at: at(0),
        signs_from: at(0),
    };
    AwsLcKeyGenerator.load(&[(key, PrivateKey(secret.to_vec()))]).unwrap()
}

/// A token with this header and payload, signed with the secret.
fn signed_with(secret: &[u8; 32], header: &Value, payload: &Value) -> String {
    forge(header, payload, |message| {
        crypto::sign(message.as_bytes(), &EncodingKey::from_secret(secret), Algorithm::HS256).unwrap()
    })
}

#[test]
fn a_well_signed_token_of_another_kind_is_refused() {
    let secret = [7; 32];
    let ring = ring_of_secret(&secret);
    let signed = |header: &Value, payload: &Value| signed_with(&secret, header, payload);
    let good = json!({"alg": "HS256", "kid": "k", "typ": "at+jwt"});
    assert_eq!(ring.verify(&signed(&good, &claims().to_json())), Ok(claims()));
    for typ in ["AT+JWT", "application/at+jwt"] {
        assert!(ring.verify(&signed(&json!({"alg": "HS256", "kid": "k", "typ": typ}), &claims().to_json())).is_ok());
    }
    for header in [
        json!({"alg": "HS256", "kid": "k"}),
        json!({"alg": "HS256", "kid": "k", "typ": "JWT"}),
        json!({"alg": "HS256", "typ": "at+jwt"}),
        json!({"alg": "HS256", "kid": "k", "typ": "at+jwt", "crit": ["exp"]}),
        json!({"alg": "HS256", "kid": "k", "typ": "at+jwt", "crit": null}),
        json!({"alg": 5, "kid": "k", "typ": "at+jwt"}),
        json!("HS256"),
        json!(["HS256", "k", "at+jwt", null]),
    ] {
        assert_eq!(ring.verify(&signed(&header, &claims().to_json())), Err(Rejection::Malformed), "{header}");
    }
    assert_eq!(ring.verify(&signed(&good, &json!({"sub": "alice"}))), Err(Rejection::Malformed));
}

#[test]
fn a_token_is_as_long_as_a_head_at_most() {
    let secret = [7; 32];
    let ring = ring_of_secret(&secret);
    let token = |in_header: usize, in_payload: usize| {
        let header = json!({"alg": "HS256", "kid": "k", "typ": "at+jwt", "more": "x".repeat(in_header)});
        let mut payload = claims().to_json();
        payload["more"] = "x".repeat(in_payload).into();
        signed_with(&secret, &header, &payload)
    };
    // Four characters are three bytes, and not every length is valid base64: two parts can make up any length.
    let of_length = |length: usize| {
        let room = (length - token(0, 0).len()) * 3 / 4;
        let mut tokens = (0..3).flat_map(|more| (0..8).map(move |less| (more, room + 2 - less)));
        tokens.find_map(|(more, rest)| Some(token(more, rest)).filter(|token| token.len() == length)).unwrap()
    };
    assert!(ring.verify(&of_length(16 * 1024)).is_ok());
    assert_eq!(ring.verify(&of_length(16 * 1024 + 1)), Err(Rejection::Malformed));
}

#[test]
fn an_invalid_jwt_is_malformed() {
    let Made { ring, .. } = ring(SigningAlgorithm::Es256);
    for text in
        ["", ".", "..", "a.b", "a.b.c", "a.b.c.d", "e30.e30.!", "e30.e30.e30=", &"a".repeat(1 << 20), "토큰.토큰.토큰"]
    {
        assert_eq!(ring.verify(text), Err(Rejection::Malformed), "{}", &text[..text.len().min(9)]);
    }
}

#[test]
fn a_key_that_is_not_loaded_is_not_known_and_does_not_sign() {
    let Made { kid, ring, .. } = ring(SigningAlgorithm::Es256);
    assert!(ring.sign("other", &claims()).is_err());
    assert!(ring.knows(&kid) && !ring.knows("other") && !ring.knows(""));
}
