//! Password attempts in memory.

use std::{collections::HashMap, sync::Mutex};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::lock;
use crate::domain::gateway::{
    models::{
        attempt::{Admission, Counted, Failures, Judgement, judge},
        token::TokenDigest,
    },
    repositories::{
        RepositoryError,
        attempt::{AttemptRepository, Now},
        kept,
    },
};

/// Password attempts in memory. Only an admitted attempt makes an entry; it costs hashing a password, of which a core
/// does some fifty per second, and is deleted after an hour: that limits them to some tens of megabytes per core under
/// attack.
#[derive(Debug, Default)]
pub struct MemoryAttempts(Mutex<HashMap<TokenDigest, Failures>>);

#[async_trait]
impl AttemptRepository for MemoryAttempts {
    async fn admit(&self, counted: &[Counted], now: Now<'_>) -> Result<Admission, RepositoryError> {
        let mut known = lock(&self.0);
        let of: Vec<_> = counted.iter().map(|of| (*of, known.get(of.key()).copied())).collect();
        let Judgement { admission, changed } = judge(&of, kept(now()));
        known.extend(changed);
        Ok(admission)
    }

    async fn forgive(&self, counted: &Counted) -> Result<(), RepositoryError> {
        if let Some(failures) = lock(&self.0).get_mut(counted.key()) {
            *failures = failures.one_less();
        }
        Ok(())
    }

    async fn reset(&self, counted: &Counted) -> Result<(), RepositoryError> {
        lock(&self.0).remove(counted.key());
        Ok(())
    }

    async fn forget_expired(&self, now: DateTime<Utc>) -> Result<u64, RepositoryError> {
        let mut known = lock(&self.0);
        let before = known.len();
        known.retain(|_, failures| kept(now) < failures.forget_at());
        Ok((before - known.len()) as u64)
    }
}
