use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{EncodingKey, Header, crypto};
use serde_json::json;

use super::*;
use crate::{
    adapters::jwt::AwsLcKeyGenerator,
    domain::gateway::{
        models::{signing_key::SigningAlgorithm, values::id::ClientId},
        services::ports::{KeyFlaw, KeyGenerator, KeyPair},
    },
};

/// Made with openssl, for these tests only.
const P256: &str = include_str!("tests/p256.pem");
const RSA2048: &str = include_str!("tests/rsa2048.pem");
const RSA1024: &str = include_str!("tests/rsa1024.pem");
const ED25519: &str = include_str!("tests/ed25519.pem");
const P384: &str = include_str!("tests/p384.pem");

/// The square of a prime of 1024 bits.
const SQUARE: &str = concat!(
    "1zNDYzMqeAlspH-mP7TOq5zGAcQ0oiw9vkStJ9w6KyDXtNjW1lP1BHEu6bKmPZeg9-vb9iDMVkR8P6J7-cwEkb7qDrUJdgGyLjpW6VM7Z18PDP",
    "J14lRQyExKGmg-7kMcaHfdxvYp2ucvZYs2oJznogbIa-oeo6Xgc196RnNHLokcWbbCU42mYZ49otnBT4SrwQgPUJPr-NF-sffJLE2MMaGX9ZYj",
    "mMNE5UVFS1rdCVkiKZmbzkjS_oA7Dli_-gLg-jOz-gC8dcgXCvAcpv2SHhSDmDC-KZ5lgRlic8uIIISiWzzHaFeZ3OKfTSYgPUjILpNkGNpho4",
    "bN9dfnUSbpqQ",
);

const ALL: [(SigningAlgorithm, ClientAlgorithm); 3] = [
    (SigningAlgorithm::Es256, ClientAlgorithm::Es256),
    (SigningAlgorithm::Rs256, ClientAlgorithm::Rs256),
    (SigningAlgorithm::EdDsa, ClientAlgorithm::EdDsa),
];

fn pair(algorithm: SigningAlgorithm) -> KeyPair {
    AwsLcKeyGenerator.generate(algorithm).unwrap()
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
            // The public key as the secret.
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
fn unusable_public_keys_are_refused_with_the_reason() {
    let jwk = pair(SigningAlgorithm::Es256).public_jwk.unwrap();
    let private = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for (file, why) in [
        ("", ClientKeyError::NoKey),
        ("[]", ClientKeyError::NoKey),
        (r#"{"keys": []}"#, ClientKeyError::NoKey),
        (r#"{"keys": {}}"#, ClientKeyError::NoKey),
        (r#"{"keys": ["x"]}"#, unusable(1, KeyFlaw::NoObject)),
        (r#"{"kty": "oct", "k": "c2VjcmV0"}"#, unusable(1, KeyFlaw::Symmetric)),
        (r#"{"kty": "oct"}"#, unusable(1, KeyFlaw::Symmetric)),
        (private, ClientKeyError::Private),
        (&private.replace("PRIVATE", "EC PRIVATE"), ClientKeyError::Private),
        (&json!({"keys": [jwk, jwk]}).to_string(), unusable(2, KeyFlaw::SameKey(1))),
    ] {
        assert_eq!(read(file), Err(why), "{file}");
    }
    for member in ["d", "p", "q", "dp", "dq", "qi", "oth"] {
        let mut jwk = jwk.clone();
        jwk[member] = json!("AQAB");
        assert_eq!(read(&jwk.to_string()), Err(unusable(1, KeyFlaw::Private)), "{member}");
    }
    // The error says which of them it is.
    let good = jwk.to_string();
    let second = format!(r#"{{"keys": [{good}, {{"kty": "AKP"}}]}}"#);
    assert_eq!(read(&second), Err(unusable(2, KeyFlaw::Kind)));
    assert_eq!(read(&format!("{P256}\n{P384}")), Err(unusable(2, KeyFlaw::Kind)));
}

fn unusable(number: usize, flaw: KeyFlaw) -> ClientKeyError {
    ClientKeyError::Unusable { number, flaw }
}

#[test]
fn a_key_or_its_name_that_comes_again_is_told_by_its_number() {
    let [ec, rsa, ed] = ALL.map(|(algorithm, _)| pair(algorithm).public_jwk.unwrap());
    let set = |keys: &[Value]| read(&json!({ "keys": keys }).to_string());
    for key in [&ec, &rsa, &ed] {
        let mut nameless = key.clone();
        nameless.as_object_mut().unwrap().remove("kid");
        assert_eq!(set(&[nameless.clone(), nameless.clone()]), Err(unusable(2, KeyFlaw::SameKey(1))));
        // Under another name it is still the same key.
        assert_eq!(set(&[key.clone(), nameless]), Err(unusable(2, KeyFlaw::SameKey(1))));
    }
    let modulus = URL_SAFE_NO_PAD.decode(rsa["n"].as_str().unwrap()).unwrap();
    let padded = changed(&rsa, &json!({"n": URL_SAFE_NO_PAD.encode([&[0], &modulus[..]].concat()), "kid": "padded"}));
    assert_eq!(
        set(&[ec.clone(), rsa.clone(), serde_json::from_str(&padded).unwrap()]),
        Err(unusable(3, KeyFlaw::SameKey(2))),
        "zeros before a number make it no other"
    );
    let namesake = serde_json::from_str(&changed(&ed, &json!({"kid": ec["kid"]}))).unwrap();
    assert_eq!(set(&[ec.clone(), rsa.clone(), namesake]), Err(unusable(3, KeyFlaw::SameKid(1))));
    assert_eq!(read(&format!("{ED25519}\n{P256}\n{ED25519}")), Err(unusable(3, KeyFlaw::SameKey(1))));
    assert_eq!(set(&[ec, rsa, ed]).unwrap().len(), 3);
}

/// RFC 7517 §4: "Member names within a JWK MUST be unique".
#[test]
fn a_member_that_stands_there_twice_is_refused() {
    let good = pair(SigningAlgorithm::EdDsa).public_jwk.unwrap().to_string();
    let other = pair(SigningAlgorithm::EdDsa).public_jwk.unwrap();
    let twice = good.replacen('{', &format!(r#"{{"x":{},"#, other["x"]), 1);
    let nested = good.replacen('{', r#"{"more":{"a":1,"a":true},"#, 1);
    for bad in [&twice, &nested] {
        assert_eq!(read(bad), Err(unusable(1, KeyFlaw::RepeatedMember)), "{bad}");
        let second = format!(r#"{{"keys": [{other}, {bad}]}}"#);
        assert_eq!(read(&second), Err(unusable(2, KeyFlaw::RepeatedMember)), "{second}");
    }
    let two_sets = format!(r#"{{"keys": [{other}], "keys": [{good}]}}"#);
    assert_eq!(read(&two_sets), Err(ClientKeyError::RepeatedMember));
    let harmless = good.replacen('{', r#"{"more":[null,-1,1.5,{"a":{"x":"y"}}],"#, 1);
    assert!(read(&harmless).is_ok(), "{harmless}");
}

fn flaw(file: &str) -> KeyFlaw {
    match read(file) {
        Err(ClientKeyError::Unusable { number: 1, flaw }) => flaw,
        other => panic!("{file}: {other:?}"),
    }
}

fn changed(jwk: &Value, changes: &Value) -> String {
    let mut jwk = jwk.clone();
    for (name, value) in changes.as_object().unwrap() {
        jwk[name] = value.clone();
    }
    jwk.to_string()
}

/// A number in the first of 32 bytes.
fn numbered(first: u8) -> [u8; 32] {
    std::array::from_fn(|at| if at == 0 { first } else { 0 })
}

/// A modulus, and the prime 751 with it.
fn times_751(rsa: &Value) -> Vec<u8> {
    let mut number = URL_SAFE_NO_PAD.decode(rsa["n"].as_str().unwrap()).unwrap();
    let mut carry = 0;
    for byte in number.iter_mut().rev() {
        carry += u32::from(*byte) * 751;
        *byte = u8::try_from(carry % 256).unwrap();
        carry /= 256;
    }
    [&u8::try_from(carry / 256).unwrap().to_be_bytes()[..], &[u8::try_from(carry % 256).unwrap()], &number].concat()
}

#[test]
fn a_flaw_of_a_key_is_named() {
    let [ec, rsa, ed] = ALL.map(|(algorithm, _)| pair(algorithm).public_jwk.unwrap());
    let all_set = URL_SAFE_NO_PAD.encode([0xff; 32]);
    for (jwk, changes, expected) in [
        (&ec, json!({"use": "enc"}), KeyFlaw::Purpose),
        (&ec, json!({"use": 1}), KeyFlaw::Purpose),
        (&ec, json!({"key_ops": ["sign"]}), KeyFlaw::Purpose),
        (&ec, json!({"key_ops": "verify"}), KeyFlaw::Purpose),
        (&ec, json!({"use": "enc", "key_ops": ["verify"]}), KeyFlaw::Purpose),
        (&ec, json!({"alg": "ES384"}), KeyFlaw::Algorithm("ES256")),
        (&ec, json!({"alg": "RS256"}), KeyFlaw::Algorithm("ES256")),
        (&rsa, json!({"alg": "PS256"}), KeyFlaw::Algorithm("RS256")),
        (&rsa, json!({"alg": "RSA-OAEP"}), KeyFlaw::Algorithm("RS256")),
        (&ed, json!({"alg": null}), KeyFlaw::Algorithm("EdDSA")),
        (&ec, json!({"crv": "P-384"}), KeyFlaw::Kind),
        (&ec, json!({"crv": "secp256k1"}), KeyFlaw::Kind),
        (&ec, json!({"crv": null}), KeyFlaw::Kind),
        (&ed, json!({"crv": "X25519"}), KeyFlaw::Kind),
        (&ed, json!({"crv": "Ed448"}), KeyFlaw::Kind),
        (&ed, json!({"kty": "EC"}), KeyFlaw::Kind),
        (&ec, json!({"kty": null}), KeyFlaw::Member("kty")),
        (&ec, json!({"kid": 1}), KeyFlaw::Member("kid")),
        (&ec, json!({"kid": ""}), KeyFlaw::Member("kid")),
        (&ec, json!({"x": "AQAB"}), KeyFlaw::Member("x")),
        (&ec, json!({"x": null}), KeyFlaw::Member("x")),
        (&ec, json!({"y": format!("{all_set}=")}), KeyFlaw::Member("y")),
        (&ec, json!({"y": all_set}), KeyFlaw::NotOnCurve),
        (&ec, json!({"x": ec["y"]}), KeyFlaw::NotOnCurve),
        (&ed, json!({"x": "AQAB"}), KeyFlaw::Member("x")),
        (&ed, json!({"x": all_set}), KeyFlaw::NotOnCurve),
        // No x has the y of 2.
        (&ed, json!({"x": URL_SAFE_NO_PAD.encode(numbered(2))}), KeyFlaw::NotOnCurve),
        (&rsa, json!({"n": "+"}), KeyFlaw::Member("n")),
        (&rsa, json!({"n": ""}), KeyFlaw::ModulusSize(0)),
        (&rsa, json!({"n": URL_SAFE_NO_PAD.encode([0xff; 128])}), KeyFlaw::ModulusSize(1024)),
        (
            &rsa,
            json!({"n": URL_SAFE_NO_PAD.encode([[0x7f; 1].as_slice(), &[0xff; 255]].concat())}),
            KeyFlaw::ModulusSize(2047),
        ),
        (&rsa, json!({"n": URL_SAFE_NO_PAD.encode([0xff; 1025])}), KeyFlaw::ModulusSize(8200)),
        (&rsa, json!({"e": null}), KeyFlaw::Member("e")),
        // With 1 every text is its own signature.
        (&rsa, json!({"e": "AQ"}), KeyFlaw::Exponent),
        (&rsa, json!({"e": "Ag"}), KeyFlaw::Exponent),
        (&rsa, json!({"e": "Aw"}), KeyFlaw::Exponent),
        (&rsa, json!({"e": "AQAA"}), KeyFlaw::Exponent),
        (&rsa, json!({"e": "A_____8"}), KeyFlaw::Exponent),
        (&rsa, json!({"e": ""}), KeyFlaw::Exponent),
        (&rsa, json!({"n": URL_SAFE_NO_PAD.encode([0xfe; 256])}), KeyFlaw::SmallFactor),
        (&rsa, json!({"n": URL_SAFE_NO_PAD.encode(times_751(&rsa))}), KeyFlaw::SmallFactor),
        (&rsa, json!({"n": SQUARE}), KeyFlaw::Square),
    ] {
        assert_eq!(flaw(&changed(jwk, &changes)), expected, "{changes}");
    }
    for (pem, expected) in [
        (RSA1024, KeyFlaw::ModulusSize(1024)),
        (P384, KeyFlaw::Kind),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", KeyFlaw::Encoding),
    ] {
        assert_eq!(flaw(pem), expected, "{pem}");
    }
    for (jwk, good) in [
        (&ec, json!({"key_ops": ["verify"]})),
        (&ec, json!({"use": "sig", "key_ops": ["sign", "verify"]})),
        (&rsa, json!({"alg": "RS256", "use": "sig"})),
        (&rsa, json!({"e": "AQAD"})),
    ] {
        assert!(read(&changed(jwk, &good)).is_ok(), "{good}");
    }
}

/// SEC 1 §2.3.3 has other forms of a point: compressed, and the hybrid one of X9.62.
#[test]
fn a_point_in_pem_has_both_coordinates_and_says_so() {
    let base64: String = P256.lines().filter(|line| !line.starts_with('-')).collect();
    let whole = STANDARD.decode(base64).unwrap();
    let (before, point) = whole.split_at(whole.len() - 65);
    let file = |point: &[u8]| {
        let mut der = [before, point].concat();
        // The lengths of the whole, and of the point with the byte before it.
        der[1] = u8::try_from(der.len() - 2).unwrap();
        der[before.len() - 2] = u8::try_from(point.len() + 1).unwrap();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
    };
    assert_eq!(read(&file(point)), read(P256));
    let sign = point[64] & 1;
    for other in [[&[6 | sign], &point[1..]].concat(), [&[2 | sign], &point[1..33]].concat(), point[..33].to_vec()] {
        assert_eq!(flaw(&file(&other)), KeyFlaw::Kind, "{other:?}");
    }
}

/// Anyone can make signatures for such a key. The list is that of libsodium.
#[test]
fn ed25519_points_of_small_order_are_no_keys() {
    for sign in [0, 0x80] {
        for point in [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ] {
            let mut bytes: Vec<u8> =
                (0..32).map(|at| u8::from_str_radix(&point[2 * at..2 * at + 2], 16).unwrap()).collect();
            bytes[31] |= sign;
            let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(bytes)});
            // RFC 8032 §5.1.3: the y of two of them is p or more.
            let is_canonical = !matches!(&point[..2], "ed" | "ee");
            let expected = if is_canonical { KeyFlaw::SmallOrder } else { KeyFlaw::NotOnCurve };
            assert_eq!(flaw(&jwk.to_string()), expected, "{point}");
        }
    }
}

/// RFC 7515 §4.1.11: whatever the value of `crit`, no extension is supported here.
#[test]
fn an_assertion_with_crit_is_not_understood() {
    let own = pair(SigningAlgorithm::EdDsa);
    let keys = read(&own.public_jwk.as_ref().unwrap().to_string()).unwrap();
    let signing = EncodingKey::from_ed_der(&own.private_key.0);
    for (header, expected) in [
        (r#"{"alg":"EdDSA"}"#, None),
        (r#"{"alg":"EdDSA","crit":["exp"],"exp":1}"#, Some(AssertionError::Malformed)),
        (r#"{"alg":"EdDSA","crit":[]}"#, Some(AssertionError::Malformed)),
        (r#"{"alg":"EdDSA","crit":null}"#, Some(AssertionError::Malformed)),
        (r#"{"alg":"EdDSA","crit":false}"#, Some(AssertionError::Malformed)),
    ] {
        let claims = json!({"iss": "a", "sub": "a", "aud": "b", "jti": "1", "exp": 1});
        let message = [header, &claims.to_string()].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
        let signature = crypto::sign(message.as_bytes(), &signing, Algorithm::EdDSA).unwrap();
        let verified = AwsLcClientKeys.verify(&format!("{message}.{signature}"), &keys);
        assert_eq!(verified.err(), expected, "{header}");
    }
}

#[test]
fn an_assertion_has_16_kib_at_most() {
    let own = pair(SigningAlgorithm::EdDsa);
    let keys = read(&own.public_jwk.as_ref().unwrap().to_string()).unwrap();
    let signing = EncodingKey::from_ed_der(&own.private_key.0);
    let assertion = |in_header: usize, in_claims: usize| {
        let header = json!({"alg": "EdDSA", "more": "x".repeat(in_header)});
        let claims = json!({"iss": "a", "sub": "a", "aud": "b", "jti": "1", "exp": 1, "more": "x".repeat(in_claims)});
        let message = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let signature = crypto::sign(message.as_bytes(), &signing, Algorithm::EdDSA).unwrap();
        format!("{message}.{signature}")
    };
    // Four characters are three bytes, and not every length is valid base64: two parts can make up any length.
    let of_length = |length: usize| {
        let room = (length - assertion(0, 0).len()) * 3 / 4;
        let mut lengths = (0..3).flat_map(|more| (0..8).map(move |less| (more, room + 2 - less)));
        lengths.find_map(|(more, rest)| Some(assertion(more, rest)).filter(|text| text.len() == length)).unwrap()
    };
    let (longest, longer) = (of_length(16 * 1024), of_length(16 * 1024 + 1));
    assert!(AwsLcClientKeys.verify(&longest, &keys).is_ok());
    assert_eq!(AwsLcClientKeys.unverified_subject(&longest).as_deref(), Ok("a"));
    assert_eq!(AwsLcClientKeys.verify(&longer, &keys), Err(AssertionError::Malformed));
    assert_eq!(AwsLcClientKeys.unverified_subject(&longer), Err(AssertionError::Malformed));
}
