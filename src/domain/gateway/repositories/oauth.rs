//! The store of grants at providers. Their accounts and identities are stored by
//! [`AccountRepository`](super::account::AccountRepository), in the same database.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::RepositoryError;
use crate::domain::gateway::models::{
    oauth::{ExpiryCursor, Grant, GrantCursor, GrantFilter, LeaseOutcome, ProviderName, PutOutcome, RefreshLease},
    values::id::GrantId,
};

/// Stores grants. Times are stored to the microsecond.
#[async_trait]
pub trait OAuthRepository: Send + Sync {
    /// Stores a grant of an identity that the account has; neither can be deleted meanwhile. If the account has one for
    /// the same identity at the same provider, that one keeps its id and `created_at` and takes over everything else;
    /// its lease, if any, ends. Returns the grant as stored.
    ///
    /// # Errors
    /// `Conflict`: `Identity` if the account or its identity does not exist (any more), `Id` if another grant has the id
    /// of a new one.
    async fn put_grant(&self, grant: &Grant) -> Result<Grant, RepositoryError>;

    /// Stores a grant as `put_grant` does, unless the account has one for the same identity that is active and
    /// renewable: then nothing changes, not even its lease. Of two concurrent calls, one of them with a renewable
    /// grant, that one stays.
    ///
    /// # Errors
    /// Those of `put_grant`.
    async fn put_grant_unless_renewable(&self, grant: &Grant) -> Result<PutOutcome, RepositoryError>;

    /// One grant.
    async fn find_grant(&self, id: GrantId) -> Result<Option<Grant>, RepositoryError>;

    /// Grants, newest first, at most `limit`, after `after`.
    async fn list_grants(
        &self,
        filter: &GrantFilter,
        after: Option<GrantCursor>,
        limit: u64,
    ) -> Result<Vec<Grant>, RepositoryError>;

    /// Acquires the lease to refresh a grant, unless there is one that ends after `now`. Of two racing calls one
    /// acquires it.
    async fn acquire_lease(&self, lease: &RefreshLease, now: DateTime<Utc>) -> Result<LeaseOutcome, RepositoryError>;

    /// Extends a held lease until `lease.until`. `false` if this holder does not have it (any more), or it has ended
    /// (`until <= now`).
    async fn renew_lease(&self, lease: &RefreshLease, now: DateTime<Utc>) -> Result<bool, RepositoryError>;

    /// Stores the outcome of a refresh (the grant's `status`, `sealed_tokens`, `expires_at`, `refreshable`,
    /// `allowed_at`, `updated_at`) and releases the lease, both or neither. `false`, and nothing changes, if the lease
    /// is not this holder's any more or the grant is gone. A lease whose time is over still counts as long as no other
    /// holder took it: the provider may have ended the old refresh token with its response, and then the late response
    /// is the only one left.
    async fn finish_refresh(&self, lease: &RefreshLease, refreshed: &Grant) -> Result<bool, RepositoryError>;

    /// Releases a lease without a change. If it was lost already, nothing happens.
    async fn release_lease(&self, lease: &RefreshLease) -> Result<(), RepositoryError>;

    /// Marks every grant of an identity `Revoked`, as of `now` (its `updated_at`), and ends the lease on it: a pending
    /// refresh cannot make it active again. Grants that the person allowed after `until` are unchanged, and so are
    /// those that are revoked already. Returns the marked grants, as they are now.
    async fn revoke_grants_of(
        &self,
        provider: &ProviderName,
        subject: &str,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Grant>, RepositoryError>;

    /// Replaces the sealed tokens `read`, and changes nothing else. `false`, and nothing changes, if `read` is not what
    /// is stored (any more).
    async fn reseal_grant(&self, id: GrantId, read: &[u8], resealed: &[u8]) -> Result<bool, RepositoryError>;

    /// Deletes a grant and returns it. Deleting it again returns `None`.
    async fn remove_grant(&self, id: GrantId) -> Result<Option<Grant>, RepositoryError>;

    /// Active, refreshable grants at this provider whose access token expires at `before` or earlier, soonest first, at
    /// most `limit`, after `after`: the grants to refresh in the background.
    async fn grants_expiring(
        &self,
        provider: &ProviderName,
        before: DateTime<Utc>,
        after: Option<ExpiryCursor>,
        limit: u64,
    ) -> Result<Vec<Grant>, RepositoryError>;
}
