//! Sessions: who is signed in, and signing out.

use std::sync::Arc;

use chrono_tz::Tz;
use http::StatusCode;

use super::{
    caller::{Callers, Credentials},
    failed,
};
use crate::{
    domain::gateway::{
        schemas::{cookie::Cookies, session::SessionDocument},
        services::session::SessionService,
    },
    problem::Problem,
};

/// The calls about sessions.
#[derive(Clone)]
pub struct SessionController {
    sessions: Arc<SessionService>,
    callers: Arc<Callers>,
    cookies: Cookies,
    timezone: Tz,
}

impl SessionController {
    /// Times go out with the offset of `timezone`.
    pub fn new(sessions: Arc<SessionService>, callers: Arc<Callers>, cookies: Cookies, timezone: Tz) -> Self {
        Self { sessions, callers, cookies, timezone }
    }

    /// `GET /session`
    pub async fn show(&self, credentials: &Credentials) -> Result<SessionDocument, Problem> {
        let Some(session) = self.callers.session(credentials).await? else {
            return Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "not_signed_in",
                "nobody is signed in in this browser; open /login in it",
            ));
        };
        match self.sessions.identities(&session).await {
            Ok(identities) => Ok(SessionDocument::from_model(&session, identities, self.timezone)),
            Err(failure) => Err(failed(&failure)),
        }
    }

    /// `POST /logout`: gives what makes the browser forget the session, too.
    pub async fn end(&self, credentials: &Credentials) -> Result<String, Problem> {
        if self.callers.session(credentials).await?.is_some()
            && let Some(cookie) = self.callers.session_cookie(credentials)
        {
            self.sessions.end(cookie).await.map_err(|failure| failed(&failure))?;
        }
        Ok(self.cookies.forget(&self.cookies.session()))
    }
}
