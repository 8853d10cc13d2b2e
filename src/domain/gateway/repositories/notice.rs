//! The store of notices that providers sent, until they were applied and as long as they may be delivered again.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::RepositoryError;
use crate::domain::gateway::models::{
    notice::{ClaimedNotice, Notice, NoticeProgress},
    token::TokenDigest,
};

/// Keeps notices. Times are kept to the microsecond.
#[async_trait]
pub trait NoticeRepository: Send + Sync {
    /// Stores notices by one write, all or none; each is due at once. One whose digest is stored already, applied or not, stays
    /// as it is. Gives how many are new.
    async fn store(&self, notices: &[Notice]) -> Result<u64, RepositoryError>;

    /// Claims notices that are due by `now`, those first that are due for longest, at most `limit`: nobody else gets them before
    /// `until`. Of two racing calls one gets each.
    async fn claim(
        &self,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
        limit: u64,
    ) -> Result<Vec<ClaimedNotice>, RepositoryError>;

    /// Makes a notice due at `at`, unless it was applied.
    async fn postpone(&self, digest: &TokenDigest, at: DateTime<Utc>) -> Result<(), RepositoryError>;

    /// Notes that a notice was applied at `now`: it is due no more, the person in it is forgotten at once, and the rest of it at
    /// `known_until`. To do it again changes nothing.
    async fn finish(
        &self,
        digest: &TokenDigest,
        now: DateTime<Utc>,
        known_until: DateTime<Utc>,
    ) -> Result<(), RepositoryError>;

    /// How far a notice is, as long as it is known.
    async fn progress(&self, digest: &TokenDigest) -> Result<Option<NoticeProgress>, RepositoryError>;

    /// Forgets notices that were applied and need not be known any more; says how many.
    async fn forget_expired(&self, now: DateTime<Utc>) -> Result<u64, RepositoryError>;
}
