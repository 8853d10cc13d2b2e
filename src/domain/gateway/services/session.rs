//! Sessions of browsers: opens them, says whose they are, lists and ends them, and gives them tokens.

use std::{collections::HashSet, sync::Arc};

use super::{Failure, token::TokenService};
use crate::{
    domain::gateway::{
        models::{
            account::ProviderIdentity,
            id::{AccountId, SessionId},
            identity::{Identity, email_claim},
            session::{Session, SessionLimits, SessionSecret, Visitor},
            token::{IssuedTokens, TokenDigest},
        },
        repositories::{oauth::OAuthRepository, session::SessionRepository},
    },
    ports::{Clock, Entropy},
};

mod living;

pub use living::LiveSessions;

/// How many sessions of an account are shown.
const SHOWN: u64 = 100;

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
    pub async fn open(&self, account: AccountId, visitor: Visitor) -> Result<SessionSecret, Failure> {
        let SessionParts { store, clock, entropy, limits, .. } = &self.parts;
        let secret = SessionSecret::from_random(entropy.bytes());
        let id = SessionId::from_random(entropy.bytes());
        store.open(&Session::begin(id, secret.digest(), account, visitor, *limits, clock.now())).await?;
        Ok(secret)
    }

    /// The session that a cookie stands for, if it is not over. That it was used is noted now and then.
    pub async fn current(&self, cookie: &str) -> Result<Option<Session>, Failure> {
        self.live(&TokenDigest::of(cookie.as_bytes())).await
    }

    async fn live(&self, digest: &TokenDigest) -> Result<Option<Session>, Failure> {
        let SessionParts { store, clock, limits, .. } = &self.parts;
        let sessions = LiveSessions { store: store.clone(), limits: *limits };
        Ok(sessions.by_digest(digest, clock.now()).await?)
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
        sessions.retain(|session| session.is_live(now));
        Ok(sessions)
    }

    /// An access token and a refresh token for the browser of a session; `None` if the session was ended meanwhile.
    pub async fn tokens(&self, session: &Session) -> Result<Option<IssuedTokens>, Failure> {
        let SessionParts { store, tokens, .. } = &self.parts;
        let email = self.verified_email(session).await?;
        let issued = tokens.for_session(session, email.as_deref()).await?;
        // Whoever ends a session revokes its tokens after that. So if it is still there, they will find these, too.
        if store.find(&session.digest).await?.is_some() {
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
        let now = self.parts.clock.now();
        let found = self.parts.store.find_by_id(id).await?;
        let Some(session) = found.filter(|session| session.account == account && session.is_live(now)) else {
            return Ok(false);
        };
        self.end_this(&session).await?;
        Ok(true)
    }

    /// Ends all sessions of an account `but` one and revokes their tokens; says how many were not over before.
    pub async fn end_all_of(&self, account: AccountId, but: Option<SessionId>) -> Result<usize, Failure> {
        let SessionParts { store, tokens, clock, .. } = &self.parts;
        let now = clock.now();
        // As in `end_this`.
        let listed = store.list_of(account, REVOKED_FIRST).await?;
        let listed: Vec<Session> = listed.into_iter().filter(|session| Some(session.id) != but).collect();
        tokens.revoke_those_of(&ids(&listed)).await?;
        tokens.refuse(&listed).await?;
        let ended = store.end_all_of(account, but).await?;
        tokens.revoke_those_of(&ids(&ended)).await?;
        let newer: Vec<Session> = {
            let known: HashSet<SessionId> = listed.iter().map(|session| session.id).collect();
            ended.iter().filter(|one| !known.contains(&one.id)).cloned().collect()
        };
        tokens.refuse(&newer).await?;
        Ok(ended.iter().filter(|session| session.is_live(now)).count())
    }

    /// The tokens go first: if that fails the session is still there, and ending it can be tried again. And once more
    /// afterwards, for those that were asked for in between.
    async fn end_this(&self, session: &Session) -> Result<(), Failure> {
        self.parts.tokens.revoke_those_of(&[session.id]).await?;
        self.parts.tokens.refuse(std::slice::from_ref(session)).await?;
        self.parts.store.end(&session.digest).await?;
        self.parts.tokens.revoke_those_of(&[session.id]).await
    }
}

fn ids(sessions: &[Session]) -> Vec<SessionId> {
    sessions.iter().map(|session| session.id).collect()
}

#[cfg(test)]
mod tests;
