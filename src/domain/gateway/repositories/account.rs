//! The store of how people sign in without a provider, and of what ends with an account. Identities and grants of accounts
//! are kept by [`OAuthRepository`](super::oauth::OAuthRepository), in the same place.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::RepositoryError;
use crate::domain::gateway::models::{
    account::{
        Account, AccountEnding, Email, ErasureOutcome, IdentityErasure, PasswordHash, PasswordLogin, Profile,
        UnlinkOutcome,
    },
    id::{AccountId, EndingId},
    oauth::{Grant, ProviderName},
};

/// Keeps log-ins with passwords. Times are kept to the microsecond.
#[async_trait]
pub trait AccountRepository: Send + Sync {
    /// Stores a new account and how it logs in, both or neither. Of two racing calls for the same e-mail one succeeds.
    ///
    /// # Errors
    /// `Conflict` if the e-mail or the account's id is taken.
    async fn sign_up(&self, account: &Account, login: &PasswordLogin) -> Result<(), RepositoryError>;

    /// Stores how an account logs in that did not so far. Of two racing calls one succeeds.
    ///
    /// # Errors
    /// `Conflict` if the e-mail is taken, the account has a log-in already, or does not exist.
    async fn add_login(&self, login: &PasswordLogin) -> Result<(), RepositoryError>;

    /// The log-in with this e-mail, as [`Email`] compares them.
    async fn find_login(&self, email: &Email) -> Result<Option<PasswordLogin>, RepositoryError>;

    /// Puts another hash, and its `changed_at`, in place of the one that was read. `false`, and nothing changes, if it is
    /// not what is stored (any more).
    async fn replace_hash(&self, read: &PasswordHash, login: &PasswordLogin) -> Result<bool, RepositoryError>;

    /// Everything that an account is known by.
    async fn profile(&self, account: AccountId) -> Result<Option<Profile>, RepositoryError>;

    /// Takes what an account has at a provider, identities and grants, unless it has no other way in: no log-in here and no
    /// identity elsewhere. Of two racing calls that would leave none together, one is `LastWayIn`.
    async fn unlink(&self, account: AccountId, provider: &ProviderName) -> Result<UnlinkOutcome, RepositoryError>;

    /// Takes one identity from the account that has it, with the grants of it, or the whole account if there is no other way in: no
    /// log-in here and no other identity. Then the ending of the account is stored in the same write, so that what it has open
    /// ends though the process that asked is gone. Nothing changes if a grant of the identity is active and was allowed after `until`.
    async fn erase_identity(&self, erasure: &IdentityErasure) -> Result<ErasureOutcome, RepositoryError>;

    /// Forgets an account with its log-in, identities and grants, all or nothing, and gives the grants that it had. `None`
    /// if there is no such account (any more). Its sessions may go with it or not: they are
    /// [`SessionRepository`](super::session::SessionRepository)'s to end.
    async fn remove(&self, account: AccountId) -> Result<Option<Vec<Grant>>, RepositoryError>;

    /// Stores what is to end, before it does. The account need not exist.
    ///
    /// # Errors
    /// `Conflict` if another has its id.
    async fn begin_ending(&self, ending: &AccountEnding) -> Result<(), RepositoryError>;

    /// What was begun at `at` or before and is not finished: the oldest first, at most `limit`.
    async fn endings_begun_by(&self, at: DateTime<Utc>, limit: u64) -> Result<Vec<AccountEnding>, RepositoryError>;

    /// Forgets what has ended. Forgetting it again changes nothing.
    async fn finish_ending(&self, id: EndingId) -> Result<(), RepositoryError>;
}
