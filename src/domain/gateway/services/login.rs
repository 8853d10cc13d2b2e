//! Signing in at a provider. The state of an attempt travels sealed in a cookie of the browser that began it, so
//! unfinished attempts use no storage here; the store only learns which attempts were finished.

mod beginning;
mod callback;
mod posting;
mod sealed_state;

use std::sync::Arc;

use thiserror::Error;
use tracing::{info, warn};

pub use self::{
    beginning::{AuthorizationRedirect, BeginError, BeginRequest},
    callback::{Arrival, Callback, CallbackParameters, Outcome, ProviderResponse},
    posting::PostError,
};
use super::{
    Failure,
    oauth::{Agreed, ConsentRequest, LinkPermit, OAuthService, ProviderError, SignInError},
    ports::Sealer,
    session::{OpenSessionError, SessionService},
    throttle::TooManyAttempts,
};
use crate::{
    domain::gateway::{
        models::{
            login::{InvalidReturnTo, LoginAttempt, ReturnTo},
            oauth::ProviderName,
            session::{Session, SessionSecret},
        },
        repositories::login::LoginRepository,
    },
    ports::{Clock, Entropy},
};

/// The error codes by which providers report that the person declined (RFC 6749 §4.1.2.1; Apple).
const DENIALS: [&str; 2] = ["access_denied", "user_cancelled_authorize"];

/// The dependencies of [`LoginService`].
pub struct LoginParts {
    /// Records which attempts were finished.
    pub store: Arc<dyn LoginRepository>,
    /// The providers, and the store of grants.
    pub oauth: Arc<OAuthService>,
    /// Opens sessions.
    pub sessions: Arc<SessionService>,
    /// Seals what travels with the browser.
    pub sealer: Arc<dyn Sealer>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Other origins at which a sign-in may end: exact texts.
    pub allowed_origins: Vec<String>,
}

/// Signing in: one method per use case.
pub struct LoginService {
    parts: LoginParts,
}

/// A finished sign-in.
#[derive(Debug)]
pub struct Finished {
    /// Where the browser goes at the end.
    pub return_to: ReturnTo,
    /// The new session; `None` if the browser keeps its session.
    pub session: Option<SessionSecret>,
    /// Where the browser goes first, if the person must be asked for consent.
    pub consent: Option<AuthorizationRedirect>,
}

/// A failed attempt.
#[derive(Debug)]
pub struct Unfinished {
    /// The reason.
    pub error: FinishError,
    /// The attempt's purpose, if it was begun in this browser.
    pub wish: Option<Wish>,
}

/// The purpose of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Whether it links the provider to the signed-in account.
    pub is_link: bool,
    /// Where the browser goes at the end.
    pub return_to: ReturnTo,
}

/// The reason why a sign-in failed.
#[derive(Debug, Error)]
pub enum FinishError {
    /// The provider is not enabled.
    #[error("the provider is unknown or not enabled")]
    UnknownProvider,
    /// The attempt was not begun in this browser, has expired, was finished before, or was made at another provider.
    #[error("the attempt is unknown, too old, or already finished")]
    UnknownAttempt,
    /// The attempt succeeded before, and the browser has been signed in since.
    #[error("the attempt is already finished")]
    FinishedBefore,
    /// It was begun to link the provider to an account that is not signed in in this browser (any more).
    #[error("the browser is no longer signed in to the account that began the attempt")]
    OtherSession,
    /// The identity that was to be linked belongs to another account.
    #[error("this identity belongs to another account")]
    LinkedElsewhere,
    /// The account ended, or the provider was unlinked from it, in the meantime.
    #[error("the account ended during the sign-in")]
    AccountEnded,
    /// The person declined.
    #[error("the person did not give consent")]
    Denied,
    /// The response is not one that a provider sends.
    #[error("the provider's response is malformed")]
    Malformed,
    /// Too many failed sign-ins of this client.
    #[error(transparent)]
    TooMany(#[from] TooManyAttempts),
    /// The provider failed.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// An internal failure.
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
    /// Creates the service.
    pub fn new(parts: LoginParts) -> Self {
        Self { parts }
    }

    /// The origins at which a sign-in may end.
    pub fn return_origins(&self) -> &[String] {
        &self.parts.allowed_origins
    }

    /// The display name of an enabled provider.
    pub fn display_name(&self, provider: &str) -> Option<&str> {
        Some(self.parts.oauth.provider(&provider.parse().ok()?)?.display_name())
    }

    /// Checks where a browser may go after the sign-in; the default is the welcome page.
    pub fn return_to(&self, text: Option<&str>) -> Result<ReturnTo, InvalidReturnTo> {
        text.map_or_else(|| Ok(ReturnTo::home()), |text| ReturnTo::parse(text, &self.parts.allowed_origins))
    }

    /// Finishes an attempt at the provider whose callback was called: finds or creates the account by provider and
    /// subject, stores the grant, and opens a new session. The browser's earlier session ends. An attempt that was
    /// begun to link the provider to an account only does that, and only in the session that began it.
    pub async fn finish(
        &self,
        provider: &str,
        returned: Callback,
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

    /// Finishes an attempt that was begun in this browser, unless it has expired or was finished before.
    async fn finish_known(
        &self,
        attempt: &LoginAttempt,
        returned: Callback,
        old_session: Option<&str>,
    ) -> Result<Finished, FinishError> {
        let LoginParts { store, clock, .. } = &self.parts;
        if attempt.expires_at <= clock.now() {
            return Err(FinishError::UnknownAttempt);
        }
        if !store.redeem(&returned.state.digest(), attempt.expires_at).await.map_err(Failure::from)? {
            return Err(self.finished_before(attempt, old_session).await?);
        }
        // A person who signed out meanwhile, or deleted the account, does not want an earlier attempt to sign them in.
        if attempt.consent && attempt.link.is_none() && !self.is_signed_in(attempt, old_session).await? {
            return Err(FinishError::UnknownAttempt);
        }
        match self.finish_first(attempt, returned, old_session).await {
            // The sign-in that this attempt follows stays valid.
            Err(
                error @ (FinishError::Denied
                | FinishError::Malformed
                | FinishError::TooMany(_)
                | FinishError::Provider(_)),
            ) if attempt.consent && self.is_signed_in(attempt, old_session).await? => {
                info!(provider = %attempt.provider, %error, "a person who signed in did not give the further consent");
                Ok(Finished { return_to: attempt.return_to.clone(), session: None, consent: None })
            }
            outcome => outcome,
        }
    }

    /// Finishes an attempt whose state comes back for the first time.
    async fn finish_first(
        &self,
        attempt: &LoginAttempt,
        returned: Callback,
        old_session: Option<&str>,
    ) -> Result<Finished, FinishError> {
        let LoginParts { oauth, sessions, .. } = &self.parts;
        oauth.check_issuer(attempt, returned.issuer.as_deref()).await?;
        let code = match returned.outcome {
            Outcome::Code(code) => code,
            Outcome::Error(code) if DENIALS.contains(&code.as_str()) => return Err(FinishError::Denied),
            Outcome::Error(code) => return Err(ProviderError::Refused { code: printable(&code) }.into()),
            Outcome::Malformed => return Err(FinishError::Malformed),
        };
        let permit = match attempt.link {
            Some(_) => Some(self.permit(attempt, old_session).await?),
            None => None,
        };
        let Callback { state, name, visitor, client, .. } = returned;
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
        if !oauth.account_exists(signed_in.account).await? {
            sessions.end(session.expose()).await?;
            return Err(FinishError::AccountEnded);
        }
        if let Some(old) = old_session {
            sessions.end(old).await?;
        }
        Ok(Finished { session: Some(session), ..finished })
    }

    /// Begins the attempt that asks for consent. The person is signed in already, whatever its result.
    async fn ask_for_consent(&self, attempt: &LoginAttempt, request: ConsentRequest) -> Option<AuthorizationRedirect> {
        let begun = self.begin_again(attempt, request).await;
        begun
            .inspect_err(|error| {
                warn!(provider = %attempt.provider, %error, "a person who signed in cannot be asked for consent");
            })
            .ok()
    }

    /// A repeated callback (reload, the back button) does nothing. A browser keeps the cookie of a successful attempt
    /// until it expires. So if a person is signed in there, they get an error: they may have chosen another identity
    /// now.
    async fn finished_before(&self, attempt: &LoginAttempt, cookie: Option<&str>) -> Result<FinishError, Failure> {
        let is_as_before = self.is_signed_in(attempt, cookie).await?;
        Ok(if is_as_before { FinishError::FinishedBefore } else { FinishError::UnknownAttempt })
    }

    /// Whether a person is signed in in the browser that an attempt was begun in; for linking a provider, in the
    /// session that began it.
    async fn is_signed_in(&self, attempt: &LoginAttempt, cookie: Option<&str>) -> Result<bool, Failure> {
        let session = self.session(cookie).await?;
        Ok(session.is_some_and(|session| attempt.link.is_none_or(|began| began == session.id)))
    }

    /// The session of a cookie.
    async fn session(&self, cookie: Option<&str>) -> Result<Option<Session>, Failure> {
        match cookie {
            Some(cookie) => self.parts.sessions.current(cookie).await,
            None => Ok(None),
        }
    }

    /// The permit of the session that began the attempt, if the browser still has it. Otherwise the identity would be
    /// linked to the account that is signed in now.
    async fn permit(&self, attempt: &LoginAttempt, cookie: Option<&str>) -> Result<LinkPermit, FinishError> {
        let session = self.session(cookie).await?;
        session.and_then(|session| LinkPermit::resumed(attempt, &session)).ok_or(FinishError::OtherSession)
    }

    /// The browser's stored attempt: it opens only for its own state.
    fn attempt(&self, returned: &Callback) -> Option<LoginAttempt> {
        let LoginParts { sealer, allowed_origins, .. } = &self.parts;
        sealed_state::opened(&**sealer, returned.sealed.as_ref()?, &returned.state, allowed_origins)
    }
}

/// An error code in displayable form: RFC 6749 §4.1.2.1 allows printable ASCII without quotes.
fn printable(code: &str) -> String {
    code.chars().filter(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\')).take(64).collect()
}

#[cfg(test)]
mod tests;
