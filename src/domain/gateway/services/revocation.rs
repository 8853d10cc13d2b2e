//! Follows the deny-list in the store, so that what any replica revokes is refused here within a second.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};

use super::ports::TokenStatePublisher;
use crate::{
    domain::gateway::{
        models::token::{Revocation, RevocationCursor},
        repositories::{RepositoryError, token::TokenRepository},
    },
    ports::Clock,
};

/// How many entries are read at a time.
const PAGE: u64 = 10_000;

/// How old the last good look at the deny-list may be before the replica says that it lost the link. Twice the promise (a
/// revocation holds everywhere within a second), so that one slow answer of the store does not make a replica flap.
const FRESH_FOR: TimeDelta = TimeDelta::seconds(2);

/// Reads what was added to the deny-list since the last time, and publishes it.
pub struct RevocationFeed {
    store: Arc<dyn TokenRepository>,
    publisher: Arc<dyn TokenStatePublisher>,
    clock: Arc<dyn Clock>,
    cursor: Mutex<RevocationCursor>,
    caught_up_at_us: AtomicI64,
}

impl RevocationFeed {
    /// A feed that has read nothing yet.
    pub fn new(
        store: Arc<dyn TokenRepository>,
        publisher: Arc<dyn TokenStatePublisher>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            store,
            publisher,
            clock,
            cursor: Mutex::default(),
            caught_up_at_us: AtomicI64::new(DateTime::<Utc>::MIN_UTC.timestamp_micros()),
        }
    }

    /// Reads to the end of the list. Meant to be called a few times a second, and once before the first request is served.
    pub async fn catch_up(&self) -> Result<(), RepositoryError> {
        loop {
            // Taken before the read: what is revoked while the read is under way may be missing from it.
            let read_at = self.clock.now();
            let cursor = *self.cursor.lock().unwrap_or_else(PoisonError::into_inner);
            let page = self.store.revocations_after(cursor, PAGE).await?;
            if let Some(last) = page.last() {
                let revocations: Vec<Revocation> = page.iter().map(|recorded| recorded.revocation).collect();
                self.publisher.publish_revocations(&revocations);
                *self.cursor.lock().unwrap_or_else(PoisonError::into_inner) = last.cursor;
            }
            if (page.len() as u64) < PAGE {
                self.caught_up_at_us.store(read_at.timestamp_micros(), Ordering::Relaxed);
                return Ok(());
            }
        }
    }

    /// Whether the deny-list was read to its end recently enough to keep the promise.
    pub fn is_fresh(&self) -> bool {
        let caught_up_at = self.caught_up_at_us.load(Ordering::Relaxed);
        self.clock.now().timestamp_micros() - FRESH_FOR.num_microseconds().unwrap_or(0) <= caught_up_at
    }
}

#[cfg(test)]
mod tests;
