//! The buckets of rate limits that all replicas share, in Redis.
//!
//! | key, behind the prefix | type | holds | ends |
//! |---|---|---|---|
//! | `rate:DIGEST` | string | the time at which the bucket is full again, in microseconds | at that time |
//!
//! The times are those of Redis, so the clocks of the replicas do not matter. A key that is lost is a full bucket.

use std::{sync::LazyLock, time::Duration};

use async_trait::async_trait;
use redis::Script;

use super::{
    connection::RedisConnection,
    keys::{Keys, hex},
};
use crate::domain::gateway::{
    models::rate_limit::{BucketDemand, BucketOutcome},
    repositories::{RepositoryError, rate_limit::RateLimitRepository},
};

static TAKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("rate_limit/take.lua")));

/// The buckets of rate limits in Redis.
#[derive(Debug, Clone)]
pub struct RedisRateLimits {
    keys: Keys,
}

impl RedisRateLimits {
    /// Buckets whose keys begin with `prefix`.
    pub fn new(connection: RedisConnection, prefix: impl Into<String>) -> Self {
        Self { keys: Keys::new(connection, prefix) }
    }
}

#[async_trait]
impl RateLimitRepository for RedisRateLimits {
    async fn take(&self, demands: &[BucketDemand]) -> Result<BucketOutcome, RepositoryError> {
        let arguments: Vec<String> = demands
            .iter()
            .flat_map(|demand| [hex(&demand.bucket), micros(demand.rate.interval), micros(demand.rate.filling())])
            .collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (exhausted, times): (usize, Vec<u64>) = self.keys.run(&TAKE, &arguments).await?;
        let mut times = times.into_iter().map(Duration::from_micros);
        Ok(match exhausted.checked_sub(1) {
            None => BucketOutcome::Taken(times.collect()),
            Some(number) => BucketOutcome::Exhausted { number, wait: times.next().unwrap_or_default() },
        })
    }
}

/// Nanoseconds as microseconds, with their fractions.
fn micros(nanos: u64) -> String {
    format!("{}.{:03}", nanos / 1000, nanos % 1000)
}

#[cfg(all(test, feature = "redis-tests"))]
mod tests;
