//! Counts requests at all replicas, in Redis. A request never waits long for that: while Redis does not respond in time,
//! each replica counts by itself, and only now and then a request finds out whether it responds again.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use crate::{
    domain::gateway::{
        models::rate_limit::{BucketDemand, BucketOutcome},
        repositories::rate_limit::RateLimitRepository,
    },
    edge::ports::ResolverUnavailable,
};

/// How long a request waits. A Redis nearby takes a millisecond.
const TIMEOUT: Duration = Duration::from_millis(100);

/// How long Redis is left alone after it did not respond.
const PAUSE: Duration = Duration::from_secs(1);

/// The buckets in Redis, and whether it responds.
pub(in crate::app) struct SharedBuckets {
    store: Arc<dyn RateLimitRepository>,
    /// The time of the next attempt, while it does not respond.
    away: Mutex<Option<Instant>>,
}

impl SharedBuckets {
    pub(in crate::app) fn new(store: Arc<dyn RateLimitRepository>) -> Self {
        Self { store, away: Mutex::default() }
    }

    pub(in crate::app) async fn take(&self, demands: &[BucketDemand]) -> Result<BucketOutcome, ResolverUnavailable> {
        if !self.may_ask(Instant::now()) {
            return Err(ResolverUnavailable);
        }
        let reason = match timeout(TIMEOUT, self.store.take(demands)).await {
            Ok(Ok(outcome)) => {
                self.responded();
                return Ok(outcome);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no response in time".to_owned(),
        };
        self.failed(Instant::now(), &reason);
        Err(ResolverUnavailable)
    }

    /// Of all requests that come while Redis is away, one in each pause may ask.
    fn may_ask(&self, now: Instant) -> bool {
        match &mut *self.away.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(next) if now < *next => false,
            Some(next) => {
                *next = now + PAUSE;
                true
            }
            None => true,
        }
    }

    fn responded(&self) {
        if self.away.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            info!("the Redis of REDIS_URL counts requests of shared rate limits again");
        }
    }

    fn failed(&self, now: Instant, reason: &str) {
        let before = self.away.lock().unwrap_or_else(PoisonError::into_inner).replace(now + PAUSE);
        if before.is_none() {
            warn!(
                reason,
                "the Redis of REDIS_URL cannot count requests of shared rate limits; each replica counts by itself"
            );
        }
    }
}
