//! Manages the signing keys: creates them when due, loads them, signs with the current one, deletes expired ones.

use std::sync::{Arc, RwLock};

use serde_json::Value;
use thiserror::Error;
use tracing::info;

use super::ports::{KeyError, KeyGenerator, KeyRing, OpenError, PrivateKey, Sealer, TokenStatePublisher};
use crate::{
    domain::gateway::{
        models::{
            assertion::{CallerAssertion, SignedAssertion},
            signing_key::{KeySchedule, SigningKey},
            token::{AccessClaims, Rejection},
        },
        repositories::{RepositoryError, signing_key::SigningKeyRepository},
    },
    ports::Clock,
};

/// The reason why keys could not be updated.
#[derive(Debug, Error)]
pub enum SigningKeyError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] RepositoryError),
    /// A key could not be made or loaded.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A stored key cannot be opened.
    #[error(
        "the signing key {kid} cannot be opened: {reason}; if VAULT_KEY was replaced, add the old key after the new one"
    )]
    Sealed {
        /// The key.
        kid: String,
        /// The reason.
        reason: OpenError,
    },
    /// No key has begun to sign.
    #[error("no signing key is in force yet")]
    NoneInForce,
}

/// The dependencies of [`SigningKeys`].
pub struct SigningKeyParts {
    /// Stores keys.
    pub store: Arc<dyn SigningKeyRepository>,
    /// Generates and loads them.
    pub key_generator: Arc<dyn KeyGenerator>,
    /// Seals their private halves.
    pub sealer: Arc<dyn Sealer>,
    /// Announces loaded keys.
    pub publisher: Arc<dyn TokenStatePublisher>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// When keys are created and deleted.
    pub schedule: KeySchedule,
}

/// The keys in force. All methods are fast except [`SigningKeys::refresh`], which calls the store.
pub struct SigningKeys {
    parts: SigningKeyParts,
    loaded: RwLock<Loaded>,
}

#[derive(Clone)]
struct Loaded {
    keys: Arc<[SigningKey]>,
    ring: Arc<dyn KeyRing>,
}

impl SigningKeys {
    /// Loads the keys; creates the first one if there is none.
    pub async fn open(parts: SigningKeyParts) -> Result<Self, SigningKeyError> {
        let ring = parts.key_generator.load(&[])?;
        let service = Self { parts, loaded: RwLock::new(Loaded { keys: Arc::new([]), ring }) };
        service.refresh().await?;
        Ok(service)
    }

    /// Updates the keys from the store and by the schedule. Meant to be called every few seconds.
    pub async fn refresh(&self) -> Result<(), SigningKeyError> {
        let SigningKeyParts { store, clock, schedule, .. } = &self.parts;
        let mut keys = store.list().await?;
        if let Some(due) = schedule.due(&keys, clock.now()) {
            let pair = self.parts.key_generator.generate(due.algorithm)?;
            let key = SigningKey {
                sealed_private_key: self.parts.sealer.seal(&sealing_context(&pair.kid), &pair.private_key.0),
                kid: pair.kid,
                algorithm: due.algorithm,
                generation: due.generation,
                public_jwk: pair.public_jwk,
                created_at: clock.now(),
                signs_from: due.signs_from,
            };
            match store.add(&key).await {
                Ok(()) => {
                    info!(kid = key.kid, algorithm = %key.algorithm, signs_from = %key.signs_from, "new signing key");
                }
                // Another replica was faster; its key serves as well.
                Err(RepositoryError::Conflict(_)) => {}
                Err(error @ (RepositoryError::Unavailable(_) | RepositoryError::Corrupt(_))) => {
                    return Err(error.into());
                }
            }
            keys = store.list().await?;
        }
        for dead in schedule.dead(&keys, clock.now()) {
            store.remove(&dead.kid).await?;
            info!(kid = dead.kid, "signing key deleted: its last token has expired");
        }
        let dead: Vec<String> = schedule.dead(&keys, clock.now()).into_iter().map(|key| key.kid.clone()).collect();
        keys.retain(|key| !dead.contains(&key.kid));
        self.load(keys)
    }

    /// Signs an access token with the key that is in force at its `iat`.
    pub fn sign(&self, claims: &AccessClaims) -> Result<String, SigningKeyError> {
        let loaded = self.loaded();
        let key = self.parts.schedule.signing(&loaded.keys, claims.issued_at).ok_or(SigningKeyError::NoneInForce)?;
        Ok(loaded.ring.sign(&key.kid, claims)?)
    }

    /// Signs an assertion with the key that is in force at its `iat`.
    pub fn sign_assertion(&self, assertion: &CallerAssertion) -> Result<SignedAssertion, SigningKeyError> {
        let loaded = self.loaded();
        let key = self.parts.schedule.signing(&loaded.keys, assertion.issued_at).ok_or(SigningKeyError::NoneInForce)?;
        let text = loaded.ring.sign_assertion(&key.kid, assertion)?;
        Ok(SignedAssertion { text, key: key.kid.clone(), sent_until: assertion.sent_until() })
    }

    /// The authentic claims of a token, not yet judged.
    pub fn verify(&self, token: &str) -> Result<AccessClaims, Rejection> {
        self.loaded().ring.verify(token)
    }

    /// The same, but the key may be a new one of another replica: then the store is asked for it.
    pub async fn verify_or_learn(&self, token: &str) -> Result<Result<AccessClaims, Rejection>, SigningKeyError> {
        match self.verify(token) {
            Err(Rejection::UnknownKey) => {
                self.refresh().await?;
                Ok(self.verify(token))
            }
            validated => Ok(validated),
        }
    }

    /// The public keys (RFC 7517); keys of HS256 have no public half.
    pub fn public_jwks(&self) -> Vec<Value> {
        self.loaded().keys.iter().filter_map(|key| key.public_jwk.clone()).collect()
    }

    fn loaded(&self) -> Loaded {
        self.loaded.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn load(&self, keys: Vec<SigningKey>) -> Result<(), SigningKeyError> {
        if *self.loaded().keys == *keys {
            return Ok(());
        }
        let opened = keys.iter().map(|key| self.open_key(key)).collect::<Result<Vec<_>, _>>()?;
        let ring = self.parts.key_generator.load(&opened)?;
        self.parts.publisher.publish_keys(ring.clone());
        *self.loaded.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Loaded { keys: keys.into(), ring };
        Ok(())
    }

    fn open_key(&self, key: &SigningKey) -> Result<(SigningKey, PrivateKey), SigningKeyError> {
        match self.parts.sealer.open(&sealing_context(&key.kid), &key.sealed_private_key) {
            Ok(private_key) => Ok((key.clone(), PrivateKey(private_key))),
            Err(reason) => Err(SigningKeyError::Sealed { kid: key.kid.clone(), reason }),
        }
    }
}

pub(super) fn sealing_context(kid: &str) -> String {
    format!("signing_key:{kid}")
}

#[cfg(test)]
mod tests;
