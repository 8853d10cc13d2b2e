//! The states of finished sign-ins in memory.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Mutex,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::lock;
use crate::domain::gateway::{
    models::values::digest::Sha256Digest,
    repositories::{RepositoryError, login::LoginRepository, truncate_to_micros},
};

/// States by their digest, and when each expires.
#[derive(Debug, Default)]
pub struct MemoryLogins(Mutex<HashMap<Sha256Digest, DateTime<Utc>>>);

#[async_trait]
impl LoginRepository for MemoryLogins {
    async fn redeem(&self, state: &Sha256Digest, expires_at: DateTime<Utc>) -> Result<bool, RepositoryError> {
        match lock(&self.0).entry(*state) {
            Entry::Vacant(vacant) => {
                vacant.insert(truncate_to_micros(expires_at));
                Ok(true)
            }
            Entry::Occupied(_) => Ok(false),
        }
    }

    async fn purge_expired(&self, now: DateTime<Utc>) -> Result<u64, RepositoryError> {
        let now = truncate_to_micros(now);
        let mut states = lock(&self.0);
        let before = states.len();
        states.retain(|_, expires_at| now < *expires_at);
        Ok((before - states.len()) as u64)
    }
}
