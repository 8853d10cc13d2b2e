//! Sessions: the signed-in person, and signing out.

use std::sync::Arc;

use chrono_tz::Tz;
use http::StatusCode;

use super::{
    caller::{Callers, Credentials},
    failed,
};
use crate::{
    domain::gateway::{
        models::session::Session,
        schemas::{
            cookie::Cookies,
            session::{OpenSession, OpenSessions, SessionDocument, SessionsEnded},
            token::TokenPair,
        },
        services::{account::AccountService, session::SessionService},
    },
    problem::Problem,
};

/// The session endpoints.
#[derive(Clone)]
pub struct SessionController {
    sessions: Arc<SessionService>,
    accounts: AccountService,
    callers: Arc<Callers>,
    cookies: Cookies,
    timezone: Tz,
}

impl SessionController {
    /// Times are written with the offset of `timezone`.
    pub fn new(
        sessions: Arc<SessionService>,
        accounts: AccountService,
        callers: Arc<Callers>,
        cookies: Cookies,
        timezone: Tz,
    ) -> Self {
        Self { sessions, accounts, callers, cookies, timezone }
    }

    /// The name of the cookie that holds a session.
    pub fn cookie_name(&self) -> String {
        self.cookies.session()
    }

    /// `GET /session`
    pub async fn show(&self, credentials: &Credentials) -> Result<SessionDocument, Problem> {
        let session = self.required(credentials).await?;
        match self.accounts.of_caller(&session.identity()).await {
            Ok(Some(profile)) => Ok(SessionDocument::from_model(&session, profile, self.timezone)),
            // The account is deleted before its sessions are.
            Ok(None) => Err(not_signed_in()),
            Err(failure) => Err(failed(&failure)),
        }
    }

    /// The signed-in person, for a page that everyone may see: a failing store does not prevent that page.
    pub async fn seen(&self, credentials: &Credentials) -> Option<SessionDocument> {
        self.show(credentials).await.ok()
    }

    /// `GET /sessions`
    pub async fn list(&self, credentials: &Credentials) -> Result<OpenSessions, Problem> {
        let current = self.required(credentials).await?;
        let sessions = self.sessions.list(&current).await.map_err(|failure| failed(&failure))?;
        let shown = |session| OpenSession::from_model(session, current.id, self.timezone);
        Ok(OpenSessions { sessions: sessions.into_iter().map(shown).collect() })
    }

    /// `DELETE /sessions/{id}`: also returns the cookie that deletes the browser's session, if it was that one.
    pub async fn end_one(
        &self,
        credentials: &Credentials,
        id: &str,
    ) -> Result<(SessionsEnded, Option<String>), Problem> {
        let current = self.required(credentials).await?;
        // An invalid id names no session.
        let id = id.parse().map_err(|_| no_such_session())?;
        match self.sessions.end_one_of(current.account, id).await {
            Ok(true) => {
                let forget = (id == current.id).then(|| self.cookies.forget(&self.cookies.session()));
                Ok((SessionsEnded { ended: 1 }, forget))
            }
            Ok(false) => Err(no_such_session()),
            Err(failure) => Err(failed(&failure)),
        }
    }

    /// `DELETE /sessions`
    pub async fn end_others(&self, credentials: &Credentials) -> Result<SessionsEnded, Problem> {
        let current = self.required(credentials).await?;
        match self.sessions.end_all_of(current.account, Some(current.id)).await {
            Ok(ended) => Ok(SessionsEnded { ended }),
            Err(failure) => Err(failed(&failure)),
        }
    }

    /// `POST /session/token`
    pub async fn tokens(&self, credentials: &Credentials) -> Result<TokenPair, Problem> {
        let session = self.required(credentials).await?;
        match self.sessions.tokens(&session).await {
            Ok(Some(tokens)) => Ok(TokenPair::from_model(&tokens, self.timezone)),
            Ok(None) => Err(not_signed_in()),
            Err(failure) => Err(failed(&failure)),
        }
    }

    /// The browser's session; a missing one is a problem. A bearer token is not enough: its holder may have been lent
    /// only a few rights.
    async fn required(&self, credentials: &Credentials) -> Result<Session, Problem> {
        self.callers.session(credentials).await?.ok_or_else(not_signed_in)
    }

    /// `POST /logout`: also returns the cookie that deletes the session.
    pub async fn end(&self, credentials: &Credentials) -> Result<String, Problem> {
        // A page of another site is refused. A session that is refused already may have been ended only halfway.
        self.callers.session(credentials).await?;
        if let Some(cookie) = self.callers.session_cookie(credentials) {
            self.sessions.end(cookie).await.map_err(|failure| failed(&failure))?;
        }
        Ok(self.cookies.forget(&self.cookies.session()))
    }
}

fn not_signed_in() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "not_signed_in", "this browser is not signed in; open /login in it")
}

fn no_such_session() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "session_not_found",
        "you have no session with this id; GET /sessions lists yours",
    )
}
