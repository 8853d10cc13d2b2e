//! Sessions of browsers: opens, lists and ends them, finds their accounts, and issues their tokens.

use std::{collections::HashSet, sync::Arc};

use thiserror::Error;
use tracing::warn;

use super::{
    Failure,
    last_known::LastKnown,
    token::{LiveSessions, TokenService},
};
use crate::{
    domain::gateway::{
        models::{
            account::ProviderIdentity,
            session::{MAX_SESSIONS, Session, SessionLimits, SessionSecret, Visitor},
            token::IssuedTokens,
            values::{
                digest::Sha256Digest,
                id::{AccountId, SessionId},
                identity::{Identity, email_claim},
            },
        },
        repositories::{Constraint, RepositoryError, account::AccountRepository, session::SessionRepository},
    },
    ports::{Clock, Entropy},
};

/// The most sessions beyond that limit that one sign-in ends. There are more only if they were opened before the limit
/// existed.
const ENDED_AT_ONCE: u64 = 20;

/// The most sessions whose tokens are revoked before all sessions of an account are ended. Those of the others are
/// revoked afterwards.
const REVOKED_FIRST: u64 = 1000;

/// The dependencies of [`SessionService`].
pub struct SessionParts {
    /// Stores sessions.
    pub store: Arc<dyn SessionRepository>,
    /// Finds identities.
    pub accounts: Arc<dyn AccountRepository>,
    /// The tokens that belong to sessions.
    pub tokens: Arc<TokenService>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The time limits of sessions.
    pub limits: SessionLimits,
}

/// The reason why no session was opened.
#[derive(Debug, Error)]
pub enum OpenSessionError {
    /// The account has just ended.
    #[error("the account no longer exists")]
    NoAccount,
    /// The store failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// Sessions: one method per use case.
pub struct SessionService {
    parts: SessionParts,
    /// For callers of the data plane, while the store of accounts is away.
    emails: LastKnown<AccountId, Option<String>>,
}

impl SessionService {
    /// Creates the service.
    pub fn new(parts: SessionParts) -> Self {
        Self { parts, emails: LastKnown::default() }
    }

    /// The time limits of sessions.
    pub fn limits(&self) -> SessionLimits {
        self.parts.limits
    }

    /// Opens a new session after a sign-in. If the account has more sessions than are shown, the least recently used
    /// ones end.
    pub async fn open(&self, account: AccountId, visitor: Visitor) -> Result<SessionSecret, OpenSessionError> {
        let SessionParts { store, clock, entropy, limits, .. } = &self.parts;
        let secret = SessionSecret::from_random(entropy.bytes());
        let id = SessionId::from_random(entropy.bytes());
        let session = Session::begin(id, secret.digest(), account, visitor, *limits, clock.now());
        store.open(&session).await.map_err(|error| match error {
            RepositoryError::Conflict(Constraint::Account) => OpenSessionError::NoAccount,
            error => OpenSessionError::Failed(error.into()),
        })?;
        if let Err(failure) = self.end_oldest_of(account).await {
            warn!(%failure, "the oldest sessions of an account could not be ended; the next sign-in tries again");
        }
        Ok(secret)
    }

    async fn end_oldest_of(&self, account: AccountId) -> Result<(), Failure> {
        let listed = self.parts.store.list_of(account, MAX_SESSIONS + ENDED_AT_ONCE).await?;
        for oldest in listed.iter().skip(usize::try_from(MAX_SESSIONS).unwrap_or(usize::MAX)) {
            self.end_this(oldest).await?;
        }
        Ok(())
    }

    /// The session of a cookie, if it has not ended. Its use is recorded now and then.
    pub async fn current(&self, cookie: &str) -> Result<Option<Session>, Failure> {
        self.live(&Sha256Digest::of(cookie.as_bytes())).await
    }

    async fn live(&self, digest: &Sha256Digest) -> Result<Option<Session>, Failure> {
        Ok(self.living().by_digest(digest, self.parts.clock.now()).await?)
    }

    fn living(&self) -> LiveSessions {
        let SessionParts { store, tokens, limits, .. } = &self.parts;
        let (deny_list, known) = (tokens.deny_list(), tokens.known_revocations());
        LiveSessions { store: store.clone(), deny_list, known, limits: *limits }
    }

    /// The caller of a session cookie with this digest, if the session has not ended: as the data plane needs it.
    ///
    /// While the store of accounts is away, the e-mail address is the one that was last found.
    pub async fn caller(&self, digest: Sha256Digest) -> Result<Option<Identity>, Failure> {
        let Some(session) = self.live(&digest).await? else { return Ok(None) };
        let email = match self.verified_email(&session).await {
            Err(failure @ Failure::Unavailable(_)) => self.emails.get(&session.account).ok_or(failure)?,
            email => email.inspect(|email| self.emails.remember(session.account, email.clone()))?,
        };
        let claims = email_claim(email.as_deref());
        Ok(Some(Identity { claims, ..session.identity() }))
    }

    /// An e-mail address of a session's person that a provider vouches for.
    async fn verified_email(&self, session: &Session) -> Result<Option<String>, Failure> {
        Ok(self.identities(session).await?.into_iter().find_map(|identity| identity.verified_email))
    }

    /// The identities of a session's person at the providers.
    pub async fn identities(&self, session: &Session) -> Result<Vec<ProviderIdentity>, Failure> {
        Ok(self.parts.accounts.identities_of(session.account).await?)
    }

    /// The live sessions of a session's person: the hundred most recently used, latest first.
    pub async fn list(&self, session: &Session) -> Result<Vec<Session>, Failure> {
        let now = self.parts.clock.now();
        let mut sessions = self.parts.store.list_of(session.account, MAX_SESSIONS).await?;
        let ids: Vec<_> = sessions.iter().map(Session::revocable).collect();
        let ended = self.parts.tokens.deny_list().revoked_among(&ids).await?;
        sessions.retain(|session| session.is_live(now) && !ended.contains(&session.revocable()));
        Ok(sessions)
    }

    /// An access token and a refresh token for a session's browser; `None` if the session was ended in the meantime.
    pub async fn tokens(&self, session: &Session) -> Result<Option<IssuedTokens>, Failure> {
        let SessionParts { tokens, .. } = &self.parts;
        let email = self.verified_email(session).await?;
        let issued = tokens.for_session(session, email.as_deref()).await?;
        // Ending a session revokes its tokens after that. So if it is still live here, that will find these tokens,
        // too.
        if self.live(&session.digest).await?.is_some() {
            return Ok(Some(issued));
        }
        tokens.revoke_those_of(&[session.id]).await?;
        Ok(None)
    }

    /// Ends the session of a cookie, and revokes its tokens. A session that has ended, or never existed, is a success.
    pub async fn end(&self, cookie: &str) -> Result<(), Failure> {
        match self.parts.store.find(&Sha256Digest::of(cookie.as_bytes())).await? {
            Some(session) => self.end_this(&session).await,
            None => Ok(()),
        }
    }

    /// Ends a session of this account and revokes its tokens; `false` if it has no live session with this id.
    pub async fn end_one_of(&self, account: AccountId, id: SessionId) -> Result<bool, Failure> {
        let found = self.living().by_id(id, self.parts.clock.now()).await?;
        let Some(session) = found.filter(|session| session.account == account) else { return Ok(false) };
        self.end_this(&session).await?;
        Ok(true)
    }

    /// Ends all sessions of an account `but` one and revokes their tokens; returns how many were live before.
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

    /// The session is refused first. From then on it gets no lasting tokens: issuing checks the deny-list after the
    /// tokens are stored. If a later step is interrupted, `finish_endings` completes it: it finds the session on the
    /// deny-list.
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
