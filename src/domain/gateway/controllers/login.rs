//! Signing in at a provider: cookies and parameters → service → redirect.

mod refusals;

use std::{net::IpAddr, sync::Arc, time::Duration};

use http::StatusCode;

use self::refusals::{
    invalid_login_hint, invalid_return_to, no_forms, not_linked, not_signed_in, provider_failed, scope_not_allowed,
    uncontrolled, unknown_auth_type, unknown_provider,
};
use super::{
    caller::{Callers, Credentials, Sender, check_navigation},
    failed,
};
use crate::{
    domain::gateway::{
        models::{
            account::Password,
            login::{ATTEMPT_LIFE, MAX_ATTEMPTS, ReturnTo},
            session::{Session, SessionSecret},
            values::secret::Secret,
        },
        schemas::{
            cookie::{self, Cookies},
            login::{
                AttemptCookie, BeginQuery, CallbackForm, CallbackQuery, LinkForm, LinkRequest, Redirect, Refusal,
                slot_for,
            },
            validated,
        },
        services::{
            account::{AccountService, ControlError},
            login::{
                Arrival, AuthorizationRedirect, BeginError, BeginRequest, Callback, CallbackParameters, FinishError,
                LoginService, PostError, ProviderResponse, Unfinished,
            },
            oauth::LinkPermit,
            session::SessionService,
        },
    },
    texts::sign_in as text,
};

/// The endpoints of a sign-in.
#[derive(Clone)]
pub struct LoginController {
    logins: Arc<LoginService>,
    accounts: AccountService,
    sessions: Arc<SessionService>,
    callers: Arc<Callers>,
    cookies: Cookies,
    /// The address at which a sign-in must begin: providers send browsers back there.
    public_url: String,
}

impl LoginController {
    /// `public_url` is the address at which browsers reach the gateway.
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

    /// Other origins at which a sign-in may end.
    pub fn return_origins(&self) -> &[String] {
        self.logins.return_origins()
    }

    /// `GET /login`: where the browser goes after the sign-in.
    pub fn return_to(&self, text: Option<&str>) -> Result<ReturnTo, Refusal> {
        self.logins.return_to(text).map_err(invalid_return_to)
    }

    /// `GET /login/{provider}`. Before linking became a POST, it was done here with `link=true`. A sign-in instead
    /// would give the identity to another account, so that parameter is refused.
    pub async fn begin(
        &self,
        provider: &str,
        query: &BeginQuery,
        is_to_link: bool,
        credentials: &Credentials,
    ) -> Result<Redirect, Refusal> {
        check_navigation(credentials).map_err(Refusal::about)?;
        if is_to_link {
            let text = text::link_is_a_post(&self.public_url);
            return Err(Refusal::of(StatusCode::BAD_REQUEST, "link_is_a_post", text));
        }
        let request = BeginRequest {
            return_to: query.return_to.as_deref(),
            login_hint: query.login_hint.as_deref(),
            auth_type: query.auth_type.as_deref(),
            scope: query.scope.as_deref(),
        };
        self.leave(provider, request, None, credentials).await
    }

    /// `GET /login/{provider}/link`
    pub async fn link_form(
        &self,
        provider: &str,
        return_to: Option<&str>,
        credentials: &Credentials,
    ) -> Result<LinkForm, Refusal> {
        let display_name = self.logins.display_name(provider).ok_or_else(unknown_provider)?;
        let wanted = return_to.is_some();
        let return_to = self.return_to(return_to)?;
        let session = self.linking_session(credentials).await;
        let session = session.map_err(|refusal| refusal.on_the_way_to(wanted.then(|| return_to.clone())))?;
        let needs_password = match self.accounts.of_caller(&session.identity()).await {
            Ok(Some(profile)) => profile.login.is_some(),
            Ok(None) => return Err(uncontrolled(ControlError::NoAccount)),
            Err(failure) => return Err(Refusal::about(failed(&failure))),
        };
        let (provider, return_to) = (provider.to_owned(), return_to.as_str().to_owned());
        Ok(LinkForm { provider, display_name: display_name.to_owned(), needs_password, return_to })
    }

    /// `POST /login/{provider}/link`: links the provider to the account that is signed in in the browser.
    pub async fn begin_link(
        &self,
        provider: &str,
        request: LinkRequest,
        credentials: &Credentials,
        client: Option<IpAddr>,
    ) -> Result<Redirect, Refusal> {
        check_navigation(credentials).map_err(Refusal::about)?;
        let request = validated(request).map_err(Refusal::about)?;
        let return_to = request.return_to.as_deref();
        let wanted = self.wanted(return_to);
        let password = request.password.map(Password::presented);
        let permit = self.permit(credentials, password, client).await;
        let permit = permit.map_err(|refusal| refusal.on_the_way_to(wanted))?;
        self.leave(provider, BeginRequest { return_to, ..BeginRequest::default() }, Some(permit), credentials).await
    }

    /// The permit to link a provider, for a browser that is signed in and whose owner knows the password.
    async fn permit(
        &self,
        credentials: &Credentials,
        password: Option<Password>,
        client: Option<IpAddr>,
    ) -> Result<LinkPermit, Refusal> {
        let session = self.linking_session(credentials).await?;
        let control = self.accounts.take_control_in(&session, password, client).await.map_err(uncontrolled)?;
        Ok(control.link_permit())
    }

    /// Sends the browser to the provider.
    async fn leave(
        &self,
        provider: &str,
        request: BeginRequest<'_>,
        permit: Option<LinkPermit>,
        credentials: &Credentials,
    ) -> Result<Redirect, Refusal> {
        let came_by = self.callers.came_by(credentials);
        let wanted = || self.wanted(request.return_to);
        match self.logins.begin(provider, request, permit, came_by.as_deref()).await {
            Ok(begun) => Ok(self.away(begun, &credentials.cookies)),
            Err(BeginError::UnknownProvider) => Err(unknown_provider()),
            Err(BeginError::ReturnTo(invalid)) => Err(invalid_return_to(invalid)),
            Err(BeginError::LoginHint(invalid)) => Err(invalid_login_hint(invalid).on_the_way_to(wanted())),
            Err(BeginError::AuthType(known)) => Err(unknown_auth_type(known).on_the_way_to(wanted())),
            Err(BeginError::ScopeNotAllowed(allowed)) => Err(scope_not_allowed(&allowed).on_the_way_to(wanted())),
            Err(BeginError::Provider(error)) => Err(provider_failed(provider, &error).on_the_way_to(wanted())),
            Err(BeginError::Failed(failure)) => Err(Refusal::about(failed(&failure)).on_the_way_to(wanted())),
        }
    }

    /// The redirect for an attempt that has begun, and its cookie, for a browser with these cookies.
    fn away(&self, begun: AuthorizationRedirect, cookies: &[String]) -> Redirect {
        let slot = slot_for(&begun.label, &self.kept(cookies));
        let expires_at = begun.expires_at.timestamp_micros();
        let value = AttemptCookie { label: begun.label, expires_at, sealed: begun.sealed }.write();
        let life = ATTEMPT_LIFE.to_std().unwrap_or(Duration::ZERO);
        let cookie = self.cookies.keep(&self.cookies.login(slot), &value, life);
        // A page of this gateway is served under the address that the browser used.
        let ours = begun.location.expose().strip_prefix(&self.public_url).filter(|path| path.starts_with('/'));
        let location = ours.filter(|_| begun.is_elsewhere).map(Secret::new).unwrap_or(begun.location);
        Redirect { location, cookies: vec![cookie] }
    }

    /// The address that the browser asked for, if it is allowed.
    fn wanted(&self, return_to: Option<&str>) -> Option<ReturnTo> {
        return_to.and_then(|text| self.logins.return_to(Some(text)).ok())
    }

    /// The browser's pending attempts, by slot.
    fn kept(&self, cookies: &[String]) -> [Option<AttemptCookie>; MAX_ATTEMPTS] {
        self.cookies.logins(cookies).map(|value| AttemptCookie::read(value?))
    }

    /// The session that a provider is to be linked in. Another site must not begin that: it may have signed the browser
    /// in at the provider as another person, who would then have a way into the account.
    async fn linking_session(&self, credentials: &Credentials) -> Result<Session, Refusal> {
        match self.callers.session(credentials).await {
            Ok(Some(session)) => Ok(session),
            Ok(None) => Err(Refusal::of(StatusCode::UNAUTHORIZED, "not_signed_in", text::NOT_SIGNED_IN)),
            Err(problem) => Err(Refusal::about(problem)),
        }
    }

    /// `POST /login/{provider}/callback`: a provider's form is sealed and redirected to `GET` at the same address,
    /// where the browser sends its cookies.
    pub fn take_form(&self, provider: &str, form: CallbackForm) -> Result<Redirect, Refusal> {
        let response = ProviderResponse {
            name: form.name(),
            state: form.state.map(Secret::new),
            code: form.code.map(Secret::new),
            error: form.error,
            issuer: form.iss,
            by_form: true,
        };
        match self.logins.post(provider, &response) {
            Ok(sealed) => {
                let location = format!("callback?posted={}", cookie::encoded(&sealed));
                Ok(Redirect { location: Secret::new(location), cookies: Vec::new() })
            }
            Err(PostError::UnknownProvider) => Err(unknown_provider()),
            Err(PostError::NoForms) => Err(no_forms()),
            Err(PostError::Malformed) => Err(not_signed_in(&self.public_url, provider, FinishError::Malformed)),
            Err(PostError::Failed(failure)) => Err(Refusal::about(failed(&failure))),
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
        let CallbackQuery { state, code, error, iss: issuer, posted, repeats } = query;
        // What is not Base64 opens as little as any other bytes.
        let posted = posted.map(|text| cookie::decoded(&text).unwrap_or_default());
        let parameters = CallbackParameters { state, code, error, issuer, posted, repeats };
        let response = self.logins.response(provider, parameters);
        let label = response.login_state().label();
        let kept = self.kept(cookies).into_iter().enumerate();
        let kept =
            kept.filter_map(|(slot, attempt)| Some((slot, attempt?))).find(|(_, attempt)| attempt.label == label);
        let used_up = kept.as_ref().map(|(slot, _)| self.cookies.forget(&self.cookies.login(*slot)));
        let sealed = kept.map(|(_, attempt)| attempt.sealed);
        let arrival = Arrival { sealed, visitor: sender.visitor(), client: sender.address };
        let returned = Callback::of(response, arrival);
        let old_session = cookie::sent(cookies, &self.cookies.session());
        match self.logins.finish(provider, returned, old_session).await {
            Ok(finished) => {
                let life = self.sessions.limits().total.to_std().unwrap_or(Duration::ZERO);
                let keep = |secret: SessionSecret| self.cookies.keep(&self.cookies.session(), secret.expose(), life);
                // The attempt's cookie stays until it expires: the browser may come back to this address.
                let session = finished.session.map(keep);
                let next = match finished.consent {
                    Some(begun) => self.away(begun, cookies),
                    None => Redirect { location: Secret::new(finished.return_to.as_str()), cookies: Vec::new() },
                };
                Ok(Redirect { cookies: session.into_iter().chain(next.cookies).collect(), ..next })
            }
            // The sign-in page shows the signed-in person, and links to the address that the browser asked for.
            Err(Unfinished { error: FinishError::FinishedBefore, wish: Some(wish) }) => {
                let location = format!("../../login?return_to={}", wish.return_to.encoded());
                Ok(Redirect { location: Secret::new(location), cookies: Vec::new() })
            }
            Err(Unfinished { error, wish }) => {
                let is_link = wish.as_ref().is_some_and(|wish| wish.is_link);
                let refusal = if is_link {
                    not_linked(&self.public_url, provider, error)
                } else {
                    not_signed_in(&self.public_url, provider, error)
                };
                let return_to = wish.map(|wish| wish.return_to).filter(|return_to| *return_to != ReturnTo::home());
                Err(Refusal { cookies: used_up.into_iter().collect(), is_link, return_to, ..refusal })
            }
        }
    }
}
