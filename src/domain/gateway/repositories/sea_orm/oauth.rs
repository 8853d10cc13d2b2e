//! Accounts and grants in a database.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sea_orm::{DbErr, SqlErr};

use super::connection::{Connection, with_timeout};
use crate::domain::gateway::{
    models::{
        account::{Account, ProviderIdentity},
        id::{AccountId, GrantId},
        oauth::{ExpiryCursor, Grant, GrantCursor, GrantFilter, LeaseOutcome, ProviderName, PutOutcome, RefreshLease},
    },
    repositories::{RepositoryError, oauth::OAuthRepository},
};

mod account;
mod grant;
mod lease;

pub(super) use account::identities as identities_of;

/// Accounts and grants in a database.
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
    async fn account_of(&self, identity: &ProviderIdentity, newcomer: &Account) -> Result<Account, RepositoryError> {
        with_timeout(account::of(&self.db, identity, newcomer)).await
    }

    async fn find_account(&self, provider: &ProviderName, subject: &str) -> Result<Option<AccountId>, RepositoryError> {
        with_timeout(account::find(&self.db, provider, subject)).await
    }

    async fn link(&self, identity: &ProviderIdentity, account: &Account) -> Result<(), RepositoryError> {
        with_timeout(account::link(&self.db, identity, account)).await
    }

    async fn identities_of(&self, account: AccountId) -> Result<Vec<ProviderIdentity>, RepositoryError> {
        with_timeout(account::identities(&self.db, account)).await
    }

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

/// The error of a write that names a missing account: by the port's contract, a conflict.
pub(super) fn without_account(error: DbErr) -> RepositoryError {
    match error.sql_err() {
        Some(SqlErr::ForeignKeyConstraintViolation(_)) => RepositoryError::Conflict,
        _ => error.into(),
    }
}
