//! Replaces all signing keys at once, because one of them may be in wrong hands. Gateways may be running meanwhile: each
//! learns of it when it updates its keys. Refresh tokens and sessions are no signed texts, so they stay valid, and people
//! stay signed in.

use std::sync::Arc;

use super::{SigningKeyError, generate, open_key};
use crate::{
    domain::gateway::{
        models::signing_key::KeySchedule,
        repositories::{RepositoryError, signing_key::SigningKeyRepository},
        services::ports::{KeyGenerator, Sealer},
    },
    ports::Clock,
};

/// How often it is tried again if gateways store keys at the same time. One stores a key once in a month.
const ATTEMPTS: u32 = 5;

/// What replacing all keys takes.
pub struct KeyReplacement {
    /// Stores keys.
    pub store: Arc<dyn SigningKeyRepository>,
    /// Generates them.
    pub key_generator: Arc<dyn KeyGenerator>,
    /// Seals their private halves.
    pub sealer: Arc<dyn Sealer>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The algorithm of the new key.
    pub schedule: KeySchedule,
}

/// The result.
#[derive(Debug, PartialEq, Eq)]
pub struct Replaced {
    /// The only key now.
    pub kid: String,
    /// The number of keys that were deleted.
    pub deleted: u64,
}

impl KeyReplacement {
    /// Stores a new key that signs at once, and deletes all others, also those that did not sign yet: they were in the
    /// same hands.
    ///
    /// # Errors
    /// `Sealed`, and nothing changes, if the present keys cannot be opened: then the gateways have another `VAULT_KEY`, and
    /// could not open the new key.
    pub async fn run(&self) -> Result<Replaced, SigningKeyError> {
        let mut attempt = 1;
        loop {
            let keys = self.store.list().await?;
            for key in &keys {
                open_key(key, &*self.sealer)?;
            }
            let now = self.clock.now();
            let key = generate(&self.schedule.replacing(&keys, now), &*self.key_generator, &*self.sealer, now)?;
            match self.store.replace_all(&key).await {
                Ok(deleted) => return Ok(Replaced { kid: key.kid, deleted }),
                Err(RepositoryError::Conflict(_)) if attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }
}
