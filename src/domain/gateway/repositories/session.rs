//! The store of sessions.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::RepositoryError;
use crate::domain::gateway::models::{
    session::Session,
    values::{
        digest::Sha256Digest,
        id::{AccountId, SessionId},
    },
};

/// Stores sessions. Times are stored to the microsecond.
#[async_trait]
pub trait SessionRepository: Send + Sync {
    /// Stores a session of an existing account.
    ///
    /// # Errors
    /// `Conflict`: `Id` if another session has its id or its digest, `Account` if the account is gone and the store can
    /// tell.
    async fn open(&self, session: &Session) -> Result<(), RepositoryError>;

    /// The session with this digest, over or not.
    async fn find(&self, digest: &Sha256Digest) -> Result<Option<Session>, RepositoryError>;

    /// The session with this id, over or not.
    async fn find_by_id(&self, id: SessionId) -> Result<Option<Session>, RepositoryError>;

    /// An account's sessions, over or not, at most `limit`: the most recently used, latest first.
    async fn list_of(&self, account: AccountId, limit: u64) -> Result<Vec<Session>, RepositoryError>;

    /// Stores the use of a session: its `used_at` and `idle_until`. `false`, and nothing changes, if it was ended, was
    /// over by `used_at`, or lasts as long already: of two concurrent uses the later one counts.
    async fn prolong(&self, used: &Session) -> Result<bool, RepositoryError>;

    /// Ends a session and returns it. Ending it again returns `None`.
    async fn end(&self, digest: &Sha256Digest) -> Result<Option<Session>, RepositoryError>;

    /// Ends all sessions of an account `but` one, over or not, and returns the ended ones. A session that is opened
    /// concurrently may stay.
    async fn end_all_of(&self, account: AccountId, but: Option<SessionId>) -> Result<Vec<Session>, RepositoryError>;

    /// Deletes sessions that are over by `now`; returns how many.
    async fn purge_expired(&self, now: DateTime<Utc>) -> Result<u64, RepositoryError>;
}
