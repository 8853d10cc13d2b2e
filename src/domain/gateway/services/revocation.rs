//! Follows the deny-list in the store, so that this replica refuses within a tenth of a second what
//! any replica revokes.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Instant,
};

use chrono::{DateTime, TimeDelta, Utc};
use tracing::error;

use super::ports::TokenStatePublisher;
use crate::{
    domain::gateway::{
        models::{
            token::{Revocation, RevocationCursor},
            values::id::Revocable,
        },
        repositories::{RepositoryError, token::TokenRepository},
    },
    ports::Clock,
};

/// The number of entries that are read at a time.
const PAGE: u64 = 10_000;

/// The number of lost entries that are written back at a time.
const WRITTEN_AT_ONCE: usize = 1_000;

/// How old the last successful read of the deny-list may be before the replica reports that it lost the link. It is
/// read at least twice a second; one slow response of the store is no loss.
const FRESH_FOR: TimeDelta = TimeDelta::seconds(2);

/// Reads new entries of the deny-list, and publishes them.
pub struct RevocationFeed {
    store: Arc<dyn TokenRepository>,
    publisher: Arc<dyn TokenStatePublisher>,
    clock: Arc<dyn Clock>,
    cursor: Mutex<RevocationCursor>,
    /// What the store has lost, and has to get back.
    owed: Mutex<Vec<Revocation>>,
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
            owed: Mutex::default(),
            caught_up_at_us: AtomicI64::new(DateTime::<Utc>::MIN_UTC.timestamp_micros()),
        }
    }

    /// Reads to the end of the list. Meant to be called several times a second, and once before the first request is
    /// served. If the store has lost entries, reads all of it anew.
    pub async fn catch_up(&self) -> Result<(), RepositoryError> {
        // Taken before the read: the read may miss entries that are added while it is in progress.
        let (read_at, heard_at) = (self.clock.now(), Instant::now());
        let reached = *self.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        let end = match self.read_from(reached, |_| ()).await? {
            Some(end) => end,
            None => self.read_anew().await?,
        };
        *self.cursor.lock().unwrap_or_else(PoisonError::into_inner) = end;
        self.publisher.hear(heard_at);
        self.caught_up_at_us.store(read_at.timestamp_micros(), Ordering::Relaxed);
        Ok(())
    }

    /// Writes back a part of what the store has lost. Meant to be called several times a second; meanwhile the list is
    /// followed.
    pub async fn write_back(&self) -> Result<(), RepositoryError> {
        let some = {
            let mut owed = self.owed();
            let rest = owed.len().saturating_sub(WRITTEN_AT_ONCE);
            owed.split_off(rest)
        };
        let outcome = self.store.restore(&some, self.clock.now()).await;
        if outcome.is_err() {
            self.owed().extend(some);
        }
        outcome
    }

    fn owed(&self) -> MutexGuard<'_, Vec<Revocation>> {
        // Each change is complete in itself.
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads and publishes everything after `start`, and returns the end of the list; `None` if the list is not the one
    /// that was read up to there.
    async fn read_from(
        &self,
        start: RevocationCursor,
        mut read: impl FnMut(Revocable),
    ) -> Result<Option<RevocationCursor>, RepositoryError> {
        let mut start = start;
        let mut cursor = start;
        // The end as the first page has found it.
        let mut first_end = None;
        loop {
            let page = self.store.revocations_after(cursor, PAGE).await?;
            if cursor == start && !page.is_continued {
                return Ok(None);
            }
            let entries: Vec<Revocation> = page.entries.iter().map(|recorded| recorded.revocation).collect();
            for entry in &entries {
                read(entry.id);
            }
            if !entries.is_empty() {
                self.publisher.publish_revocations(&entries);
            }
            match page.entries.last() {
                Some(last) if page.entries.len() as u64 >= PAGE => {
                    first_end.get_or_insert(page.end);
                    // In between, entries may have expired: that breaks the chain of marks without a loss.
                    cursor = RevocationCursor::at(last.cursor.place());
                }
                // The store may have lost entries between two pages: what follows the first end is read again.
                Some(_) | None => match first_end.take() {
                    Some(end) => (start, cursor) = (end, end),
                    None => return Ok(Some(page.end)),
                },
            }
        }
    }

    async fn read_anew(&self) -> Result<RevocationCursor, RepositoryError> {
        let mut read = HashSet::new();
        let end = loop {
            let reading = self.read_from(RevocationCursor::default(), |id| {
                read.insert(id);
            });
            if let Some(end) = reading.await? {
                break end;
            }
        };
        let lost: Vec<_> = self.publisher.revocations().into_iter().filter(|known| !read.contains(&known.id)).collect();
        error!(
            lost = lost.len(),
            "the store has lost entries of the deny-list, as after a restore or a failover: it was read anew, and what \
             this replica knows is written back"
        );
        *self.owed() = lost;
        Ok(end)
    }

    /// When the deny-list was last read to its end, if that is too long ago for the promise.
    pub fn unheard_since(&self) -> Option<DateTime<Utc>> {
        let caught_up_at_us = self.caught_up_at_us.load(Ordering::Relaxed);
        let is_fresh =
            self.clock.now().timestamp_micros() - FRESH_FOR.num_microseconds().unwrap_or(0) <= caught_up_at_us;
        (!is_fresh).then(|| DateTime::from_timestamp_micros(caught_up_at_us).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
