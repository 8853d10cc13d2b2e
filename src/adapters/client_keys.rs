//! Public keys of machine clients, and the assertions that they sign (RFC 7517, RFC 7523), by the jsonwebtoken crate.
//! The algorithm is the key's, never the assertion's (RFC 8725 §3.1).

mod edwards;
mod jwk;
mod modulus;
mod pem;
mod shape;

use jsonwebtoken::{Algorithm, DecodingKey, jwk::Jwk};
use serde_json::Value;

use super::jose::{CompactJws, Malformed};
use crate::domain::gateway::{
    models::client::{AssertionClaims, ClientAlgorithm, ClientKey},
    services::ports::{AssertionError, ClientKeyError, ClientKeys, KeyFlaw},
};

/// The maximum length of an assertion.
const MAX_ASSERTION_BYTES: usize = 16 * 1024;

/// Reads keys and verifies signatures with aws-lc.
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
        // Of two members with one name, readers take one or the other (RFC 7517 §4).
        if let Some(repetition) = shape::repetition(file) {
            return Err(repetition);
        }
        let mut keys: Vec<ClientKey> = Vec::new();
        for (jwk, number) in jwks.into_iter().zip(1..) {
            let key = jwk::public_key(jwk, number)?;
            if let Some(flaw) = repeats(&keys, &key) {
                return Err(ClientKeyError::Unusable { number, flaw });
            }
            keys.push(key);
        }
        if keys.is_empty() { Err(ClientKeyError::NoKey) } else { Ok(keys) }
    }

    fn unverified_subject(&self, assertion: &str) -> Result<String, AssertionError> {
        let claims: Value =
            serde_json::from_slice(&split(assertion)?.payload()?).map_err(|_| AssertionError::Malformed)?;
        claims["sub"].as_str().map(str::to_owned).ok_or(AssertionError::Malformed)
    }

    fn verify(&self, assertion: &str, keys: &[ClientKey]) -> Result<AssertionClaims, AssertionError> {
        let jws = split(assertion)?;
        let header = jws.header()?;
        if header.crit || !header.typ.as_deref().is_none_or(is_assertion_type) {
            return Err(AssertionError::Malformed);
        }
        jws.check_signature_form()?;
        let may_have_signed = |key: &&ClientKey| {
            key.algorithm.names().contains(&header.alg.as_str())
                && (header.kid.is_none() || key.kid.is_none() || key.kid == header.kid)
        };
        if keys.iter().filter(may_have_signed).any(|key| is_signed_by(&jws, key)) {
            AssertionClaims::parse(&jws.payload()?).map_err(|_| AssertionError::Malformed)
        } else {
            Err(AssertionError::BadSignature)
        }
    }
}

/// Whether an earlier key has the same key or the same name.
fn repeats(before: &[ClientKey], key: &ClientKey) -> Option<KeyFlaw> {
    let first = |is: &dyn Fn(&ClientKey) -> bool| before.iter().position(is).map(|at| at + 1);
    first(&|other| other.jwk == key.jwk)
        .map(KeyFlaw::SameKey)
        .or_else(|| first(&|other| other.kid.is_some() && other.kid == key.kid).map(KeyFlaw::SameKid))
}

/// `JWT`, or the type that is being registered for assertions (draft-ietf-oauth-rfc7523bis); in any case, with or
/// without `application/` (RFC 7515 §4.1.9). An access token that another issuer signed with the key is refused.
fn is_assertion_type(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "client-authentication+jwt")
}

/// Splits an assertion.
fn split(assertion: &str) -> Result<CompactJws<'_>, AssertionError> {
    if assertion.len() > MAX_ASSERTION_BYTES {
        return Err(AssertionError::Malformed);
    }
    Ok(CompactJws::split(assertion)?)
}

/// Whether the key signed it.
fn is_signed_by(jws: &CompactJws<'_>, key: &ClientKey) -> bool {
    let decoding = serde_json::from_value(key.jwk.clone()).ok().and_then(|jwk: Jwk| DecodingKey::from_jwk(&jwk).ok());
    decoding.is_some_and(|decoding| jws.is_signed_by(&decoding, jose(key.algorithm)))
}

impl From<Malformed> for AssertionError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

fn jose(algorithm: ClientAlgorithm) -> Algorithm {
    match algorithm {
        ClientAlgorithm::Es256 => Algorithm::ES256,
        ClientAlgorithm::Rs256 => Algorithm::RS256,
        ClientAlgorithm::EdDsa => Algorithm::EdDSA,
    }
}

#[cfg(test)]
mod tests;
