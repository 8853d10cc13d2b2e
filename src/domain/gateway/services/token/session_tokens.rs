//! Tokens of signed-in browsers. They belong to a session: none of them outlives it, refreshing them uses it, and when
//! it ends they are revoked.

use chrono::{DateTime, Utc};

use super::{Failure, RefreshError, TokenService};
use crate::domain::gateway::models::{
    session::Session,
    token::{IssuedTokens, RefreshRecord, RefreshState, Revocation, TokenFamily},
    values::{id::SessionId, identity::email_claim},
};

/// How many sessions, or their families, are revoked in one transaction.
const AT_ONCE: usize = 100;

impl TokenService {
    /// Issues tokens for the browser of a session: its account as the subject and no scope, as after a sign-in. The
    /// caller must check afterwards that the session still exists, and otherwise revoke the tokens.
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
        self.issue_pair(&family, refresh_token, until, now)
    }

    /// Puts these sessions on the deny-list: replicas that remember them refuse them, here and everywhere.
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

    /// Finishes interrupted endings of sessions: a store may have been unreachable, or a gateway killed.
    pub async fn finish_endings(&self) -> Result<(), Failure> {
        let now = self.parts.clock.now();
        let families = self.parts.store.revoke_families_of_ended_sessions(now).await?;
        self.parts.publisher.publish_revocations(&families.iter().map(TokenFamily::revocation).collect::<Vec<_>>());
        Ok(())
    }

    /// How long the successors of a refresh token may last: as long as its session, if it has one. Looked up before the
    /// token is used up, so that no one loses their tokens to an unreachable store.
    pub(super) async fn session_deadline(
        &self,
        found: RefreshRecord,
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, RefreshError> {
        match found.state(now) {
            // A used one may be presented again within the grace, after a lost response.
            RefreshState::Active => {}
            RefreshState::Consumed if now < found.expires_at => {}
            // An expired or revoked refresh token must not extend the session.
            RefreshState::Consumed | RefreshState::Expired | RefreshState::Revoked => return Ok(None),
        }
        let TokenFamily { id: family, session: Some(session), .. } = found.family else { return Ok(None) };
        if let Some(session) = self.parts.sessions.by_id(session, now).await.map_err(Failure::from)? {
            return Ok(Some(session.idle_until));
        }
        self.revoke_family(family).await?;
        Err(RefreshError::Revoked)
    }
}
