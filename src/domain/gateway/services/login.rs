//! Signing in at a provider. What an attempt must remember travels sealed in a cookie of the browser that began it, so
//! attempts that nobody finishes cost no room here; the store only learns which attempts were finished.

mod beginning;
mod posting;
mod travelling;

use std::{net::IpAddr, sync::Arc};

use thiserror::Error;
use tracing::{info, warn};

pub use self::{
    beginning::{BeginError, BeginRequest, Begun},
    posting::{PostError, ProviderResponse},
};
use super::{
    Failure,
    attempt::TooManyAttempts,
    oauth::{Agreed, ConsentRequest, LinkPermit, OAuthService, ProviderError, SignInError},
    ports::Sealer,
    session::{OpenSessionError, SessionService},
};
use crate::{
    domain::gateway::{
        models::{
            login::{InvalidReturnTo, LoginAttempt, LoginState, ReturnTo},
            oauth::{ProviderName, Secret},
            session::{Session, SessionSecret, Visitor},
        },
        repositories::session::SessionRepository,
    },
    ports::{Clock, Entropy},
};

/// How providers say that the person does not want it (RFC 6749 §4.1.2.1; Apple).
const DENIALS: [&str; 2] = ["access_denied", "user_cancelled_authorize"];

/// What [`LoginService`] is made of.
pub struct LoginParts {
    /// Where it is noted which attempts were finished.
    pub store: Arc<dyn SessionRepository>,
    /// The providers, and where grants go.
    pub oauth: Arc<OAuthService>,
    /// Opens sessions.
    pub sessions: Arc<SessionService>,
    /// Seals what travels with the browser.
    pub sealer: Arc<dyn Sealer>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Where else than here a browser may go in the end: exact texts.
    pub allowed_origins: Vec<String>,
}

/// Signing in: one method per use case.
pub struct LoginService {
    parts: LoginParts,
}

/// What came back from the provider with the browser (RFC 6749 §4.1.2).
pub struct Returned {
    /// `state`
    pub state: LoginState,
    /// What the browser kept of this attempt, if anything.
    pub sealed: Option<Vec<u8>>,
    /// `iss` (RFC 9207)
    pub issuer: Option<String>,
    /// Whether it came as a form.
    pub by_form: bool,
    /// The person's name, if it came along. Nobody signed it.
    pub name: Option<String>,
    /// What the provider says.
    pub outcome: Outcome,
    /// Who comes back.
    pub visitor: Visitor,
    /// The client's address, if it is known.
    pub client: Option<IpAddr>,
}

/// What a provider says of an attempt.
pub enum Outcome {
    /// The person agreed.
    Code(Secret),
    /// The person, or the provider, did not.
    Error(String),
    /// Neither or both.
    Nonsense,
}

/// Somebody signed in.
#[derive(Debug)]
pub struct Finished {
    /// Where the browser wanted to go.
    pub return_to: ReturnTo,
    /// The new session; none if the browser keeps the one that it has.
    pub session: Option<SessionSecret>,
    /// Where the browser goes first, if the person is to be asked for their consent.
    pub consent: Option<Begun>,
}

/// An attempt that came to nothing.
#[derive(Debug)]
pub struct Unfinished {
    /// Why.
    pub error: FinishError,
    /// What it was begun for, if it was begun in this browser.
    pub wish: Option<Wish>,
}

/// What an attempt is begun for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Whether it is to add the provider to the account that is signed in.
    pub is_link: bool,
    /// Where the browser wants to go in the end.
    pub return_to: ReturnTo,
}

/// Why somebody did not sign in.
#[derive(Debug, Error)]
pub enum FinishError {
    /// No such provider is switched on.
    #[error("no provider of this name is switched on")]
    UnknownProvider,
    /// The attempt was not begun in this browser, is too old, was finished before, or was one at another provider.
    #[error("the attempt is not known here, too old, or was finished before")]
    UnknownAttempt,
    /// The attempt did what it was begun for, and somebody is signed in in this browser since.
    #[error("the attempt was finished before")]
    FinishedBefore,
    /// It was begun to add the provider to an account that is not signed in in this browser (any more).
    #[error("the account that this was to be added to is not signed in in this browser any more")]
    OtherSession,
    /// The identity was to be added to an account, and is another's.
    #[error("this identity belongs to another account")]
    LinkedElsewhere,
    /// The account ended, or the provider was taken from it, while this was under way.
    #[error("the account ended while somebody signed in to it")]
    AccountEnded,
    /// The person does not want it.
    #[error("the person did not agree")]
    Denied,
    /// What came back is not what a provider sends.
    #[error("the answer of the provider is not one")]
    Nonsense,
    /// Too many sign-ins of this client failed.
    #[error(transparent)]
    TooMany(#[from] TooManyAttempts),
    /// The provider does not do it.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// Something of ours failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl From<OpenSessionError> for FinishError {
    fn from(error: OpenSessionError) -> Self {
        match error {
            OpenSessionError::NoAccount => Self::AccountEnded,
            OpenSessionError::Failed(failure) => Self::Failed(failure),
        }
    }
}

impl From<SignInError> for FinishError {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Provider(error) => Self::Provider(error),
            SignInError::LinkedElsewhere => Self::LinkedElsewhere,
            SignInError::AccountEnded => Self::AccountEnded,
            SignInError::TooMany(too_many) => Self::TooMany(too_many),
            SignInError::Failed(failure) => Self::Failed(failure),
        }
    }
}

impl LoginService {
    /// Puts the parts together.
    pub fn new(parts: LoginParts) -> Self {
        Self { parts }
    }

    /// The origins at which a sign-in may end.
    pub fn return_origins(&self) -> &[String] {
        &self.parts.allowed_origins
    }

    /// What people call a provider that is switched on.
    pub fn display_name(&self, provider: &str) -> Option<&str> {
        Some(self.parts.oauth.provider(&provider.parse().ok()?)?.display_name())
    }

    /// Where a browser may go when it is signed in; to the welcome if it does not say.
    pub fn return_to(&self, text: Option<&str>) -> Result<ReturnTo, InvalidReturnTo> {
        text.map_or_else(|| Ok(ReturnTo::home()), |text| ReturnTo::parse(text, &self.parts.allowed_origins))
    }

    /// Finishes an attempt at the provider whose callback was called: the account is found or made by provider and subject,
    /// the grant is kept, and a new session is opened. The session that the browser had is over. An attempt that was begun to
    /// add the provider to an account does that alone, and only in the session that began it.
    pub async fn finish(
        &self,
        provider: &str,
        returned: Returned,
        old_session: Option<&str>,
    ) -> Result<Finished, Unfinished> {
        let unknown = |error| Unfinished { error, wish: None };
        let provider: ProviderName = provider.parse().map_err(|_| unknown(FinishError::UnknownProvider))?;
        self.parts.oauth.provider(&provider).ok_or_else(|| unknown(FinishError::UnknownProvider))?;
        let is_meant = |attempt: &LoginAttempt| attempt.provider == provider && attempt.by_form == returned.by_form;
        let attempt = self.attempt(&returned).filter(is_meant);
        let attempt = attempt.ok_or_else(|| unknown(FinishError::UnknownAttempt))?;
        self.finish_known(&attempt, returned, old_session).await.map_err(|error| Unfinished {
            error,
            wish: Some(Wish { is_link: attempt.link.is_some(), return_to: attempt.return_to }),
        })
    }

    /// Finishes an attempt that was begun in this browser, unless it is too old or was finished before.
    async fn finish_known(
        &self,
        attempt: &LoginAttempt,
        returned: Returned,
        old_session: Option<&str>,
    ) -> Result<Finished, FinishError> {
        let LoginParts { store, clock, .. } = &self.parts;
        if attempt.expires_at <= clock.now() {
            return Err(FinishError::UnknownAttempt);
        }
        if !store.redeem(&returned.state.digest(), attempt.expires_at).await.map_err(Failure::from)? {
            return Err(self.finished_before(attempt, old_session).await?);
        }
        // A person who signed out meanwhile, or deleted the account, does not want to be signed in by what was begun before.
        if attempt.consent && attempt.link.is_none() && !self.is_signed_in(attempt, old_session).await? {
            return Err(FinishError::UnknownAttempt);
        }
        match self.finish_first(attempt, returned, old_session).await {
            // The sign-in that this follows is as good as it was.
            Err(
                error @ (FinishError::Denied
                | FinishError::Nonsense
                | FinishError::TooMany(_)
                | FinishError::Provider(_)),
            ) if attempt.consent && self.is_signed_in(attempt, old_session).await? => {
                info!(provider = %attempt.provider, %error, "a person who had signed in did not give their consent, too");
                Ok(Finished { return_to: attempt.return_to.clone(), session: None, consent: None })
            }
            outcome => outcome,
        }
    }

    /// Finishes an attempt whose state comes back for the first time.
    async fn finish_first(
        &self,
        attempt: &LoginAttempt,
        returned: Returned,
        old_session: Option<&str>,
    ) -> Result<Finished, FinishError> {
        let LoginParts { oauth, sessions, .. } = &self.parts;
        oauth.check_issuer(attempt, returned.issuer.as_deref()).await?;
        let code = match returned.outcome {
            Outcome::Code(code) => code,
            Outcome::Error(code) if DENIALS.contains(&code.as_str()) => return Err(FinishError::Denied),
            Outcome::Error(code) => return Err(ProviderError::Refused { code: printable(&code) }.into()),
            Outcome::Nonsense => return Err(FinishError::Nonsense),
        };
        let permit = match attempt.link {
            Some(_) => Some(self.permit(attempt, old_session).await?),
            None => None,
        };
        let Returned { state, name, visitor, client, .. } = returned;
        let signed_in = oauth.sign_in(attempt, Agreed { state: &state, code, name, client }, permit).await?;
        let consent = match signed_in.needs_consent {
            Some(request) => self.ask_for_consent(attempt, request).await,
            None => None,
        };
        let finished = Finished { return_to: attempt.return_to.clone(), session: None, consent };
        let current = if attempt.consent { self.session(old_session).await? } else { None };
        if permit.is_some() || current.is_some_and(|session| session.account == signed_in.account) {
            return Ok(finished);
        }
        let session = sessions.open(signed_in.account, visitor).await?;
        if !oauth.is_met(signed_in.account).await? {
            sessions.end(session.expose()).await?;
            return Err(FinishError::AccountEnded);
        }
        if let Some(old) = old_session {
            sessions.end(old).await?;
        }
        Ok(Finished { session: Some(session), ..finished })
    }

    /// Begins the attempt that asks for consent. The person is signed in already, whatever comes of it.
    async fn ask_for_consent(&self, attempt: &LoginAttempt, request: ConsentRequest) -> Option<Begun> {
        let begun = self.begin_again(attempt, request).await;
        begun
            .inspect_err(|error| {
                warn!(provider = %attempt.provider, %error, "somebody who signed in cannot be asked for their consent");
            })
            .ok()
    }

    /// A callback that comes once more (reload, the back button) does nothing. A browser keeps an attempt that did what it was
    /// begun for until it expires. So if somebody is signed in there, they are told so: they may have chosen another person now.
    async fn finished_before(&self, attempt: &LoginAttempt, cookie: Option<&str>) -> Result<FinishError, Failure> {
        let is_as_before = self.is_signed_in(attempt, cookie).await?;
        Ok(if is_as_before { FinishError::FinishedBefore } else { FinishError::UnknownAttempt })
    }

    /// Whether somebody is signed in in the browser that an attempt was begun in: in the session that began it, if it is to add a
    /// provider.
    async fn is_signed_in(&self, attempt: &LoginAttempt, cookie: Option<&str>) -> Result<bool, Failure> {
        let session = self.session(cookie).await?;
        Ok(session.is_some_and(|session| attempt.link.is_none_or(|began| began == session.id)))
    }

    /// The session that a cookie is of.
    async fn session(&self, cookie: Option<&str>) -> Result<Option<Session>, Failure> {
        match cookie {
            Some(cookie) => self.parts.sessions.current(cookie).await,
            None => Ok(None),
        }
    }

    /// The right that an attempt was begun with, in the session that the browser has now.
    async fn permit(&self, attempt: &LoginAttempt, cookie: Option<&str>) -> Result<LinkPermit, FinishError> {
        let session = self.session(cookie).await?;
        session.and_then(|session| LinkPermit::resumed(attempt, &session)).ok_or(FinishError::OtherSession)
    }

    /// What the browser kept: it opens only for the state that it belongs to.
    fn attempt(&self, returned: &Returned) -> Option<LoginAttempt> {
        let LoginParts { sealer, allowed_origins, .. } = &self.parts;
        travelling::opened(&**sealer, returned.sealed.as_ref()?, &returned.state, allowed_origins)
    }
}

/// An error code as it may be shown: RFC 6749 §4.1.2.1 has printable ASCII without quotes.
fn printable(code: &str) -> String {
    code.chars().filter(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\')).take(64).collect()
}

#[cfg(test)]
mod tests;
