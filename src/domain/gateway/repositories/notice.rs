//! The store of providers' notices, until they were applied and as long as they may be delivered again.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::RepositoryError;
use crate::domain::gateway::models::{
    notice::{ClaimedNotice, Notice, NoticeProgress},
    values::digest::Sha256Digest,
};

/// Stores notices. Times are stored to the microsecond.
#[async_trait]
pub trait NoticeRepository: Send + Sync {
    /// Stores notices with one write, all or none; each is due at once. One whose digest is stored already, applied or
    /// not, is unchanged. Returns how many are new.
    async fn store(&self, notices: &[Notice]) -> Result<u64, RepositoryError>;

    /// Claims notices that are due by `now`, the longest due first, at most `limit`: no other caller gets them before
    /// `until`. Of two racing calls one gets each.
    async fn claim(
        &self,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
        limit: u64,
    ) -> Result<Vec<ClaimedNotice>, RepositoryError>;

    /// Makes a notice due at `at`, unless it was applied.
    async fn postpone(&self, digest: &Sha256Digest, at: DateTime<Utc>) -> Result<(), RepositoryError>;

    /// Records that a notice was applied at `now`: it is no longer due, its person is deleted at once, and the rest of
    /// it at `known_until`. Repeating it changes nothing.
    async fn finish(
        &self,
        digest: &Sha256Digest,
        now: DateTime<Utc>,
        known_until: DateTime<Utc>,
    ) -> Result<(), RepositoryError>;

    /// The progress of a notice, as long as it is remembered.
    async fn progress(&self, digest: &Sha256Digest) -> Result<Option<NoticeProgress>, RepositoryError>;

    /// Deletes applied notices that need not be remembered any more; returns how many.
    async fn purge_expired(&self, now: DateTime<Utc>) -> Result<u64, RepositoryError>;
}
