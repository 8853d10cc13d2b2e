//! Grants in a database.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::connection::{Connection, with_timeout};
use crate::domain::gateway::{
    models::{
        oauth::{ExpiryCursor, Grant, GrantCursor, GrantFilter, LeaseOutcome, ProviderName, PutOutcome, RefreshLease},
        values::id::GrantId,
    },
    repositories::{RepositoryError, oauth::OAuthRepository},
};

mod grant;
mod lease;

/// Grants in a database.
#[derive(Debug, Clone)]
pub struct SeaOrmOAuth {
    db: Connection,
}

impl SeaOrmOAuth {
    /// A repository over a migrated database.
    pub fn new(db: Connection) -> Self {
        Self { db }
    }
}

#[async_trait]
impl OAuthRepository for SeaOrmOAuth {
    async fn put_grant(&self, grant: &Grant) -> Result<Grant, RepositoryError> {
        with_timeout(grant::put(&self.db, grant)).await
    }

    async fn put_grant_unless_renewable(&self, grant: &Grant) -> Result<PutOutcome, RepositoryError> {
        with_timeout(grant::put_unless_renewable(&self.db, grant)).await
    }

    async fn find_grant(&self, id: GrantId) -> Result<Option<Grant>, RepositoryError> {
        with_timeout(grant::find(&self.db, id)).await
    }

    async fn list_grants(
        &self,
        filter: &GrantFilter,
        after: Option<GrantCursor>,
        limit: u64,
    ) -> Result<Vec<Grant>, RepositoryError> {
        with_timeout(grant::list(&self.db, filter, after, limit)).await
    }

    async fn acquire_lease(&self, lease: &RefreshLease, now: DateTime<Utc>) -> Result<LeaseOutcome, RepositoryError> {
        with_timeout(lease::acquire(&self.db, lease, now)).await
    }

    async fn renew_lease(&self, lease: &RefreshLease, now: DateTime<Utc>) -> Result<bool, RepositoryError> {
        with_timeout(lease::renew(&self.db, lease, now)).await
    }

    async fn finish_refresh(&self, lease: &RefreshLease, refreshed: &Grant) -> Result<bool, RepositoryError> {
        with_timeout(lease::finish(&self.db, lease, refreshed)).await
    }

    async fn release_lease(&self, lease: &RefreshLease) -> Result<(), RepositoryError> {
        with_timeout(lease::release(&self.db, lease)).await
    }

    async fn revoke_grants_of(
        &self,
        provider: &ProviderName,
        subject: &str,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Grant>, RepositoryError> {
        with_timeout(grant::revoke_of(&self.db, provider, subject, until, now)).await
    }

    async fn reseal_grant(&self, id: GrantId, read: &[u8], resealed: &[u8]) -> Result<bool, RepositoryError> {
        with_timeout(grant::reseal(&self.db, id, read, resealed)).await
    }

    async fn remove_grant(&self, id: GrantId) -> Result<Option<Grant>, RepositoryError> {
        with_timeout(grant::remove(&self.db, id)).await
    }

    async fn grants_expiring(
        &self,
        provider: &ProviderName,
        before: DateTime<Utc>,
        after: Option<ExpiryCursor>,
        limit: u64,
    ) -> Result<Vec<Grant>, RepositoryError> {
        with_timeout(grant::expiring(&self.db, provider, before, after, limit)).await
    }
}
