//! Manages the signing keys: creates them when due, loads them, signs with the current one, deletes expired ones.

use std::sync::{
    Arc, RwLock,
    atomic::{AtomicU64, Ordering},
};

use chrono::{DateTime, Utc};
use serde_json::Value;
use thiserror::Error;
use tokio::sync::Mutex;
use tracing::info;

use super::ports::{KeyError, KeyGenerator, KeyRing, OpenError, PrivateKey, Sealer, TokenStatePublisher};
use crate::{
    domain::gateway::{
        models::{
            assertion::{CallerAssertion, SignedAssertion},
            signing_key::{DueKey, KeySchedule, SigningKey},
            token::{AccessClaims, Rejection},
        },
        repositories::{RepositoryError, signing_key::SigningKeyRepository},
    },
    ports::Clock,
};

pub mod replacing;

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
    /// The number of updates that have begun.
    begun: AtomicU64,
    /// The last update that succeeded. Held during an update: an older list of keys must not bring back what a newer one
    /// lacks.
    succeeded: Mutex<u64>,
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
        let loaded = RwLock::new(Loaded { keys: Arc::new([]), ring });
        let service = Self { parts, loaded, begun: AtomicU64::new(0), succeeded: Mutex::default() };
        service.refresh().await?;
        Ok(service)
    }

    /// Updates the keys from the store and by the schedule. Meant to be called every few seconds.
    pub async fn refresh(&self) -> Result<(), SigningKeyError> {
        let begun = self.begun.load(Ordering::SeqCst);
        let mut succeeded = self.succeeded.lock().await;
        // Of many who wait, one works: its list is newer than their question.
        if *succeeded <= begun {
            let this = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
            self.update().await?;
            *succeeded = this;
        }
        Ok(())
    }

    async fn update(&self) -> Result<(), SigningKeyError> {
        let SigningKeyParts { store, key_generator, sealer, clock, schedule, .. } = &self.parts;
        let mut keys = store.list().await?;
        if let Some(due) = schedule.due(&keys, clock.now()) {
            let key = generate(&due, &**key_generator, &**sealer, clock.now())?;
            match store.add(&key).await {
                Ok(()) => {
                    info!(kid = key.kid, algorithm = %key.algorithm, signs_from = %key.signs_from, "new signing key");
                }
                // Another replica was faster; its key serves as well.
                Err(RepositoryError::Conflict(_)) => {}
                Err(
                    error
                    @ (RepositoryError::Unavailable(_) | RepositoryError::Corrupt(_) | RepositoryError::Misfit(_)),
                ) => {
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

    /// Loads these keys and no others. One that cannot be opened does not keep those in force that are gone.
    fn load(&self, keys: Vec<SigningKey>) -> Result<(), SigningKeyError> {
        let loaded = self.loaded().keys;
        if *loaded == *keys {
            return Ok(());
        }
        let (mut opened, mut sealed) = (Vec::with_capacity(keys.len()), None);
        for key in keys {
            match open_key(&key, &*self.parts.sealer) {
                Ok(private_key) => opened.push((key, private_key)),
                Err(error) => sealed = sealed.or(Some(error)),
            }
        }
        if !loaded.iter().eq(opened.iter().map(|(key, _)| key)) {
            let ring = self.parts.key_generator.load(&opened)?;
            self.parts.publisher.publish_keys(ring.clone());
            let keys = opened.into_iter().map(|(key, _)| key).collect();
            *self.loaded.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Loaded { keys, ring };
        }
        sealed.map_or(Ok(()), Err)
    }
}

/// Makes a key that is due.
fn generate(
    due: &DueKey,
    key_generator: &dyn KeyGenerator,
    sealer: &dyn Sealer,
    now: DateTime<Utc>,
) -> Result<SigningKey, SigningKeyError> {
    let pair = key_generator.generate(due.algorithm)?;
    Ok(SigningKey {
        sealed_private_key: sealer.seal(&sealing_context(&pair.kid), &pair.private_key.0),
        kid: pair.kid,
        algorithm: due.algorithm,
        generation: due.generation,
        public_jwk: pair.public_jwk,
        created_at: now,
        signs_from: due.signs_from,
    })
}

fn open_key(key: &SigningKey, sealer: &dyn Sealer) -> Result<PrivateKey, SigningKeyError> {
    match sealer.open(&sealing_context(&key.kid), &key.sealed_private_key) {
        Ok(private_key) => Ok(PrivateKey(private_key)),
        Err(reason) => Err(SigningKeyError::Sealed { kid: key.kid.clone(), reason }),
    }
}

pub(super) fn sealing_context(kid: &str) -> String {
    format!("signing_key:{kid}")
}

#[cfg(test)]
mod tests;
