//! Sessions of browsers: opens them, says whose they are, lists and ends them, and gives them tokens.

use std::{collections::HashSet, sync::Arc};

use thiserror::Error;
use tracing::warn;

use super::{
    Failure,
    token::{LiveSessions, TokenService},
};
use crate::{
    domain::gateway::{
        models::{
            account::ProviderIdentity,
            id::{AccountId, SessionId},
            identity::{Identity, email_claim},
            session::{Session, SessionLimits, SessionSecret, Visitor},
            token::{IssuedTokens, TokenDigest},
        },
        repositories::{RepositoryError, oauth::OAuthRepository, session::SessionRepository},
    },
    ports::{Clock, Entropy},
};

/// How many sessions an account may have: all of them are shown.
const SHOWN: u64 = 100;

/// How many sessions beyond those one sign-in ends. There are more only if they were opened before there was a limit.
const ENDED_AT_ONCE: u64 = 20;

/// How many sessions' tokens are revoked before all sessions of an account are ended. Those of the others are afterwards.
const REVOKED_FIRST: u64 = 1000;

/// What [`SessionService`] is made of.
pub struct SessionParts {
    /// Where sessions are kept.
    pub store: Arc<dyn SessionRepository>,
    /// Who is who.
    pub accounts: Arc<dyn OAuthRepository>,
    /// The tokens that belong to sessions.
    pub tokens: Arc<TokenService>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// How long sessions last.
    pub limits: SessionLimits,
}

/// Why no session was opened.
#[derive(Debug, Error)]
pub enum OpenSessionError {
    /// The account has just ended.
    #[error("the account is gone")]
    NoAccount,
    /// The store failed.
    #[error(transparent)]
    Failed(#[from] Failure),
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

    /// Opens a session of its own for whoever has just signed in. Of more sessions of the account than are shown those end
    /// that were not used for longest.
    pub async fn open(&self, account: AccountId, visitor: Visitor) -> Result<SessionSecret, OpenSessionError> {
        let SessionParts { store, clock, entropy, limits, .. } = &self.parts;
        let secret = SessionSecret::from_random(entropy.bytes());
        let id = SessionId::from_random(entropy.bytes());
        let session = Session::begin(id, secret.digest(), account, visitor, *limits, clock.now());
        store.open(&session).await.map_err(|error| match error {
            // 122 random bits are not drawn twice.
            RepositoryError::Conflict => OpenSessionError::NoAccount,
            RepositoryError::Unavailable(_) | RepositoryError::Corrupt(_) => OpenSessionError::Failed(error.into()),
        })?;
        if let Err(failure) = self.end_oldest_of(account).await {
            warn!(%failure, "the oldest sessions of an account could not be ended; the next sign-in tries again");
        }
        Ok(secret)
    }

    async fn end_oldest_of(&self, account: AccountId) -> Result<(), Failure> {
        let listed = self.parts.store.list_of(account, SHOWN + ENDED_AT_ONCE).await?;
        for oldest in listed.iter().skip(usize::try_from(SHOWN).unwrap_or(usize::MAX)) {
            self.end_this(oldest).await?;
        }
        Ok(())
    }

    /// The session that a cookie stands for, if it is not over. That it was used is noted now and then.
    pub async fn current(&self, cookie: &str) -> Result<Option<Session>, Failure> {
        self.live(&TokenDigest::of(cookie.as_bytes())).await
    }

    async fn live(&self, digest: &TokenDigest) -> Result<Option<Session>, Failure> {
        Ok(self.living().by_digest(digest, self.parts.clock.now()).await?)
    }

    fn living(&self) -> LiveSessions {
        let SessionParts { store, tokens, limits, .. } = &self.parts;
        LiveSessions { store: store.clone(), deny_list: tokens.deny_list(), limits: *limits }
    }

    /// Who calls with the session of a cookie with this digest, if it is not over: as the data plane has to know it.
    pub async fn caller(&self, digest: TokenDigest) -> Result<Option<Identity>, Failure> {
        let Some(session) = self.live(&digest).await? else { return Ok(None) };
        let claims = email_claim(self.verified_email(&session).await?.as_deref());
        Ok(Some(Identity { claims, ..session.identity() }))
    }

    /// An e-mail address of a session's person that a provider vouches for.
    async fn verified_email(&self, session: &Session) -> Result<Option<String>, Failure> {
        Ok(self.identities(session).await?.into_iter().find_map(|identity| identity.verified_email))
    }

    /// Who a session's person is at the providers.
    pub async fn identities(&self, session: &Session) -> Result<Vec<ProviderIdentity>, Failure> {
        Ok(self.parts.accounts.identities_of(session.account).await?)
    }

    /// The sessions of a session's person that are not over: the hundred that were used last, the latest first.
    pub async fn list(&self, session: &Session) -> Result<Vec<Session>, Failure> {
        let now = self.parts.clock.now();
        let mut sessions = self.parts.store.list_of(session.account, SHOWN).await?;
        let ids: Vec<_> = sessions.iter().map(Session::revocable).collect();
        let ended = self.parts.tokens.deny_list().revoked_among(&ids).await?;
        sessions.retain(|session| session.is_live(now) && !ended.contains(&session.revocable()));
        Ok(sessions)
    }

    /// An access token and a refresh token for the browser of a session; `None` if the session was ended meanwhile.
    pub async fn tokens(&self, session: &Session) -> Result<Option<IssuedTokens>, Failure> {
        let SessionParts { tokens, .. } = &self.parts;
        let email = self.verified_email(session).await?;
        let issued = tokens.for_session(session, email.as_deref()).await?;
        // Whoever ends a session revokes its tokens after that. So if it is still good, they will find these, too.
        if self.live(&session.digest).await?.is_some() {
            return Ok(Some(issued));
        }
        tokens.revoke_those_of(&[session.id]).await?;
        Ok(None)
    }

    /// Ends the session of a cookie, and revokes its tokens. One that is over, or never was, is as good as ended.
    pub async fn end(&self, cookie: &str) -> Result<(), Failure> {
        match self.parts.store.find(&TokenDigest::of(cookie.as_bytes())).await? {
            Some(session) => self.end_this(&session).await,
            None => Ok(()),
        }
    }

    /// Ends a session of this account and revokes its tokens; `false` if it has none of this id that is not over.
    pub async fn end_one_of(&self, account: AccountId, id: SessionId) -> Result<bool, Failure> {
        let found = self.living().by_id(id, self.parts.clock.now()).await?;
        let Some(session) = found.filter(|session| session.account == account) else { return Ok(false) };
        self.end_this(&session).await?;
        Ok(true)
    }

    /// Ends all sessions of an account `but` one and revokes their tokens; says how many were not over before.
    pub async fn end_all_of(&self, account: AccountId, but: Option<SessionId>) -> Result<usize, Failure> {
        let SessionParts { store, tokens, clock, .. } = &self.parts;
        let now = clock.now();
        // In the order of `end_this`.
        let listed = store.list_of(account, REVOKED_FIRST).await?;
        let listed: Vec<Session> = listed.into_iter().filter(|session| Some(session.id) != but).collect();
        tokens.refuse(&listed).await?;
        tokens.revoke_those_of(&ids(&listed)).await?;
        let ended = store.end_all_of(account, but).await?;
        let newer: Vec<Session> = {
            let known: HashSet<SessionId> = listed.iter().map(|session| session.id).collect();
            ended.iter().filter(|one| !known.contains(&one.id)).cloned().collect()
        };
        tokens.refuse(&newer).await?;
        tokens.revoke_those_of(&ids(&ended)).await?;
        Ok(ended.iter().filter(|session| session.is_live(now)).count())
    }

    /// The session is refused first. From then on it gets no tokens that stay: whoever asks for some looks at the deny-list
    /// after they are stored. What is broken off later, `finish_endings` finishes: it finds the session on the deny-list.
    async fn end_this(&self, session: &Session) -> Result<(), Failure> {
        self.parts.tokens.refuse(std::slice::from_ref(session)).await?;
        self.parts.tokens.revoke_those_of(&[session.id]).await?;
        self.parts.store.end(&session.digest).await?;
        self.parts.tokens.revoke_those_of(&[session.id]).await
    }
}

fn ids(sessions: &[Session]) -> Vec<SessionId> {
    sessions.iter().map(|session| session.id).collect()
}

#[cfg(test)]
mod tests;
