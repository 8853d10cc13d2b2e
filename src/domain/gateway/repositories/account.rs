//! The store of accounts: their identities at providers, their password logins, and pending account endings. Their
//! grants are stored by [`OAuthRepository`](super::oauth::OAuthRepository), in the same database.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::RepositoryError;
use crate::domain::gateway::models::{
    account::{
        Account, AccountEnding, Email, ErasureOutcome, IdentityErasure, PasswordHash, PasswordLogin, Profile,
        ProviderIdentity, UnlinkOutcome,
    },
    oauth::{Grant, ProviderName},
    values::id::{AccountId, EndingId},
};

/// Stores accounts. Times are stored to the microsecond.
#[async_trait]
pub trait AccountRepository: Send + Sync {
    /// The account of this identity at its provider; if there is none, `new_account` becomes it. Two concurrent calls for
    /// the same identity both get the same account. E-mail and name are updated, and never looked up by; a name stays
    /// if the provider sends none this time (Apple sends it once).
    ///
    /// # Errors
    /// `Conflict(Id)` if the identity is unknown and the id of `new_account` is taken by another account.
    async fn account_of(&self, identity: &ProviderIdentity, new_account: &Account) -> Result<Account, RepositoryError>;

    /// The account of the person with this identifier at the provider, if there is one.
    async fn find_account(&self, provider: &ProviderName, subject: &str) -> Result<Option<AccountId>, RepositoryError>;

    /// Links an identity to an existing account. Linking it again to the same account changes nothing.
    ///
    /// # Errors
    /// `Conflict`: `Identity` if it belongs to another account, otherwise `Account` if the account does not exist.
    async fn link(&self, identity: &ProviderIdentity, account: &Account) -> Result<(), RepositoryError>;

    /// The identities of an account, sorted by provider and subject, as the providers last reported them.
    async fn identities_of(&self, account: AccountId) -> Result<Vec<ProviderIdentity>, RepositoryError>;

    /// Stores a new account and its password login, both or neither. Of two racing calls for the same e-mail one
    /// succeeds.
    ///
    /// # Errors
    /// `Conflict`: `Email` or `Id` if the e-mail or the account's id is taken.
    async fn sign_up(&self, account: &Account, login: &PasswordLogin) -> Result<(), RepositoryError>;

    /// Stores the first password login of an account. Of two racing calls one succeeds.
    ///
    /// # Errors
    /// `Conflict`: `Account` if it does not exist, `Login` if it has a password login already, otherwise `Email` if that is
    /// taken.
    async fn add_login(&self, login: &PasswordLogin) -> Result<(), RepositoryError>;

    /// The password login with this e-mail, as [`Email`] compares them.
    async fn find_login(&self, email: &Email) -> Result<Option<PasswordLogin>, RepositoryError>;

    /// Replaces the hash `read`, and its `changed_at`. `false`, and nothing changes, if `read` is not the stored hash
    /// (any more).
    async fn replace_hash(&self, read: &PasswordHash, login: &PasswordLogin) -> Result<bool, RepositoryError>;

    /// An account with its password login and identities.
    async fn profile(&self, account: AccountId) -> Result<Option<Profile>, RepositoryError>;

    /// Removes an account's identities and grants at a provider, unless it has no other way to sign in: no password
    /// login here and no identity elsewhere. If two racing calls together would leave none, one is `LastWayIn`.
    async fn unlink(&self, account: AccountId, provider: &ProviderName) -> Result<UnlinkOutcome, RepositoryError>;

    /// Removes one identity from its account, with its grants, or the whole account if there is no other way to sign
    /// in: no password login here and no other identity. Then the ending of the account is stored in the same write, so
    /// that its sessions and tokens end even if the calling process is gone. Nothing changes if a grant of the identity
    /// is active and was allowed after `until`.
    async fn erase_identity(&self, erasure: &IdentityErasure) -> Result<ErasureOutcome, RepositoryError>;

    /// Deletes an account with its password login, identities and grants, all or nothing, and returns its grants.
    /// `None` if there is no such account (any more). Its sessions may be deleted with it or not: ending them is up to
    /// [`SessionRepository`](super::session::SessionRepository).
    async fn remove(&self, account: AccountId) -> Result<Option<Vec<Grant>>, RepositoryError>;

    /// Stores an ending before its first step. The account need not exist.
    ///
    /// # Errors
    /// `Conflict(Id)` if another ending has its id.
    async fn begin_ending(&self, ending: &AccountEnding) -> Result<(), RepositoryError>;

    /// Unfinished endings that began at `at` or before: oldest first, at most `limit`.
    async fn endings_begun_by(&self, at: DateTime<Utc>, limit: u64) -> Result<Vec<AccountEnding>, RepositoryError>;

    /// Deletes a finished ending. Deleting it again changes nothing.
    async fn finish_ending(&self, id: EndingId) -> Result<(), RepositoryError>;
}
