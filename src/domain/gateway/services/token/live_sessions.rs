//! Which sessions are not over, and that they are used. A session is used by its cookie, and by the tokens that its browser
//! asked for when they are refreshed.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::domain::gateway::{
    models::{
        id::SessionId,
        session::{Session, SessionLimits},
        token::TokenDigest,
    },
    repositories::{RepositoryError, session::SessionRepository, token::TokenRepository},
};

/// Sessions that are not over.
#[derive(Clone)]
pub struct LiveSessions {
    /// Where sessions are kept.
    pub store: Arc<dyn SessionRepository>,
    /// Where it is noted which of them were ended. What is there stays ended, though the store of sessions may forget it: it can
    /// be restored from a copy.
    pub deny_list: Arc<dyn TokenRepository>,
    /// How long sessions last.
    pub limits: SessionLimits,
}

impl LiveSessions {
    /// The session of a cookie with this digest. That it was used is noted now and then.
    pub(in super::super) async fn by_digest(
        &self,
        digest: &TokenDigest,
        now: DateTime<Utc>,
    ) -> Result<Option<Session>, RepositoryError> {
        let found = self.store.find(digest).await?;
        self.used(found, now).await
    }

    /// The session of this id. That it was used is noted now and then.
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
        if self.deny_list.is_any_revoked(&[session.revocable()]).await? {
            return Ok(None);
        }
        let Some(used) = session.used(self.limits, now) else { return Ok(Some(session)) };
        // If another was faster it noted the same; if the session was ended meanwhile, this call was before that.
        let noted = self.store.prolong(&used).await?;
        Ok(Some(if noted { used } else { session }))
    }
}
