//! Public keys of clients as JWKs (RFC 7517): which are accepted, and why others are not.

use std::ops::RangeInclusive;

use super::{edwards, modulus};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use crate::domain::gateway::{
    models::client::{ClientAlgorithm, ClientKey},
    services::ports::{ClientKeyError, KeyFlaw},
};

/// The sizes of an RSA modulus in bits. RFC 7518 §3.3 requires 2048 or more; aws-lc verifies with 8192 or less.
const RSA_BITS: RangeInclusive<usize> = 2048..=8192;

/// The sizes of an odd RSA exponent in bits: 65537 or more (FIPS 186-5 §A.1.1: "2^16 < e"), and not more than aws-lc
/// supports. RFC 8017 also allows 3, but with that a verifier that is lax about padding accepts forged signatures
/// (CVE-2006-4339); key generators have used 65537 by default for decades.
const EXPONENT_BITS: RangeInclusive<usize> = 17..=33;

/// The members of private keys only (RFC 7518 §6.2.2, §6.3.2, RFC 8037 §2).
const PRIVATE_MEMBERS: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "oth"];

/// The members of a public key that are kept.
const PUBLIC_MEMBERS: [&str; 6] = ["kty", "crv", "x", "y", "n", "e"];

/// The encodings of the points of Ed25519 whose order divides 8, without the sign in the last bit. For such a key a
/// signature can be made without the private half (RFC 8032 §8.9 leaves the check to the reader of the key).
const SMALL_ORDER: [[u8; 32]; 5] = [
    little_endian(0, 0, 0),
    little_endian(1, 0, 0),
    little_endian(0xec, 0xff, 0x7f),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

/// A number of 32 bytes: the first, one byte repeated, the last.
const fn little_endian(first: u8, between: u8, last: u8) -> [u8; 32] {
    let mut bytes = [between; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

/// Accepts a JWK that is a public key for verifying signatures. `number` is its position in the file, for errors.
pub(super) fn public_key(jwk: Value, number: usize) -> Result<ClientKey, ClientKeyError> {
    let flawed = |flaw| ClientKeyError::Unusable { number, flaw };
    let Value::Object(mut members) = jwk else { return Err(flawed(KeyFlaw::NoObject)) };
    let (kid, algorithm) = validate(&members).map_err(flawed)?;
    members.retain(|name, _| PUBLIC_MEMBERS.contains(&name.as_str()));
    if algorithm == ClientAlgorithm::Rs256 {
        shorten(&mut members);
    }
    Ok(ClientKey { kid, algorithm, jwk: Value::Object(members) })
}

/// Strips leading zeros from the numbers of RSA, which some libraries add (RFC 7518 §6.3.1.1): so equal keys are equal
/// texts.
fn shorten(members: &mut Map<String, Value>) {
    for name in ["n", "e"] {
        if let Ok(number) = bytes(members, name) {
            members.insert(name.to_owned(), Value::String(URL_SAFE_NO_PAD.encode(significant(&number))));
        }
    }
}

fn validate(members: &Map<String, Value>) -> Result<(Option<String>, ClientAlgorithm), KeyFlaw> {
    if members.get("kty").is_some_and(|kty| kty == "oct") || members.contains_key("k") {
        return Err(KeyFlaw::Symmetric);
    }
    if PRIVATE_MEMBERS.iter().any(|name| members.contains_key(*name)) {
        return Err(KeyFlaw::Private);
    }
    let algorithm = match (text(members, "kty")?, members.get("crv").and_then(Value::as_str)) {
        ("EC", Some("P-256")) => ClientAlgorithm::Es256,
        ("RSA", _) => ClientAlgorithm::Rs256,
        ("OKP", Some("Ed25519")) => ClientAlgorithm::EdDsa,
        _ => return Err(KeyFlaw::Kind),
    };
    let is_for_signatures = match (members.get("use"), members.get("key_ops")) {
        (None, None) => true,
        (purpose, operations) => {
            purpose.is_none_or(|purpose| purpose == "sig")
                && operations.is_none_or(|all| all.as_array().is_some_and(|all| all.iter().any(|one| one == "verify")))
        }
    };
    if !is_for_signatures {
        return Err(KeyFlaw::Purpose);
    }
    if members.get("alg").is_some_and(|alg| !algorithm.names().iter().any(|name| alg == name)) {
        return Err(KeyFlaw::Algorithm(algorithm.name()));
    }
    let kid = match members.get("kid") {
        None => None,
        Some(Value::String(kid)) if !kid.is_empty() => Some(kid.clone()),
        Some(_) => return Err(KeyFlaw::Member("kid")),
    };
    match algorithm {
        ClientAlgorithm::Es256 => p256(members)?,
        ClientAlgorithm::Rs256 => rsa(members)?,
        ClientAlgorithm::EdDsa => ed25519(members)?,
    }
    Ok((kid, algorithm))
}

/// Checks that the point is on the curve (RFC 7518 §6.2.1).
fn p256(members: &Map<String, Value>) -> Result<(), KeyFlaw> {
    let [x, y] = [exactly_32_bytes(members, "x")?, exactly_32_bytes(members, "y")?];
    // The uncompressed form (SEC 1 §2.3.3).
    let point = [&[4][..], &x, &y].concat();
    ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).map(|_| ()).map_err(|_| KeyFlaw::NotOnCurve)
}

fn rsa(members: &Map<String, Value>) -> Result<(), KeyFlaw> {
    let (n, e) = (bytes(members, "n")?, bytes(members, "e")?);
    let (n, e) = (significant(&n), significant(&e));
    let size = bits(n);
    if !RSA_BITS.contains(&size) {
        return Err(KeyFlaw::ModulusSize(size));
    }
    let is_odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
    // With an exponent of 1 every text would be its own signature, and an even exponent has no private half.
    if !is_odd(e) || !EXPONENT_BITS.contains(&bits(e)) {
        return Err(KeyFlaw::Exponent);
    }
    if modulus::has_small_factor(n) {
        return Err(KeyFlaw::SmallFactor);
    }
    if modulus::is_square(n) {
        return Err(KeyFlaw::Square);
    }
    let key = RsaPublicKeyComponents { n, e }.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256);
    key.map(|_| ()).map_err(|_| KeyFlaw::Numbers)
}

fn ed25519(members: &Map<String, Value>) -> Result<(), KeyFlaw> {
    let mut point = exactly_32_bytes(members, "x")?;
    if !edwards::is_point(&point) || ParsedPublicKey::new(&ED25519, point).is_err() {
        return Err(KeyFlaw::NotOnCurve);
    }
    point[31] &= 0x7f;
    if SMALL_ORDER.contains(&point) { Err(KeyFlaw::SmallOrder) } else { Ok(()) }
}

fn text<'m>(members: &'m Map<String, Value>, name: &'static str) -> Result<&'m str, KeyFlaw> {
    members.get(name).and_then(Value::as_str).ok_or(KeyFlaw::Member(name))
}

fn bytes(members: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, KeyFlaw> {
    URL_SAFE_NO_PAD.decode(text(members, name)?).map_err(|_| KeyFlaw::Member(name))
}

fn exactly_32_bytes(members: &Map<String, Value>, name: &'static str) -> Result<[u8; 32], KeyFlaw> {
    bytes(members, name)?.try_into().map_err(|_| KeyFlaw::Member(name))
}

/// A number without leading zeros.
fn significant(number: &[u8]) -> &[u8] {
    &number[number.iter().take_while(|byte| **byte == 0).count()..]
}

/// The number of bits in a number.
fn bits(number: &[u8]) -> usize {
    let significant = significant(number);
    let unused = significant.first().map_or(0, |first| first.leading_zeros() as usize);
    significant.len() * 8 - unused
}
