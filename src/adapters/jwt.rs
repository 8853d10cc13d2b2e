//! Signatures of access tokens (RFC 7515, RFC 9068), by the jsonwebtoken crate. The algorithm is the key's, never the
//! token's (RFC 8725 §3.1).

use std::{collections::HashMap, sync::Arc};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::{SecureRandom, SystemRandom},
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header,
    jwk::{Jwk, PublicKeyUse, ThumbprintHash},
};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::jose::{CompactJws, Malformed, UnverifiedHeader};
use crate::domain::gateway::{
    models::{
        assertion::CallerAssertion,
        signing_key::{SigningAlgorithm, SigningKey},
        token::{AccessClaims, Rejection, SignatureVerifier},
    },
    services::ports::{KeyError, KeyGenerator, KeyPair, KeyRing, PrivateKey},
};

/// `typ` of an access token (RFC 9068 §2.1).
const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// `typ` of an assertion: the generic type that JWT libraries expect.
const ASSERTION_TYPE: &str = "JWT";

/// The maximum length of our tokens: one must fit into a request head, which is limited to 16 KiB.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Creates and loads keys with aws-lc.
pub struct AwsLcKeyGenerator;

impl KeyGenerator for AwsLcKeyGenerator {
    fn generate(&self, algorithm: SigningAlgorithm) -> Result<KeyPair, KeyError> {
        let rng = SystemRandom::new();
        let private_key = match algorithm {
            SigningAlgorithm::Es256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng)
                .map(|document| document.as_ref().to_vec())
                .map_err(refused)?,
            SigningAlgorithm::EdDsa => {
                Ed25519KeyPair::generate_pkcs8v1(&rng).map(|document| document.as_ref().to_vec()).map_err(refused)?
            }
            SigningAlgorithm::Rs256 => RsaKeyPair::generate(KeySize::Rsa2048)
                .and_then(|pair| AsDer::as_der(&pair))
                .map_err(refused)
                .and_then(|document: Pkcs8V1Der<'_>| pkcs1(document.as_ref()))?,
            SigningAlgorithm::Hs256 => {
                let mut secret = vec![0; 32];
                rng.fill(&mut secret).map_err(refused)?;
                secret
            }
        };
        let (kid, public_jwk) = describe(algorithm, &private_key)?;
        Ok(KeyPair { kid, private_key: PrivateKey(private_key), public_jwk })
    }

    fn load(&self, keys: &[(SigningKey, PrivateKey)]) -> Result<Arc<dyn KeyRing>, KeyError> {
        let loaded = keys.iter().map(|(key, private_key)| {
            let encoding = encoding_key(key.algorithm, &private_key.0);
            let decoding = match &key.public_jwk {
                None => DecodingKey::from_secret(&private_key.0),
                Some(jwk) => {
                    let jwk: Jwk = serde_json::from_value(jwk.clone()).map_err(refused)?;
                    DecodingKey::from_jwk(&jwk).map_err(refused)?
                }
            };
            Ok((key.kid.clone(), LoadedKey { algorithm: jose(key.algorithm), encoding, decoding }))
        });
        Ok(Arc::new(JwtKeyRing { keys: loaded.collect::<Result<_, KeyError>>()? }))
    }
}

/// The RSA key inside a PKCS #8 document: jsonwebtoken reads RSA keys as PKCS #1.
fn pkcs1(pkcs8: &[u8]) -> Result<Vec<u8>, KeyError> {
    let document = pkcs8::PrivateKeyInfoRef::try_from(pkcs8).map_err(refused)?;
    Ok(document.private_key.as_bytes().to_vec())
}

/// The `kid` of a key and its public half.
fn describe(algorithm: SigningAlgorithm, private_key: &[u8]) -> Result<(String, Option<Value>), KeyError> {
    if algorithm == SigningAlgorithm::Hs256 {
        // A digest of the secret identifies it and reveals none of its 256 bits.
        let digest = Sha256::digest([b"gateway kid".as_slice(), private_key].concat());
        return Ok((URL_SAFE_NO_PAD.encode(digest), None));
    }
    let encoding = encoding_key(algorithm, private_key);
    let mut jwk = Jwk::from_encoding_key(&encoding, jose(algorithm)).map_err(refused)?;
    let kid = jwk.thumbprint(ThumbprintHash::SHA256).map_err(refused)?;
    jwk.common.key_id = Some(kid.clone());
    jwk.common.public_key_use = Some(PublicKeyUse::Signature);
    let jwk = serde_json::to_value(&jwk).map_err(refused)?;
    Ok((kid, Some(jwk)))
}

fn refused(error: impl std::fmt::Display) -> KeyError {
    KeyError(error.to_string())
}

fn jose(algorithm: SigningAlgorithm) -> Algorithm {
    match algorithm {
        SigningAlgorithm::Es256 => Algorithm::ES256,
        SigningAlgorithm::Rs256 => Algorithm::RS256,
        SigningAlgorithm::EdDsa => Algorithm::EdDSA,
        SigningAlgorithm::Hs256 => Algorithm::HS256,
    }
}

fn encoding_key(algorithm: SigningAlgorithm, private_key: &[u8]) -> EncodingKey {
    match algorithm {
        SigningAlgorithm::Es256 => EncodingKey::from_ec_der(private_key),
        SigningAlgorithm::Rs256 => EncodingKey::from_rsa_der(private_key),
        SigningAlgorithm::EdDsa => EncodingKey::from_ed_der(private_key),
        SigningAlgorithm::Hs256 => EncodingKey::from_secret(private_key),
    }
}

struct LoadedKey {
    algorithm: Algorithm,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

/// Keys by `kid`.
struct JwtKeyRing {
    keys: HashMap<String, LoadedKey>,
}

impl JwtKeyRing {
    fn signed(&self, kid: &str, typ: &str, claims: &Value) -> Result<String, KeyError> {
        let key = self.keys.get(kid).ok_or_else(|| KeyError(format!("{kid} is not loaded")))?;
        let header = Header { typ: Some(typ.to_owned()), kid: Some(kid.to_owned()), ..Header::new(key.algorithm) };
        jsonwebtoken::encode(&header, claims, &key.encoding).map_err(refused)
    }
}

impl KeyRing for JwtKeyRing {
    fn sign(&self, kid: &str, claims: &AccessClaims) -> Result<String, KeyError> {
        self.signed(kid, ACCESS_TOKEN_TYPE, &claims.to_json())
    }

    fn sign_assertion(&self, kid: &str, assertion: &CallerAssertion) -> Result<String, KeyError> {
        self.signed(kid, ASSERTION_TYPE, &assertion.to_json())
    }
}

impl SignatureVerifier for JwtKeyRing {
    fn knows(&self, kid: &str) -> bool {
        self.keys.contains_key(kid)
    }

    fn verify(&self, token: &str) -> Result<AccessClaims, Rejection> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Rejection::Malformed);
        }
        let jws = CompactJws::split(token)?;
        let UnverifiedHeader { alg, kid: Some(kid), typ: Some(typ), crit: false } = jws.header()? else {
            return Err(Rejection::Malformed);
        };
        if !is_access_token_type(&typ) {
            return Err(Rejection::Malformed);
        }
        let payload = jws.payload()?;
        jws.check_signature_form()?;
        let key = self.keys.get(&kid).ok_or(Rejection::UnknownKey)?;
        if alg.parse() != Ok(key.algorithm) || !jws.is_signed_by(&key.decoding, key.algorithm) {
            return Err(Rejection::BadSignature);
        }
        AccessClaims::parse(&payload).map_err(|_| Rejection::Malformed)
    }
}

impl From<Malformed> for Rejection {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// `application/at+jwt` and any case are valid (RFC 9068 §4, RFC 7515 §4.1.9).
fn is_access_token_type(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    typ.strip_prefix("application/").unwrap_or(&typ) == ACCESS_TOKEN_TYPE
}

#[cfg(test)]
mod tests;
