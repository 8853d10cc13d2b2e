//! Sessions in memory.

use std::{cmp::Reverse, collections::HashMap, sync::Mutex};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::lock;
use crate::domain::gateway::{
    models::{
        session::Session,
        values::{
            digest::Sha256Digest,
            id::{AccountId, SessionId},
        },
    },
    repositories::{Constraint, RepositoryError, session::SessionRepository, truncate_to_micros},
};

/// Sessions in memory.
#[derive(Debug, Default)]
pub struct MemorySessions(Mutex<HashMap<Sha256Digest, Session>>);

#[async_trait]
impl SessionRepository for MemorySessions {
    async fn open(&self, session: &Session) -> Result<(), RepositoryError> {
        let mut sessions = lock(&self.0);
        if sessions.contains_key(&session.digest) || sessions.values().any(|other| other.id == session.id) {
            return Err(RepositoryError::Conflict(Constraint::Id));
        }
        let session = Session {
            created_at: truncate_to_micros(session.created_at),
            used_at: truncate_to_micros(session.used_at),
            idle_until: truncate_to_micros(session.idle_until),
            expires_at: truncate_to_micros(session.expires_at),
            ..session.clone()
        };
        sessions.insert(session.digest, session);
        Ok(())
    }

    async fn find(&self, digest: &Sha256Digest) -> Result<Option<Session>, RepositoryError> {
        Ok(lock(&self.0).get(digest).cloned())
    }

    async fn find_by_id(&self, id: SessionId) -> Result<Option<Session>, RepositoryError> {
        Ok(lock(&self.0).values().find(|session| session.id == id).cloned())
    }

    async fn list_of(&self, account: AccountId, limit: u64) -> Result<Vec<Session>, RepositoryError> {
        let sessions = lock(&self.0);
        let mut found: Vec<_> = sessions.values().filter(|session| session.account == account).cloned().collect();
        found.sort_by_key(|session| (Reverse(session.used_at), session.id));
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(found)
    }

    async fn prolong(&self, used: &Session) -> Result<bool, RepositoryError> {
        let (used_at, idle_until) = (truncate_to_micros(used.used_at), truncate_to_micros(used.idle_until));
        let mut sessions = lock(&self.0);
        let Some(session) = sessions.get_mut(&used.digest) else { return Ok(false) };
        if !session.is_live(used_at) || idle_until <= session.idle_until {
            return Ok(false);
        }
        (session.used_at, session.idle_until) = (used_at, idle_until);
        Ok(true)
    }

    async fn end(&self, digest: &Sha256Digest) -> Result<Option<Session>, RepositoryError> {
        Ok(lock(&self.0).remove(digest))
    }

    async fn end_all_of(&self, account: AccountId, but: Option<SessionId>) -> Result<Vec<Session>, RepositoryError> {
        let ends = |session: &Session| session.account == account && Some(session.id) != but;
        Ok(lock(&self.0).extract_if(|_, session| ends(session)).map(|(_, session)| session).collect())
    }

    async fn purge_expired(&self, now: DateTime<Utc>) -> Result<u64, RepositoryError> {
        let now = truncate_to_micros(now);
        let mut sessions = lock(&self.0);
        let before = sessions.len();
        sessions.retain(|_, session| session.is_live(now));
        Ok((before - sessions.len()) as u64)
    }
}
