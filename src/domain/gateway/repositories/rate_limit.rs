//! The store of the counts of rate limits that all replicas share. Only Redis is one: without it, each replica counts by
//! itself, in its own memory.

use async_trait::async_trait;

use super::RepositoryError;
use crate::domain::gateway::models::rate_limit::{BucketDemand, BucketOutcome};

/// Stores the buckets of shared rate limits.
#[async_trait]
pub trait RateLimitRepository: Send + Sync {
    /// Takes one request out of each bucket, or out of none if one of them is empty. If the store fails, it is unknown
    /// whether something was taken.
    async fn take(&self, demands: &[BucketDemand]) -> Result<BucketOutcome, RepositoryError>;
}
