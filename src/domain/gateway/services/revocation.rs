//! Follows the deny-list in the store, so that this replica refuses within a second what any replica revokes.

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

/// The number of entries that are read at a time.
const PAGE: u64 = 10_000;

/// How old the last successful read of the deny-list may be before the replica reports that it lost the link. Twice the
/// promise (a revocation holds everywhere within a second), so that one slow response of the store does not make a
/// replica flap.
const FRESH_FOR: TimeDelta = TimeDelta::seconds(2);

/// Reads new entries of the deny-list, and publishes them.
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

    /// Reads to the end of the list. Meant to be called several times a second, and once before the first request is
    /// served.
    pub async fn catch_up(&self) -> Result<(), RepositoryError> {
        loop {
            // Taken before the read: the read may miss entries that are added while it is in progress.
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
