//! Notices of providers in memory.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Mutex,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::lock;
use crate::domain::gateway::{
    models::{
        notice::{ClaimedNotice, Notice, NoticeProgress},
        values::digest::Sha256Digest,
    },
    repositories::{RepositoryError, notice::NoticeRepository, truncate_to_micros},
};

/// Notices of providers in memory.
#[derive(Debug, Default)]
pub struct MemoryNotices(Mutex<HashMap<Sha256Digest, Stored>>);

#[derive(Debug)]
enum Stored {
    Due { notice: Notice, at: DateTime<Utc>, attempts: u32 },
    Applied { progress: NoticeProgress, known_until: DateTime<Utc> },
}

#[async_trait]
impl NoticeRepository for MemoryNotices {
    async fn store(&self, notices: &[Notice]) -> Result<u64, RepositoryError> {
        let mut stored = lock(&self.0);
        let mut new = 0;
        for notice in notices {
            if let Entry::Vacant(vacant) = stored.entry(notice.digest) {
                let received_at = truncate_to_micros(notice.received_at);
                let notice = Notice { sent_at: notice.sent_at.map(truncate_to_micros), received_at, ..notice.clone() };
                vacant.insert(Stored::Due { notice, at: received_at, attempts: 0 });
                new += 1;
            }
        }
        Ok(new)
    }

    async fn claim(
        &self,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
        limit: u64,
    ) -> Result<Vec<ClaimedNotice>, RepositoryError> {
        let mut stored = lock(&self.0);
        let mut due: Vec<_> = stored
            .values_mut()
            .filter_map(|stored| match stored {
                Stored::Due { notice, at, attempts } if *at <= truncate_to_micros(now) => Some((notice, at, attempts)),
                Stored::Due { .. } | Stored::Applied { .. } => None,
            })
            .collect();
        due.sort_by_key(|(notice, at, _)| (**at, notice.digest));
        due.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let claim = |(notice, at, attempts): (&mut Notice, &mut DateTime<Utc>, &mut u32)| {
            (*at, *attempts) = (truncate_to_micros(until), attempts.saturating_add(1));
            ClaimedNotice { notice: notice.clone(), attempts: *attempts }
        };
        Ok(due.into_iter().map(claim).collect())
    }

    async fn postpone(&self, digest: &Sha256Digest, until: DateTime<Utc>) -> Result<(), RepositoryError> {
        if let Some(Stored::Due { at, .. }) = lock(&self.0).get_mut(digest) {
            *at = truncate_to_micros(until);
        }
        Ok(())
    }

    async fn finish(
        &self,
        digest: &Sha256Digest,
        now: DateTime<Utc>,
        known_until: DateTime<Utc>,
    ) -> Result<(), RepositoryError> {
        let mut stored = lock(&self.0);
        if let Some(stored) = stored.get_mut(digest)
            && let Stored::Due { notice, .. } = stored
        {
            let progress =
                NoticeProgress { received_at: notice.received_at, applied_at: Some(truncate_to_micros(now)) };
            *stored = Stored::Applied { progress, known_until: truncate_to_micros(known_until) };
        }
        Ok(())
    }

    async fn progress(&self, digest: &Sha256Digest) -> Result<Option<NoticeProgress>, RepositoryError> {
        Ok(lock(&self.0).get(digest).map(|stored| match stored {
            Stored::Due { notice, .. } => NoticeProgress { received_at: notice.received_at, applied_at: None },
            Stored::Applied { progress, .. } => *progress,
        }))
    }

    async fn purge_expired(&self, now: DateTime<Utc>) -> Result<u64, RepositoryError> {
        let mut stored = lock(&self.0);
        let before = stored.len();
        stored.retain(|_, stored| match stored {
            Stored::Due { .. } => true,
            Stored::Applied { known_until, .. } => truncate_to_micros(now) < *known_until,
        });
        Ok((before - stored.len()) as u64)
    }
}
