//! Tokens of a browser that is signed in. They belong to its session: none of them outlives it, refreshing them is using it,
//! and when it ends they are revoked.

use chrono::{DateTime, Utc};

use super::{Failure, RefreshError, TokenService};
use crate::domain::gateway::models::{
    id::SessionId,
    identity::email_claim,
    session::Session,
    token::{IssuedTokens, RefreshRecord, Revocation, TokenFamily},
};

/// How many sessions, or their families, are revoked in one transaction.
const AT_ONCE: usize = 100;

impl TokenService {
    /// Tokens for the browser of a session: its account as the subject and no scope, as after a sign-in. Whoever calls must
    /// look once more whether the session is there, and if it is not revoke what it got.
    pub(in super::super) async fn for_session(
        &self,
        session: &Session,
        verified_email: Option<&str>,
    ) -> Result<IssuedTokens, Failure> {
        let now = self.parts.clock.now();
        let until = Some(session.idle_until);
        let family = TokenFamily {
            subject: session.account.to_string(),
            session: Some(session.id),
            claims: email_claim(verified_email),
            ..self.blank_family(now)
        };
        let refresh_token = self.open_among(&family, until, now).await?;
        self.press(&family, refresh_token, until, now)
    }

    /// Makes everybody refuse these sessions who remembers them, here and on every replica.
    pub(in super::super) async fn refuse(&self, sessions: &[Session]) -> Result<(), Failure> {
        let (limits, now) = (self.parts.sessions.limits, self.parts.clock.now());
        for sessions in sessions.chunks(AT_ONCE) {
            let revocations: Vec<Revocation> = sessions.iter().map(|session| session.revocation(limits, now)).collect();
            self.deny(&revocations).await?;
        }
        Ok(())
    }

    /// Revokes all tokens that belong to these sessions. They are refused here when this returns.
    pub(in super::super) async fn revoke_those_of(&self, sessions: &[SessionId]) -> Result<(), Failure> {
        for sessions in sessions.chunks(AT_ONCE) {
            let now = self.parts.clock.now();
            let families = self.parts.store.revoke_families_of_sessions(sessions, now).await?;
            let live = families.iter().filter(|family| family.may_have_live_access_tokens(now));
            self.parts.publisher.publish_revocations(&live.map(TokenFamily::revocation).collect::<Vec<_>>());
        }
        Ok(())
    }

    /// Finishes what was begun when sessions ended, and broken off: by a store that was out of reach, or a gateway that was
    /// killed.
    pub async fn finish_endings(&self) -> Result<(), Failure> {
        let now = self.parts.clock.now();
        let families = self.parts.store.revoke_families_of_ended_sessions(now).await?;
        self.parts.publisher.publish_revocations(&families.iter().map(TokenFamily::revocation).collect::<Vec<_>>());
        Ok(())
    }

    /// Until when the successors of a refresh token may last: as long as the session that it belongs to, if it does. Looked
    /// up before the token is used up, so that a store that is out of reach costs nobody their tokens.
    pub(super) async fn bound_of(
        &self,
        found: RefreshRecord,
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, RefreshError> {
        // What is no good any more is no sign of life, either.
        let good = Some(found).filter(|record| record.family.revoked_at.is_none() && now < record.expires_at);
        let Some((family, session)) = good.and_then(|record| Some((record.family.id, record.family.session?))) else {
            return Ok(None);
        };
        if let Some(session) = self.parts.sessions.by_id(session, now).await.map_err(Failure::from)? {
            return Ok(Some(session.idle_until));
        }
        self.revoke_family(family).await?;
        Err(RefreshError::Revoked)
    }
}
