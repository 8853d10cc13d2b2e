//! Password attempts in memory.

use std::{collections::HashMap, sync::Mutex};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::lock;
use crate::domain::gateway::{
    models::{
        throttle::{Failures, ThrottleDecision, ThrottleKey, Verdict, decide},
        values::digest::Sha256Digest,
    },
    repositories::{
        RepositoryError,
        throttle::{Now, ThrottleRepository},
        truncate_to_micros,
    },
};

/// Password attempts in memory. Only an admitted attempt makes an entry; it costs hashing a password, of which a core
/// does some fifty per second, and is deleted after an hour: that limits them to some tens of megabytes per core under
/// attack.
#[derive(Debug, Default)]
pub struct MemoryThrottle(Mutex<HashMap<Sha256Digest, Failures>>);

#[async_trait]
impl ThrottleRepository for MemoryThrottle {
    async fn admit(&self, counted: &[ThrottleKey], now: Now<'_>) -> Result<ThrottleDecision, RepositoryError> {
        let mut known = lock(&self.0);
        let of: Vec<_> = counted.iter().map(|of| (*of, known.get(of.key()).copied())).collect();
        let Verdict { admission, changed } = decide(&of, truncate_to_micros(now()));
        known.extend(changed);
        Ok(admission)
    }

    async fn forgive(&self, counted: &ThrottleKey) -> Result<(), RepositoryError> {
        if let Some(failures) = lock(&self.0).get_mut(counted.key()) {
            *failures = failures.one_less();
        }
        Ok(())
    }

    async fn reset(&self, counted: &ThrottleKey) -> Result<(), RepositoryError> {
        lock(&self.0).remove(counted.key());
        Ok(())
    }

    async fn purge_expired(&self, now: DateTime<Utc>) -> Result<u64, RepositoryError> {
        let mut known = lock(&self.0);
        let before = known.len();
        known.retain(|_, failures| truncate_to_micros(now) < failures.forget_at());
        Ok((before - known.len()) as u64)
    }
}
