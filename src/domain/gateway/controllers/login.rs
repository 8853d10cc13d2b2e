//! Signing in at a provider: what is in cookies and addresses → service → where the browser goes.

use std::{net::IpAddr, sync::Arc, time::Duration};

use http::StatusCode;

use super::{
    account::control,
    caller::{Callers, Credentials, Sender, refuse_other_than_navigation},
    failed,
};
use crate::{
    domain::gateway::{
        models::{
            account::Password,
            login::{ATTEMPT_LIFE, InvalidReturnTo, LoginState, MAX_ATTEMPTS, ReturnTo},
            oauth::Secret,
            session::{Session, SessionSecret},
        },
        schemas::{
            cookie::{self, Cookies},
            login::{AttemptCookie, CallbackQuery, LinkForm, LinkRequest, Redirect, Refusal, slot_for},
            validated,
        },
        services::{
            account::{AccountService, ControlError, LinkPermit},
            login::{BeginError, FinishError, LoginService, Outcome, Returned},
            oauth::ProviderError,
            session::SessionService,
        },
    },
    problem::Problem,
};

/// The calls of a sign-in.
#[derive(Clone)]
pub struct LoginController {
    logins: Arc<LoginService>,
    accounts: AccountService,
    sessions: Arc<SessionService>,
    callers: Arc<Callers>,
    cookies: Cookies,
    /// Where a sign-in is to be begun: providers send browsers back there.
    public_url: String,
}

impl LoginController {
    /// `public_url` is how browsers are to reach the gateway.
    pub fn new(
        logins: Arc<LoginService>,
        accounts: AccountService,
        sessions: Arc<SessionService>,
        callers: Arc<Callers>,
        cookies: Cookies,
        public_url: String,
    ) -> Self {
        Self { logins, accounts, sessions, callers, cookies, public_url }
    }

    /// `GET /login`: where the browser is to go when somebody is signed in.
    pub fn return_to(&self, text: Option<&str>) -> Result<ReturnTo, Refusal> {
        self.logins.return_to(text).map_err(nowhere)
    }

    /// `GET /login/{provider}`. Until adding a provider became a POST it was done here, with `link=true`. To sign somebody in
    /// instead would make the identity another account's, so that is refused.
    pub async fn begin(
        &self,
        provider: &str,
        return_to: Option<&str>,
        is_to_link: bool,
        credentials: &Credentials,
    ) -> Result<Redirect, Refusal> {
        refuse_other_than_navigation(credentials).map_err(no_navigation)?;
        if is_to_link {
            return Err(Refusal::new(
                Problem::new(
                    StatusCode::BAD_REQUEST,
                    "link_is_a_post",
                    format!("to add a provider to your account open {}/login/{{provider}}/link", self.public_url),
                ),
                format!("로그인 서버를 계정에 추가하려면 {}/login/{{provider}}/link 를 여세요.", self.public_url),
            ));
        }
        self.leave(provider, return_to, None, &credentials.cookies).await
    }

    /// `GET /login/{provider}/link`
    pub async fn link_form(
        &self,
        provider: &str,
        return_to: Option<&str>,
        credentials: &Credentials,
    ) -> Result<LinkForm, Refusal> {
        let display_name = self.logins.display_name(provider).ok_or_else(unknown_provider)?;
        let return_to = self.return_to(return_to)?;
        let session = self.linking_session(credentials).await?;
        let needs_password = match self.accounts.of_caller(&session.identity()).await {
            Ok(Some(profile)) => profile.login.is_some(),
            Ok(None) => return Err(uncontrolled(ControlError::NoAccount)),
            Err(failure) => return Err(broken(failed(&failure))),
        };
        let (provider, return_to) = (provider.to_owned(), return_to.as_str().to_owned());
        Ok(LinkForm { provider, display_name: display_name.to_owned(), needs_password, return_to })
    }

    /// `POST /login/{provider}/link`: adds the provider to the account that is signed in in the browser.
    pub async fn begin_link(
        &self,
        provider: &str,
        request: LinkRequest,
        credentials: &Credentials,
        client: Option<IpAddr>,
    ) -> Result<Redirect, Refusal> {
        refuse_other_than_navigation(credentials).map_err(no_navigation)?;
        let request = validated(request).map_err(|problem| Refusal::new(problem, "입력한 값을 확인해 주세요."))?;
        let session = self.linking_session(credentials).await?;
        let password = request.password.map(Password::presented);
        let control = self.accounts.take_control(&session, password, client).await.map_err(uncontrolled)?;
        let permit = Some(control.link_permit());
        self.leave(provider, request.return_to.as_deref(), permit, &credentials.cookies).await
    }

    /// Sends the browser to the provider.
    async fn leave(
        &self,
        provider: &str,
        return_to: Option<&str>,
        permit: Option<LinkPermit>,
        cookies: &[String],
    ) -> Result<Redirect, Refusal> {
        match self.logins.begin(provider, return_to, permit).await {
            Ok(begun) => {
                let slot = slot_for(&begun.label, &self.kept(cookies));
                let expires_at = begun.expires_at.timestamp_micros();
                let value = AttemptCookie { label: begun.label, expires_at, sealed: begun.sealed }.write();
                let life = ATTEMPT_LIFE.to_std().unwrap_or(Duration::ZERO);
                let cookie = self.cookies.keep(&self.cookies.login(slot), &value, life);
                Ok(Redirect { location: begun.location, cookies: vec![cookie] })
            }
            Err(BeginError::UnknownProvider) => Err(unknown_provider()),
            Err(BeginError::ReturnTo(invalid)) => Err(nowhere(invalid)),
            Err(BeginError::Provider(error)) => Err(provider_failed(&error)),
            Err(BeginError::Failed(failure)) => Err(broken(failed(&failure))),
        }
    }

    /// The attempts that the browser has under way, by slot.
    fn kept(&self, cookies: &[String]) -> [Option<AttemptCookie>; MAX_ATTEMPTS] {
        self.cookies.logins(cookies).map(|value| AttemptCookie::read(value?))
    }

    /// The session of whoever wants to add a provider. Another site must not begin that: it may have signed the browser in at
    /// the provider as somebody else, who would then have a way into the account.
    async fn linking_session(&self, credentials: &Credentials) -> Result<Session, Refusal> {
        match self.callers.session(credentials).await {
            Ok(Some(session)) => Ok(session),
            Ok(None) => Err(Refusal::new(
                Problem::new(
                    StatusCode::UNAUTHORIZED,
                    "not_signed_in",
                    "nobody is signed in in this browser, so there is no account to add a provider to",
                ),
                "로그인한 사람이 없어 로그인 서버를 추가할 계정이 없습니다.",
            )),
            Err(problem) if problem.status() == StatusCode::FORBIDDEN => Err(Refusal::new(
                problem,
                "로그인 서버를 추가하는 일은 이 사이트 또는 ALLOWED_ORIGINS 의 페이지에서만 시작할 수 있습니다.",
            )),
            Err(problem) => Err(broken(problem)),
        }
    }

    /// `GET /login/{provider}/callback`
    pub async fn finish(
        &self,
        provider: &str,
        query: CallbackQuery,
        cookies: &[String],
        sender: &Sender,
    ) -> Result<Redirect, Refusal> {
        let state = LoginState::presented(&query.state.unwrap_or_default());
        let label = state.label();
        let kept = self.kept(cookies).into_iter().enumerate();
        let kept =
            kept.filter_map(|(slot, attempt)| Some((slot, attempt?))).find(|(_, attempt)| attempt.label == label);
        let used_up = kept.as_ref().map(|(slot, _)| self.cookies.forget(&self.cookies.login(*slot)));
        let sealed = kept.map(|(_, attempt)| attempt.sealed);
        let outcome = match (query.code, query.error) {
            (Some(code), None) => Outcome::Code(Secret::new(code)),
            (None, Some(error)) => Outcome::Error(error),
            (Some(_), Some(_)) | (None, None) => Outcome::Nonsense,
        };
        let returned = Returned { state, sealed, issuer: query.iss, outcome, visitor: sender.visitor() };
        let old_session = cookie::sent(cookies, &self.cookies.session());
        match self.logins.finish(provider, returned, old_session).await {
            Ok(finished) => {
                let life = self.sessions.limits().total.to_std().unwrap_or(Duration::ZERO);
                let keep = |secret: SessionSecret| self.cookies.keep(&self.cookies.session(), secret.expose(), life);
                let session = finished.session.map(keep);
                let cookies = used_up.into_iter().chain(session).collect();
                Ok(Redirect { location: Secret::new(finished.return_to.as_str()), cookies })
            }
            Err(error) => Err(Refusal { cookies: used_up.into_iter().collect(), ..self.refused(error) }),
        }
    }

    fn refused(&self, error: FinishError) -> Refusal {
        let begin_at = format!("{}/login", self.public_url);
        match error {
            FinishError::UnknownProvider => unknown_provider(),
            FinishError::UnknownAttempt => Refusal::new(
                Problem::new(
                    StatusCode::BAD_REQUEST,
                    "unknown_attempt",
                    format!(
                        "this sign-in was not begun in this browser, is older than ten minutes, or was finished before; \
                         begin again at {begin_at}"
                    ),
                ),
                format!(
                    "이 브라우저에서 시작하지 않았거나, 10분이 지났거나, 이미 끝난 로그인입니다. {begin_at} 에서 다시 시작해 주세요."
                ),
            ),
            FinishError::OtherSession => Refusal::new(
                Problem::new(
                    StatusCode::CONFLICT,
                    "other_session",
                    "the account that this was to be added to is not signed in in this browser any more; nothing was changed",
                ),
                "추가하려던 계정으로 더 이상 로그인되어 있지 않습니다. 바뀐 것은 없습니다.",
            ),
            FinishError::LinkedElsewhere => Refusal::new(
                Problem::new(
                    StatusCode::CONFLICT,
                    "linked_elsewhere",
                    "this identity at the provider belongs to another account, and was not added to yours; accounts are never \
                     merged",
                ),
                "이미 다른 계정에 연결된 로그인 정보라 추가하지 않았습니다. 계정은 합쳐지지 않습니다.",
            ),
            FinishError::AccountEnded => Refusal::new(
                Problem::new(
                    StatusCode::CONFLICT,
                    "account_ended",
                    format!(
                        "the account was deleted, or this provider was taken from it, while you signed in; begin again at \
                         {begin_at}"
                    ),
                ),
                format!(
                    "로그인하는 동안 계정이 삭제되었거나 이 로그인 서버와의 연결이 끊겼습니다. {begin_at} 에서 다시 시작해 주세요."
                ),
            ),
            FinishError::Denied => Refusal::new(
                Problem::new(
                    StatusCode::FORBIDDEN,
                    "access_denied",
                    "you did not agree at the provider, so you are not signed in, and nothing was kept",
                ),
                "동의하지 않아 로그인하지 않았습니다. 저장된 것은 없습니다.",
            ),
            FinishError::Nonsense => Refusal::new(
                Problem::new(
                    StatusCode::BAD_REQUEST,
                    "malformed_callback",
                    "the provider sent back neither one code nor one error; begin again",
                ),
                "로그인 서버의 응답을 이해할 수 없습니다. 다시 시작해 주세요.",
            ),
            FinishError::Provider(error) => provider_failed(&error),
            FinishError::Failed(failure) => broken(failed(&failure)),
        }
    }
}

fn unknown_provider() -> Refusal {
    Refusal::new(
        Problem::new(
            StatusCode::NOT_FOUND,
            "unknown_provider",
            "no such provider is switched on; /login lists those that are",
        ),
        "켜져 있지 않은 로그인 서버입니다. /login 에서 고를 수 있습니다.",
    )
}

fn no_navigation(problem: Problem) -> Refusal {
    Refusal::new(problem, "로그인은 브라우저로 이 주소를 열 때만 시작됩니다.")
}

fn uncontrolled(error: ControlError) -> Refusal {
    let korean = match &error {
        ControlError::NoAccount => "계정이 없습니다.",
        ControlError::PasswordMissing => "계정의 비밀번호를 입력해 주세요.",
        ControlError::WrongPassword => "계정의 비밀번호가 아닙니다.",
        ControlError::TooMany(_) => "시도가 너무 많았습니다. 잠시 후 다시 시도해 주세요.",
        ControlError::Failed(_) => "지금은 추가할 수 없습니다. 잠시 후 다시 시도해 주세요.",
    };
    Refusal::new(control::refused(error, "password"), korean)
}

fn nowhere(invalid: InvalidReturnTo) -> Refusal {
    Refusal::new(
        Problem::new(StatusCode::BAD_REQUEST, "invalid_return_to", invalid.to_string()),
        "return_to 는 이 사이트의 경로이거나 ALLOWED_ORIGINS 에 있는 주소여야 합니다.",
    )
}

fn broken(problem: Problem) -> Refusal {
    Refusal::new(problem, "지금은 로그인할 수 없습니다. 잠시 후 다시 시도해 주세요.")
}

fn provider_failed(error: &ProviderError) -> Refusal {
    tracing::warn!(%error, "a sign-in failed at the provider");
    match error {
        ProviderError::Unavailable(_) => Refusal::new(
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "provider_unavailable",
                "the provider cannot be reached at the moment; try again shortly",
            ),
            "로그인 서버에 연결할 수 없습니다. 잠시 후 다시 시도해 주세요.",
        ),
        ProviderError::Refused { code } => Refusal::new(
            Problem::new(
                StatusCode::BAD_REQUEST,
                "provider_refused",
                format!("the provider refuses to sign you in ({code}); begin again"),
            ),
            format!("로그인 서버가 거절했습니다({code}). 다시 시작해 주세요."),
        ),
        ProviderError::BadAnswer(_) | ProviderError::Unsupported => Refusal::new(
            Problem::new(
                StatusCode::BAD_GATEWAY,
                "provider_bad_answer",
                "the provider's answer is not usable; the gateway's log says why",
            ),
            "로그인 서버의 응답이 올바르지 않습니다.",
        ),
    }
}
