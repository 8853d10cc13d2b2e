//! The store of accounts and of what people allowed us at providers.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::RepositoryError;
use crate::domain::gateway::models::{
    account::{Account, ProviderIdentity},
    id::{AccountId, GrantId},
    oauth::{ExpiryCursor, Grant, GrantCursor, GrantFilter, LeaseOutcome, ProviderName, PutOutcome, RefreshLease},
};

/// Keeps accounts, their identities at providers, and grants. Times are kept to the microsecond.
#[async_trait]
pub trait OAuthRepository: Send + Sync {
    /// The account of this identity at its provider; if there is none, `newcomer` becomes it. Of two calls at once for the
    /// same identity both get the same account. E-mail and name are updated, and never looked up by;
    /// a name stays if the provider tells none this time (Apple tells it once).
    ///
    /// # Errors
    /// `Conflict` if the identity is unknown and the newcomer's id is another account's.
    async fn account_of(&self, identity: &ProviderIdentity, newcomer: &Account) -> Result<Account, RepositoryError>;

    /// The account of the person whom a provider calls so, if there is one.
    async fn find_account(&self, provider: &ProviderName, subject: &str) -> Result<Option<AccountId>, RepositoryError>;

    /// Links an identity to an existing account. Linking it again to the same account changes nothing.
    ///
    /// # Errors
    /// `Conflict` if it is another account's, or the account does not exist.
    async fn link(&self, identity: &ProviderIdentity, account: &Account) -> Result<(), RepositoryError>;

    /// Who an account is at the providers, by provider and subject, as they last told.
    async fn identities_of(&self, account: AccountId) -> Result<Vec<ProviderIdentity>, RepositoryError>;

    /// Stores a grant of an identity that the account has, while neither can go. If the account has one for the same identity at the same provider, that one keeps its id and
    /// `created_at` and takes over everything else; its lease, if any, ends. Gives the grant as it is stored.
    ///
    /// # Errors
    /// `Conflict` if the account or its identity does not exist (any more), or another grant has the id of a new one.
    async fn put_grant(&self, grant: &Grant) -> Result<Grant, RepositoryError>;

    /// Stores a grant as `put_grant` does, unless the account has one for the same identity that is active and can be renewed:
    /// then nothing changes, its lease neither. Of two calls at once, one of them with a grant that can be renewed, that one stays.
    ///
    /// # Errors
    /// As those of `put_grant`.
    async fn put_grant_unless_renewable(&self, grant: &Grant) -> Result<PutOutcome, RepositoryError>;

    /// One grant.
    async fn find_grant(&self, id: GrantId) -> Result<Option<Grant>, RepositoryError>;

    /// Grants, newest first, at most `limit`, behind `after`.
    async fn list_grants(
        &self,
        filter: &GrantFilter,
        after: Option<GrantCursor>,
        limit: u64,
    ) -> Result<Vec<Grant>, RepositoryError>;

    /// Takes the lease to refresh a grant, if nobody holds one that ends after `now`. Of two racing calls one acquires.
    async fn acquire_lease(&self, lease: &RefreshLease, now: DateTime<Utc>) -> Result<LeaseOutcome, RepositoryError>;

    /// Makes a held lease last until `lease.until`. `false` if it is not held (any more) by this holder, or has ended
    /// (`until <= now`).
    async fn renew_lease(&self, lease: &RefreshLease, now: DateTime<Utc>) -> Result<bool, RepositoryError>;

    /// Stores the outcome of a refresh (the grant's `status`, `sealed_tokens`, `expires_at`, `refreshable`, `allowed_at`,
    /// `updated_at`) and gives the lease back, both or neither. `false`, and nothing changes, if the lease is not this holder's any more
    /// or the grant is gone. That the lease's time is over does not matter as long as nobody else took it: the provider may
    /// have ended the old refresh token with its answer, and then the late one is all there is.
    async fn finish_refresh(&self, lease: &RefreshLease, refreshed: &Grant) -> Result<bool, RepositoryError>;

    /// Gives a lease back without a change. If it was lost already, nothing happens.
    async fn release_lease(&self, lease: &RefreshLease) -> Result<(), RepositoryError>;

    /// Marks every grant of an identity `Revoked`, as of `now` (its `updated_at`), and ends the lease on it: a refresh that
    /// is under way cannot make it active again. Grants that the person allowed after `until` stay as they are, and so do
    /// those that are revoked already. Gives those that were marked, as they are now.
    async fn revoke_grants_of(
        &self,
        provider: &ProviderName,
        subject: &str,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Grant>, RepositoryError>;

    /// Puts other sealed tokens in place of those that were read, and changes nothing else. `false`, and nothing changes, if
    /// they are not what is stored (any more).
    async fn reseal_grant(&self, id: GrantId, read: &[u8], resealed: &[u8]) -> Result<bool, RepositoryError>;

    /// Forgets a grant and gives what it was. Forgetting it again gives `None`.
    async fn remove_grant(&self, id: GrantId) -> Result<Option<Grant>, RepositoryError>;

    /// Active, refreshable grants at this provider whose access token is refused from `before` on or earlier, soonest first,
    /// at most `limit`, behind `after`: those that want to be refreshed in the background.
    async fn grants_expiring(
        &self,
        provider: &ProviderName,
        before: DateTime<Utc>,
        after: Option<ExpiryCursor>,
        limit: u64,
    ) -> Result<Vec<Grant>, RepositoryError>;
}
