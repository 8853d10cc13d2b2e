//! The keys of one prefix: their names, the scripts that change them, and how values are written in them. Digests are
//! SHA-256 as 64 hexadecimal digits; no secret ever gets here. Times are microseconds since 1970, which Lua's numbers
//! hold exactly.

use chrono::{DateTime, Utc};
use redis::{Cmd, FromRedisValue, Script};

use super::connection::RedisConnection;
use crate::domain::gateway::{models::values::digest::Sha256Digest, repositories::RepositoryError};

/// Keys outlive their contents by this, so that a Redis whose clock is ahead deletes nothing too early: a deleted state
/// could be used again.
const MARGIN_MS: i64 = 3_600_000;

/// How much one run of a script deletes; no other command can run meanwhile.
pub(super) const BATCH: u64 = 500;

/// The keys of one prefix.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    connection: RedisConnection,
    prefix: String,
}

impl Keys {
    pub(super) fn new(connection: RedisConnection, prefix: impl Into<String>) -> Self {
        Self { connection, prefix: prefix.into() }
    }

    /// The name of a key.
    pub(super) fn name(&self, kind: &str, id: &str) -> String {
        format!("{}{kind}:{id}", self.prefix)
    }

    /// Runs a reading command.
    pub(super) async fn read<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RepositoryError> {
        self.connection.read(command).await
    }

    /// Runs a script. Its first argument is the prefix.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        arguments: &[&str],
    ) -> Result<T, RepositoryError> {
        let arguments = [&[self.prefix.as_str()], arguments].concat();
        self.connection.run(script, &arguments).await
    }

    /// Runs a script that deletes a batch of what has expired, until nothing is left; returns how much was deleted.
    pub(super) async fn purge(&self, forget: &Script, now: DateTime<Utc>) -> Result<u64, RepositoryError> {
        let mut forgotten = 0;
        loop {
            let batch: u64 = self.run(forget, &[&micros(now), &BATCH.to_string()]).await?;
            forgotten += batch;
            if batch < BATCH {
                return Ok(forgotten);
            }
        }
    }
}

/// Until when a key is kept whose contents matter until `until`: milliseconds since 1970.
pub(super) fn keep_until(until: DateTime<Utc>) -> String {
    (until.timestamp_millis() + MARGIN_MS).to_string()
}

pub(super) fn micros(time: DateTime<Utc>) -> String {
    time.timestamp_micros().to_string()
}

pub(super) fn hex(digest: &Sha256Digest) -> String {
    let digits = digest.as_bytes().iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}
