//! The states of finished sign-ins in Redis.
//!
//! | key, behind the prefix | type | holds | ends |
//! |---|---|---|---|
//! | `login:DIGEST` | string | a state that was used up | an hour after the attempt has expired |
//! | `login-ends` | sorted set | the states to be forgotten, by when | never; it is empty if nothing is kept |

use std::sync::LazyLock;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use redis::Script;

use super::{
    connection::RedisConnection,
    keys::{Keys, hex, keep_until, micros},
};
use crate::domain::gateway::{
    models::values::digest::Sha256Digest,
    repositories::{RepositoryError, login::LoginRepository},
};

static REDEEM: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("login/redeem.lua")));
static FORGET: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("login/forget.lua")));

/// The states of finished sign-ins in Redis.
#[derive(Debug, Clone)]
pub struct RedisLogins {
    keys: Keys,
}

impl RedisLogins {
    /// States whose keys begin with `prefix`.
    pub fn new(connection: RedisConnection, prefix: impl Into<String>) -> Self {
        Self { keys: Keys::new(connection, prefix) }
    }
}

#[async_trait]
impl LoginRepository for RedisLogins {
    async fn redeem(&self, state: &Sha256Digest, expires_at: DateTime<Utc>) -> Result<bool, RepositoryError> {
        self.keys.run(&REDEEM, &[&hex(state), &keep_until(expires_at), &micros(expires_at)]).await
    }

    async fn purge_expired(&self, now: DateTime<Utc>) -> Result<u64, RepositoryError> {
        self.keys.purge(&FORGET, now).await
    }
}
