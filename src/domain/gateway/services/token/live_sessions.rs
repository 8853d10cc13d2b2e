//! Live sessions, and the record of their use. A session is used by its cookie, and by refreshing the tokens that its
//! browser asked for.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::super::ports::TokenStatePublisher;
use crate::domain::gateway::{
    models::{
        session::{Session, SessionLimits},
        values::{digest::Sha256Digest, id::SessionId},
    },
    repositories::{RepositoryError, session::SessionRepository, token::TokenRepository},
};

/// The live sessions.
#[derive(Clone)]
pub struct LiveSessions {
    /// Stores sessions.
    pub store: Arc<dyn SessionRepository>,
    /// Records which sessions were ended. They stay ended even if the session store forgets it: it can be restored from
    /// a copy.
    pub deny_list: Arc<dyn TokenRepository>,
    /// The deny-list as this replica knows it, for as long as the store is away: nobody can end a session meanwhile.
    pub known: Arc<dyn TokenStatePublisher>,
    /// The time limits of sessions.
    pub limits: SessionLimits,
}

impl LiveSessions {
    /// The session of a cookie with this digest. Its use is recorded now and then.
    pub(in super::super) async fn by_digest(
        &self,
        digest: &Sha256Digest,
        now: DateTime<Utc>,
    ) -> Result<Option<Session>, RepositoryError> {
        let found = self.store.find(digest).await?;
        self.used(found, now).await
    }

    /// The session with this id. Its use is recorded now and then.
    pub(in super::super) async fn by_id(
        &self,
        id: SessionId,
        now: DateTime<Utc>,
    ) -> Result<Option<Session>, RepositoryError> {
        let found = self.store.find_by_id(id).await?;
        self.used(found, now).await
    }

    async fn used(&self, found: Option<Session>, now: DateTime<Utc>) -> Result<Option<Session>, RepositoryError> {
        let Some(session) = found.filter(|session| session.is_live(now)) else { return Ok(None) };
        let has_ended = match self.deny_list.is_any_revoked(&[session.revocable()]).await {
            Err(RepositoryError::Unavailable(_)) => self.known.is_revoked(session.revocable()),
            outcome => outcome?,
        };
        if has_ended {
            return Ok(None);
        }
        let Some(used) = session.used(self.limits, now) else { return Ok(Some(session)) };
        // If another was faster, it recorded the same; if the session was ended in the meantime, this call came before
        // that.
        let noted = self.store.prolong(&used).await?;
        Ok(Some(if noted { used } else { session }))
    }
}
