//! A provider's keys for signing id tokens and the like (RFC 7517).

use std::sync::Arc;

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde_json::Value;
use url::Url;

use super::{
    cached_document::{CachedDocument, Obtained},
    flow::Flow,
};
use crate::{
    domain::gateway::{models::values::secret::Secret, services::ports::ProviderError},
    ports::Clock,
};

/// A key and its one algorithm (RFC 8725 §3.1).
pub(in crate::adapters::providers) struct Key {
    kid: Option<String>,
    /// The only issuer whose tokens it may sign. Entra's keys name one, as many issuers share the set.
    pub(in crate::adapters::providers) issuer: Option<String>,
    pub(in crate::adapters::providers) algorithm: Algorithm,
    pub(in crate::adapters::providers) decoding: DecodingKey,
}

/// The usable keys of a set.
pub(in crate::adapters::providers) struct Keys(Vec<Key>);

impl Keys {
    /// Keeps the usable keys; others are for other purposes (RFC 7517 §5).
    fn of(set: &Value) -> Result<Self, ProviderError> {
        let keys = set.get("keys").and_then(Value::as_array);
        let keys = keys.ok_or_else(|| ProviderError::BadResponse("the key set contains no keys".to_owned()))?;
        Ok(Self(keys.iter().filter_map(Key::of).collect()))
    }

    /// The key with this id; without an id, the only key of the set.
    pub(in crate::adapters::providers) fn find(&self, kid: Option<&str>) -> Option<&Key> {
        match (kid, self.0.as_slice()) {
            (Some(kid), keys) => keys.iter().find(|key| key.kid.as_deref() == Some(kid)),
            (None, [key]) => Some(key),
            (None, _) => None,
        }
    }
}

impl Key {
    /// A secret shared with the provider: for HS256 only. No key set yields such a key.
    pub(in crate::adapters::providers) fn of_secret(secret: &Secret) -> Self {
        let decoding = DecodingKey::from_secret(secret.expose().as_bytes());
        Self { kid: None, issuer: None, algorithm: Algorithm::HS256, decoding }
    }

    fn of(jwk: &Value) -> Option<Self> {
        let issuer = jwk.get("issuer").and_then(Value::as_str).map(str::to_owned);
        let jwk: Jwk = serde_json::from_value(jwk.clone()).ok()?;
        if jwk.common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
            return None;
        }
        let (algorithm, decoding) = (algorithm(&jwk)?, DecodingKey::from_jwk(&jwk).ok()?);
        Some(Self { kid: jwk.common.key_id, issuer, algorithm, decoding })
    }
}

/// The algorithm of a key, if it is allowed. An RSA key that names none is for RS256, the default of OpenID Connect; a
/// curve has one algorithm.
fn algorithm(jwk: &Jwk) -> Option<Algorithm> {
    match (&jwk.algorithm, jwk.common.key_algorithm) {
        (AlgorithmParameters::RSA(_), named) => match named {
            Some(KeyAlgorithm::RS256) | None => Some(Algorithm::RS256),
            Some(KeyAlgorithm::RS384) => Some(Algorithm::RS384),
            Some(KeyAlgorithm::RS512) => Some(Algorithm::RS512),
            Some(KeyAlgorithm::PS256) => Some(Algorithm::PS256),
            Some(KeyAlgorithm::PS384) => Some(Algorithm::PS384),
            Some(KeyAlgorithm::PS512) => Some(Algorithm::PS512),
            Some(_) => None,
        },
        (AlgorithmParameters::EllipticCurve(key), named) => match (&key.curve, named) {
            (EllipticCurve::P256, Some(KeyAlgorithm::ES256) | None) => Some(Algorithm::ES256),
            (EllipticCurve::P384, Some(KeyAlgorithm::ES384) | None) => Some(Algorithm::ES384),
            _ => None,
        },
        (AlgorithmParameters::OctetKeyPair(key), Some(KeyAlgorithm::EdDSA) | None)
            if key.curve == EllipticCurve::Ed25519 =>
        {
            Some(Algorithm::EdDSA)
        }
        _ => None,
    }
}

/// The cached keys of a provider.
pub(in crate::adapters::providers) struct Jwks(CachedDocument<Keys>);

impl Jwks {
    pub(in crate::adapters::providers) fn new(clock: Arc<dyn Clock>) -> Self {
        Self(CachedDocument::new(clock))
    }

    /// The keys, including the one that is looked for if the provider has it.
    pub(in crate::adapters::providers) async fn get(
        &self,
        flow: &Flow,
        url: &Url,
        kid: Option<&str>,
    ) -> Result<Arc<Keys>, ProviderError> {
        self.0.get(|keys| keys.find(kid).is_some(), fetch(flow, url)).await
    }

    /// Like `get`, for a final verdict: a key is unknown only if the provider did not have it a moment ago. If the keys
    /// cannot be fetched again so soon, the error is temporary.
    pub(in crate::adapters::providers) async fn get_for_judgement(
        &self,
        flow: &Flow,
        url: &Url,
        kid: Option<&str>,
    ) -> Result<Arc<Keys>, ProviderError> {
        match self.0.obtain(|keys| keys.find(kid).is_some(), fetch(flow, url)).await? {
            Obtained::Current(keys) => Ok(keys),
            Obtained::Earlier(keys) if kid.is_none() || keys.find(kid).is_some() => Ok(keys),
            Obtained::Earlier(_) => Err(ProviderError::Unavailable("its keys were fetched a moment ago".to_owned())),
        }
    }
}

async fn fetch(flow: &Flow, url: &Url) -> Result<Keys, ProviderError> {
    let set = flow.document(url.clone()).await?;
    Keys::of(&set)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ec(more: &Value) -> Value {
        let mut key = json!({
            "kty": "EC", "crv": "P-256", "kid": "1",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
        });
        key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        key
    }

    #[test]
    fn only_keys_of_the_allowed_algorithms_are_taken() {
        let taken = |key: &Value| Key::of(key).map(|key| key.algorithm);
        assert_eq!(taken(&ec(&json!({}))), Some(Algorithm::ES256));
        assert_eq!(taken(&ec(&json!({"alg": "ES256", "use": "sig"}))), Some(Algorithm::ES256));
        let edwards =
            |curve: &str| json!({"kty": "OKP", "crv": curve, "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        assert_eq!((taken(&edwards("Ed25519")), taken(&edwards("P-256"))), (Some(Algorithm::EdDSA), None));
        let rsa = |alg: Option<&str>| {
            let mut key = json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"});
            key.as_object_mut().unwrap().extend(alg.map(|alg| ("alg".to_owned(), json!(alg))));
            key
        };
        assert_eq!(taken(&rsa(None)), Some(Algorithm::RS256));
        for name in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
            assert_eq!(taken(&rsa(Some(name))), name.parse().ok(), "{name}");
        }
        let p384 = ec(&json!({"crv": "P-384"}));
        assert_eq!(taken(&p384), Some(Algorithm::ES384));
        for (why, key) in [
            ("for encryption", ec(&json!({"use": "enc"}))),
            ("another algorithm", ec(&json!({"alg": "RS256"}))),
            ("an algorithm of tomorrow", ec(&json!({"alg": "ML-DSA-44"}))),
            ("an algorithm of another curve", ec(&json!({"crv": "P-384", "alg": "ES256"}))),
            ("a curve without an algorithm", ec(&json!({"crv": "P-521"}))),
            ("a curve of Edwards", ec(&json!({"crv": "Ed25519"}))),
            ("a symmetric key", json!({"kty": "oct", "alg": "HS256", "k": "c2VjcmV0"})),
            ("a symmetric algorithm", rsa(Some("HS256"))),
            ("for encryption only", rsa(Some("RSA-OAEP"))),
            ("an unknown kind", json!({"kty": "AKP", "pub": "AQAB"})),
            ("no key", json!("key")),
        ] {
            assert_eq!(taken(&key), None, "{why}");
        }
    }

    #[test]
    fn without_an_id_there_must_be_one_key() {
        let keys = |keys: Value| Keys::of(&json!({ "keys": keys })).unwrap();
        let one = keys(json!([ec(&json!({})), {"kty": "AKP"}]));
        assert!(one.find(None).is_some() && one.find(Some("1")).is_some() && one.find(Some("2")).is_none());
        assert!(keys(json!([ec(&json!({})), ec(&json!({"kid": "2"}))])).find(None).is_none());
        assert!(Keys::of(&json!({})).is_err() && Keys::of(&json!(null)).is_err());
    }
}
