//! Sessions of browsers: opens them, says whose they are, ends them.

use std::sync::Arc;

use super::Failure;
use crate::{
    domain::gateway::{
        models::{
            account::ProviderIdentity,
            id::{AccountId, SessionId},
            session::{Session, SessionLimits, SessionSecret},
            token::TokenDigest,
        },
        repositories::{oauth::OAuthRepository, session::SessionRepository},
    },
    ports::{Clock, Entropy},
};

/// What [`SessionService`] is made of.
pub struct SessionParts {
    /// Where sessions are kept.
    pub store: Arc<dyn SessionRepository>,
    /// Who is who.
    pub accounts: Arc<dyn OAuthRepository>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// How long sessions last.
    pub limits: SessionLimits,
}

/// Sessions: one method per use case.
pub struct SessionService {
    parts: SessionParts,
}

impl SessionService {
    /// Puts the parts together.
    pub fn new(parts: SessionParts) -> Self {
        Self { parts }
    }

    /// How long sessions last.
    pub fn limits(&self) -> SessionLimits {
        self.parts.limits
    }

    /// Opens a session of its own for whoever has just signed in.
    pub async fn open(&self, account: AccountId) -> Result<SessionSecret, Failure> {
        let SessionParts { store, clock, entropy, limits, .. } = &self.parts;
        let secret = SessionSecret::from_random(entropy.bytes());
        let id = SessionId::from_random(entropy.bytes());
        store.open(&Session::begin(id, secret.digest(), account, *limits, clock.now())).await?;
        Ok(secret)
    }

    /// The session that a cookie stands for, if it is not over. That it was used is noted now and then.
    pub async fn current(&self, cookie: &str) -> Result<Option<Session>, Failure> {
        let SessionParts { store, clock, limits, .. } = &self.parts;
        let now = clock.now();
        let found = store.find(&TokenDigest::of(cookie.as_bytes())).await?;
        let Some(session) = found.filter(|session| session.is_live(now)) else { return Ok(None) };
        let Some(used) = session.used(*limits, now) else { return Ok(Some(session)) };
        // If another was faster it noted the same; if the session was ended meanwhile, this call was before that.
        let noted = store.prolong(&used).await?;
        Ok(Some(if noted { used } else { session }))
    }

    /// Who a session's person is at the providers.
    pub async fn identities(&self, session: &Session) -> Result<Vec<ProviderIdentity>, Failure> {
        Ok(self.parts.accounts.identities_of(session.account).await?)
    }

    /// Ends a session. One that is over, or never was, is as good as ended.
    pub async fn end(&self, cookie: &str) -> Result<(), Failure> {
        self.parts.store.end(&TokenDigest::of(cookie.as_bytes())).await?;
        Ok(())
    }

    /// Ends all sessions of an account but this one.
    pub async fn end_all_of(&self, account: AccountId, but: Option<SessionId>) -> Result<(), Failure> {
        self.parts.store.end_all_of(account, but).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::domain::gateway::{
        repositories::memory::{MemoryOAuth, MemorySessions},
        services::testing::{CountingEntropy, TestClock},
    };

    const LIMITS: SessionLimits = SessionLimits { idle: TimeDelta::hours(1), total: TimeDelta::hours(2) };

    fn scene() -> (SessionService, Arc<TestClock>) {
        let clock = TestClock::at(1_800_000_000);
        let parts = SessionParts {
            store: Arc::new(MemorySessions::default()),
            accounts: Arc::new(MemoryOAuth::default()),
            clock: clock.clone(),
            entropy: Arc::new(CountingEntropy::default()),
            limits: LIMITS,
        };
        (SessionService::new(parts), clock)
    }

    fn account() -> AccountId {
        AccountId::from_random([9; 16])
    }

    #[tokio::test]
    async fn a_cookie_stands_for_its_person_until_it_lies_idle() {
        let (sessions, clock) = scene();
        let secret = sessions.open(account()).await.unwrap();
        clock.pass(TimeDelta::minutes(59));
        let session = sessions.current(secret.expose()).await.unwrap().unwrap();
        assert_eq!(session.identity().subject, account().to_string());
        // The use was noted.
        clock.pass(TimeDelta::minutes(59));
        assert!(sessions.current(secret.expose()).await.unwrap().is_some());
        clock.pass(TimeDelta::minutes(2));
        assert_eq!(sessions.current(secret.expose()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_ended_session_and_an_unknown_cookie_stand_for_nobody() {
        let (sessions, _) = scene();
        let [one, other] = [sessions.open(account()).await.unwrap(), sessions.open(account()).await.unwrap()];
        for _ in 0..2 {
            sessions.end(one.expose()).await.unwrap();
            assert_eq!(sessions.current(one.expose()).await.unwrap(), None);
        }
        assert!(sessions.current(other.expose()).await.unwrap().is_some());
        assert_eq!(sessions.current("").await.unwrap(), None);
        assert_eq!(sessions.current(&"x".repeat(43)).await.unwrap(), None);
    }
}
