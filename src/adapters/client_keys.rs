//! Public keys of machine clients, and the assertions that they sign (RFC 7517, RFC 7523), by the jsonwebtoken crate. The
//! algorithm is the key's, never the assertion's (RFC 8725 §3.1).

mod pem;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, crypto,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::domain::gateway::{
    models::client::{AssertionClaims, ClientAlgorithm, ClientKey},
    services::ports::{AssertionError, ClientKeyError, ClientKeys},
};

/// No assertion is longer.
const MAX_ASSERTION_BYTES: usize = 16 * 1024;

/// RFC 7518 §3.3: "A key of size 2048 bits or larger MUST be used".
const MIN_RSA_BITS: usize = 2048;

/// What only the private half of a key has (RFC 7518 §6.2.2, §6.3.2, RFC 8037 §2), and a symmetric key (§6.4).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The members of a public key that are kept.
const PUBLIC_MEMBERS: [&str; 6] = ["kty", "crv", "x", "y", "n", "e"];

/// Reads and verifies with aws-lc.
pub struct AwsLcClientKeys;

impl ClientKeys for AwsLcClientKeys {
    fn read(&self, file: &[u8]) -> Result<Vec<ClientKey>, ClientKeyError> {
        let jwks = match serde_json::from_slice::<Value>(file) {
            Ok(Value::Object(mut set)) if set.contains_key("keys") => match set.remove("keys") {
                Some(Value::Array(keys)) => keys,
                Some(_) | None => return Err(ClientKeyError::NoKey),
            },
            Ok(jwk @ Value::Object(_)) => vec![jwk],
            Ok(_) => return Err(ClientKeyError::NoKey),
            Err(_) => pem::public_keys(file)?,
        };
        let keys = jwks.into_iter().map(client_key).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(ClientKeyError::NoKey);
        }
        let is_ambiguous =
            |(n, key): (usize, &ClientKey)| key.kid.is_some() && keys[..n].iter().any(|k| k.kid == key.kid);
        if keys.iter().enumerate().any(is_ambiguous) {
            return Err(ClientKeyError::Ambiguous);
        }
        Ok(keys)
    }

    fn unverified_subject(&self, assertion: &str) -> Result<String, AssertionError> {
        let parts = Parts::of(assertion)?;
        let claims: Value = serde_json::from_slice(&decoded(parts.payload)?).map_err(|_| AssertionError::Malformed)?;
        claims["sub"].as_str().map(str::to_owned).ok_or(AssertionError::Malformed)
    }

    fn verify(&self, assertion: &str, keys: &[ClientKey]) -> Result<AssertionClaims, AssertionError> {
        let parts = Parts::of(assertion)?;
        let header = decoded(parts.header)?;
        // serde takes `["ES256", …]` for `{"alg": "ES256", …}`; RFC 7515 §4 does not.
        if header.trim_ascii_start().starts_with(b"[") {
            return Err(AssertionError::Malformed);
        }
        let header: UnverifiedHeader = serde_json::from_slice(&header).map_err(|_| AssertionError::Malformed)?;
        if header.crit.is_some() || !header.typ.as_deref().is_none_or(is_assertion_type) {
            return Err(AssertionError::Malformed);
        }
        decoded(parts.signature)?;
        let may_have_signed = |key: &&ClientKey| {
            key.algorithm.names().contains(&header.alg.as_str())
                && (header.kid.is_none() || key.kid.is_none() || key.kid == header.kid)
        };
        if keys.iter().filter(may_have_signed).any(|key| parts.are_signed_by(key)) {
            AssertionClaims::parse(&decoded(parts.payload)?).map_err(|_| AssertionError::Malformed)
        } else {
            Err(AssertionError::BadSignature)
        }
    }
}

/// `JWT`, or what is being registered for it (draft-ietf-oauth-rfc7523bis); any case, with or without `application/`
/// (RFC 7515 §4.1.9). Not an access token that somebody else signed with the key.
fn is_assertion_type(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "client-authentication+jwt")
}

/// What a header says before anything is verified. `alg` is compared with the key's and never followed.
#[derive(Deserialize)]
struct UnverifiedHeader {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    /// Extensions that a reader must understand (RFC 7515 §4.1.11). We understand none.
    crit: Option<Value>,
}

/// The three parts of a compact JWS.
struct Parts<'a> {
    message: &'a str,
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Parts<'a> {
    fn of(assertion: &'a str) -> Result<Self, AssertionError> {
        if assertion.len() > MAX_ASSERTION_BYTES {
            return Err(AssertionError::Malformed);
        }
        let (message, signature) = assertion.rsplit_once('.').ok_or(AssertionError::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(AssertionError::Malformed)?;
        Ok(Self { message, header, payload, signature })
    }

    fn are_signed_by(&self, key: &ClientKey) -> bool {
        let decoding =
            serde_json::from_value(key.jwk.clone()).ok().and_then(|jwk: Jwk| DecodingKey::from_jwk(&jwk).ok());
        decoding.is_some_and(|decoding| {
            crypto::verify(self.signature, self.message.as_bytes(), &decoding, jose(key.algorithm)).unwrap_or(false)
        })
    }
}

fn decoded(part: &str) -> Result<Vec<u8>, AssertionError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| AssertionError::Malformed)
}

fn jose(algorithm: ClientAlgorithm) -> Algorithm {
    match algorithm {
        ClientAlgorithm::Es256 => Algorithm::ES256,
        ClientAlgorithm::Rs256 => Algorithm::RS256,
        ClientAlgorithm::EdDsa => Algorithm::EdDSA,
    }
}

/// Takes a JWK if it is a public key that can be used.
fn client_key(jwk: Value) -> Result<ClientKey, ClientKeyError> {
    let Value::Object(mut members) = jwk else { return Err(ClientKeyError::NoKey) };
    if PRIVATE_MEMBERS.iter().any(|name| members.contains_key(*name)) {
        return Err(ClientKeyError::Private);
    }
    // jsonwebtoken knows the older name alone.
    if members.get("alg").is_some_and(|alg| alg == "Ed25519") {
        members.insert("alg".to_owned(), "EdDSA".into());
    }
    let parsed: Jwk =
        serde_json::from_value(Value::Object(members.clone())).map_err(|_| ClientKeyError::Unsupported)?;
    let algorithm = algorithm(&parsed).ok_or(ClientKeyError::Unsupported)?;
    if DecodingKey::from_jwk(&parsed).is_err() {
        return Err(ClientKeyError::Unsupported);
    }
    let kept: Map<String, Value> =
        members.into_iter().filter(|(name, _)| PUBLIC_MEMBERS.contains(&name.as_str())).collect();
    Ok(ClientKey { kid: parsed.common.key_id, algorithm, jwk: Value::Object(kept) })
}

fn algorithm(jwk: &Jwk) -> Option<ClientAlgorithm> {
    if jwk.common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
        return None;
    }
    let length = |text: &str| URL_SAFE_NO_PAD.decode(text).ok().map(|bytes| bytes.len());
    match (&jwk.algorithm, jwk.common.key_algorithm) {
        (AlgorithmParameters::EllipticCurve(key), Some(KeyAlgorithm::ES256) | None)
            if key.curve == EllipticCurve::P256 && length(&key.x) == Some(32) && length(&key.y) == Some(32) =>
        {
            Some(ClientAlgorithm::Es256)
        }
        (AlgorithmParameters::RSA(key), Some(KeyAlgorithm::RS256) | None) if bits(&key.n)? >= MIN_RSA_BITS => {
            Some(ClientAlgorithm::Rs256)
        }
        (AlgorithmParameters::OctetKeyPair(key), Some(KeyAlgorithm::EdDSA) | None)
            if key.curve == EllipticCurve::Ed25519 && length(&key.x) == Some(32) =>
        {
            Some(ClientAlgorithm::EdDsa)
        }
        _ => None,
    }
}

/// How many bits a number has.
fn bits(number: &str) -> Option<usize> {
    let bytes = URL_SAFE_NO_PAD.decode(number).ok()?;
    let leading = bytes.iter().take_while(|byte| **byte == 0).count();
    let first = bytes.get(leading)?;
    let unused = usize::try_from(first.leading_zeros()).ok()?;
    Some((bytes.len() - leading) * 8 - unused)
}

#[cfg(test)]
mod tests;
