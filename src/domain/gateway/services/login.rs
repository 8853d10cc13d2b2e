//! Signing in at a provider. What an attempt must remember travels sealed in a cookie of the browser that began it, so
//! attempts that nobody finishes cost no room here; the store only learns which attempts were finished.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    Failure,
    account::LinkPermit,
    oauth::{OAuthService, ProviderError, SignInError},
    ports::Sealer,
    session::{OpenSessionError, SessionService},
};
use crate::{
    domain::gateway::{
        models::{
            login::{ATTEMPT_LIFE, InvalidReturnTo, LoginAttempt, LoginState, ReturnTo},
            oauth::{ProviderName, Secret},
            session::{SessionSecret, Visitor},
        },
        repositories::session::SessionRepository,
    },
    ports::{Clock, Entropy},
};

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

/// An attempt that was begun.
pub struct Begun {
    /// Where to send the browser. It holds the state: not for a log.
    pub location: Secret,
    /// Tells the browser's attempts apart.
    pub label: String,
    /// What the browser has to bring back.
    pub sealed: Vec<u8>,
    /// From when on it is void.
    pub expires_at: DateTime<Utc>,
}

/// Why no attempt was begun.
#[derive(Debug, Error)]
pub enum BeginError {
    /// No such provider is switched on.
    #[error("no provider of this name is switched on")]
    UnknownProvider,
    /// The browser would go somewhere it must not.
    #[error(transparent)]
    ReturnTo(#[from] InvalidReturnTo),
    /// The provider cannot be used for now.
    #[error(transparent)]
    Provider(ProviderError),
    /// Something of ours failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// What came back from the provider with the browser (RFC 6749 §4.1.2).
pub struct Returned {
    /// `state`
    pub state: LoginState,
    /// What the browser kept of this attempt, if anything.
    pub sealed: Option<Vec<u8>>,
    /// `iss` (RFC 9207)
    pub issuer: Option<String>,
    /// What the provider says.
    pub outcome: Outcome,
    /// Who comes back.
    pub visitor: Visitor,
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
            SignInError::Failed(failure) => Self::Failed(failure),
        }
    }
}

impl LoginService {
    /// Puts the parts together.
    pub fn new(parts: LoginParts) -> Self {
        Self { parts }
    }

    /// Begins an attempt: a state and a nonce of its own, PKCE where the provider has it. With a permit to `link` it is there
    /// to add the provider to that account. A browser that `came_by` another address than the one that is set returns to that.
    pub async fn begin(
        &self,
        provider: &str,
        return_to: Option<&str>,
        link: Option<LinkPermit>,
        came_by: Option<&str>,
    ) -> Result<Begun, BeginError> {
        let LoginParts { oauth, sealer, clock, entropy, .. } = &self.parts;
        let return_to = self.return_to(return_to)?;
        let provider: ProviderName = provider.parse().map_err(|_| BeginError::UnknownProvider)?;
        let uses_pkce = oauth.provider(&provider).ok_or(BeginError::UnknownProvider)?.uses_pkce();
        let state = LoginState::from_random(entropy.bytes());
        let attempt = LoginAttempt {
            callback: came_by.map(|base| format!("{base}/login/{provider}/callback")),
            provider,
            code_verifier: uses_pkce.then(|| random_secret(&**entropy)),
            nonce: random_secret(&**entropy),
            return_to,
            link: link.map(|permit| permit.session()),
            expires_at: clock.now() + ATTEMPT_LIFE,
        };
        let location = oauth.authorize_url(&attempt, &state).await.map_err(BeginError::Provider)?;
        let clear =
            serde_json::to_vec(&Travelling::from(&attempt)).map_err(|error| Failure::Broken(error.to_string()))?;
        Ok(Begun {
            location,
            label: state.label(),
            sealed: sealer.seal(&sealing_context(&state), &clear),
            expires_at: attempt.expires_at,
        })
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
        let attempt = self.attempt(&returned).filter(|attempt| attempt.provider == provider);
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
        let LoginParts { store, oauth, sessions, clock, .. } = &self.parts;
        if attempt.expires_at <= clock.now() {
            return Err(FinishError::UnknownAttempt);
        }
        if !store.redeem(&returned.state.digest(), attempt.expires_at).await.map_err(Failure::from)? {
            return Err(self.finished_before(attempt, old_session).await?);
        }
        let code = match returned.outcome {
            Outcome::Code(code) => code,
            Outcome::Error(code) if code == "access_denied" => return Err(FinishError::Denied),
            Outcome::Error(code) => return Err(ProviderError::Refused { code: printable(&code) }.into()),
            Outcome::Nonsense => return Err(FinishError::Nonsense),
        };
        let permit = match attempt.link {
            Some(_) => Some(self.permit(attempt, old_session).await?),
            None => None,
        };
        let account = oauth.sign_in(attempt, &returned.state, code, returned.issuer.as_deref(), permit).await?;
        let return_to = attempt.return_to.clone();
        if permit.is_some() {
            return Ok(Finished { return_to, session: None });
        }
        let session = sessions.open(account, returned.visitor).await?;
        if !oauth.is_met(account).await? {
            sessions.end(session.expose()).await?;
            return Err(FinishError::AccountEnded);
        }
        if let Some(old) = old_session {
            sessions.end(old).await?;
        }
        Ok(Finished { return_to, session: Some(session) })
    }

    /// A callback that comes once more (reload, the back button) does nothing. A browser keeps an attempt that did what it was
    /// begun for until it expires. So if somebody is signed in there, they are told so: they may have chosen another person now.
    async fn finished_before(&self, attempt: &LoginAttempt, cookie: Option<&str>) -> Result<FinishError, Failure> {
        let session = match cookie {
            Some(cookie) => self.parts.sessions.current(cookie).await?,
            None => None,
        };
        let is_as_before = session.is_some_and(|session| attempt.link.is_none_or(|began| began == session.id));
        Ok(if is_as_before { FinishError::FinishedBefore } else { FinishError::UnknownAttempt })
    }

    /// The right that an attempt was begun with, in the session that the browser has now.
    async fn permit(&self, attempt: &LoginAttempt, cookie: Option<&str>) -> Result<LinkPermit, FinishError> {
        let session = match cookie {
            Some(cookie) => self.parts.sessions.current(cookie).await?,
            None => None,
        };
        session.and_then(|session| LinkPermit::resumed(attempt, &session)).ok_or(FinishError::OtherSession)
    }

    /// What the browser kept: it opens only for the state that it belongs to.
    fn attempt(&self, returned: &Returned) -> Option<LoginAttempt> {
        let clear = self.parts.sealer.open(&sealing_context(&returned.state), returned.sealed.as_ref()?).ok()?;
        serde_json::from_slice::<Travelling>(&clear).ok()?.into_attempt(&self.parts.allowed_origins)
    }
}

/// 256 random bits in 43 letters: a nonce, or a code verifier (RFC 7636 §4.1).
fn random_secret(entropy: &dyn Entropy) -> Secret {
    Secret::new(LoginState::from_random(entropy.bytes()).expose())
}

fn sealing_context(state: &LoginState) -> String {
    format!("login:{}", state.expose())
}

/// An error code as it may be shown: RFC 6749 §4.1.2.1 has printable ASCII without quotes.
fn printable(code: &str) -> String {
    code.chars().filter(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\')).take(64).collect()
}

/// What is inside of the seal.
#[derive(Serialize, Deserialize)]
struct Travelling {
    provider: String,
    code_verifier: Option<String>,
    nonce: String,
    return_to: String,
    #[serde(default)]
    callback: Option<String>,
    #[serde(default)]
    link: Option<String>,
    expires_at: DateTime<Utc>,
}

impl From<&LoginAttempt> for Travelling {
    fn from(attempt: &LoginAttempt) -> Self {
        Self {
            provider: attempt.provider.to_string(),
            code_verifier: attempt.code_verifier.as_ref().map(|verifier| verifier.expose().to_owned()),
            nonce: attempt.nonce.expose().to_owned(),
            return_to: attempt.return_to.as_str().to_owned(),
            callback: attempt.callback.clone(),
            link: attempt.link.map(|session| session.to_string()),
            expires_at: attempt.expires_at,
        }
    }
}

impl Travelling {
    /// Where the browser may go is judged by what holds now.
    fn into_attempt(self, allowed_origins: &[String]) -> Option<LoginAttempt> {
        Some(LoginAttempt {
            provider: self.provider.parse().ok()?,
            code_verifier: self.code_verifier.map(Secret::new),
            nonce: Secret::new(self.nonce),
            return_to: ReturnTo::parse(&self.return_to, allowed_origins).ok()?,
            callback: self.callback,
            link: self.link.map(|session| session.parse()).transpose().ok()?,
            expires_at: self.expires_at,
        })
    }
}

#[cfg(test)]
mod tests;
