//! `/login…` and `/signup`: sign-in and sign-up in a browser, with a password or at a provider.

mod pages;
mod signup;

use http::StatusCode;
use poem::{IntoResponse, Request, Response};
use poem_openapi::{
    OpenApi,
    param::{Path, Query},
    payload::Json,
    registry::MetaResponse,
};

use self::pages::{FailurePage, LINK, Mistake, SIGN_IN};
pub(super) use self::signup::SignUpPageApi;
use super::{
    RequestContext, Tag,
    shared::{
        extract::{FormBody, OptionalSession, Session, browser, cookies},
        pages::{
            goes_on, is_wanted, json_or_page, page_response, problem_or_page, responses, see_other, shown_in,
            with_cookies, with_form,
        },
        problems,
    },
};
use crate::{
    domain::gateway::{
        controllers::{
            account::{AccountController, WithCookie},
            caller::Credentials,
            login::LoginController,
            oauth::OAuthController,
            session::SessionController,
        },
        models::login::ReturnTo,
        schemas::{
            account::{AccountDocument, LogInRequest},
            login::{BeginQuery, CallbackForm, CallbackQuery, LinkForm, LinkRequest, LogInForm, Redirect, Refusal},
            oauth::OAuthProviders,
        },
    },
    problem::Problem,
};

/// The controllers of the pages.
#[derive(Clone)]
pub(super) struct SignIns {
    pub(super) logins: LoginController,
    pub(super) vault: OAuthController,
    pub(super) accounts: AccountController,
    pub(super) sessions: SessionController,
}

#[derive(Clone)]
pub(super) struct LoginApi {
    parts: SignIns,
}

impl LoginApi {
    pub(super) fn new(parts: SignIns) -> Self {
        Self { parts }
    }

    /// The sign-in page.
    async fn page(&self, return_to: &ReturnTo, caller: &Credentials, mistake: Option<&Mistake<'_>>) -> String {
        let signed_in = self.parts.sessions.seen(caller).await;
        pages::sign_in(&self.parts.vault.providers(), return_to, signed_in.as_ref(), mistake)
    }
}

#[OpenApi(prefix_path = "/login", tag = "Tag::SignIn")]
#[expect(
    clippy::too_many_arguments,
    clippy::unused_async,
    reason = "each argument is a parameter in the document, and poem-openapi wants async operations"
)]
impl LoginApi {
    /// Show the sign-in page
    ///
    /// Returns a page to a browser, with a form for e-mail address and password and a link for each provider. Returns the
    /// providers as JSON to programs.
    #[oai(path = "/", method = "get", operation_id = "login_page")]
    async fn choose(
        &self,
        request: &Request,
        /// Destination of the browser after the sign-in: a path of this site, or a URL at one of the exact origins in
        /// `ALLOWED_ORIGINS`. Default: `/`.
        return_to: Query<Option<String>>,
        caller: OptionalSession,
    ) -> ChoiceResponse {
        ChoiceResponse(match self.parts.logins.return_to(return_to.0.as_deref()) {
            Err(refusal) => refused(request, refusal, &SIGN_IN, "login"),
            Ok(return_to) if is_wanted(request) => {
                let page = self.page(&return_to, &caller.0, None).await;
                with_form(page_response(StatusCode::OK, page), Some(self.parts.logins.return_origins()))
            }
            Ok(_) => Json(self.parts.vault.providers()).into_response(),
        })
    }

    /// Sign in with the form of the sign-in page
    ///
    /// Signs in like `POST /accounts/login`, for the page of `GET /login`. The browser is redirected to `return_to`, or gets
    /// the page again with the mistakes.
    #[oai(path = "/", method = "post", operation_id = "log_in_by_form")]
    async fn log_in(&self, request: &Request, form: FormBody<LogInForm>) -> LogInFormResponse {
        let LogInForm { email, password, return_to } = form.0;
        let return_to = match self.parts.logins.return_to(return_to.as_deref()) {
            Ok(return_to) => return_to,
            Err(refusal) => return LogInFormResponse(refused(request, refusal, &SIGN_IN, "login")),
        };
        let (caller, sender) = (browser(request), RequestContext::sender(request));
        let wish = LogInRequest { email: email.clone(), password };
        LogInFormResponse(match self.parts.accounts.log_in(wish, &caller, &sender).await {
            Ok(signed_in) => goes_on_to(&return_to, signed_in),
            Err(problem) if is_wanted(request) => {
                let mistake = Mistake { problem: &problem, email: &email, name: "" };
                let page = self.page(&return_to, &caller, Some(&mistake)).await;
                asked_again(request, problem, page, self.parts.logins.return_origins())
            }
            Err(problem) => problems::document(problem, &RequestContext::of(request)),
        })
    }

    /// Sign in at a provider
    ///
    /// Open this URL in a browser. It redirects to the provider, which redirects to the callback.
    ///
    /// - Each attempt has its own `state`, and uses PKCE and a nonce if the provider supports them. It expires after ten
    ///   minutes.
    /// - A browser can have up to five attempts under way.
    /// - Only a navigation starts an attempt. Returns 403 `not_a_navigation` for a resource that a page loads from here.
    ///
    /// Some providers issue a refresh token only after they have asked the person for consent (Google; OpenID Connect with
    /// the scope `offline_access`). If the provider issued none and none is stored, the callback redirects the browser to
    /// the provider once more, with `prompt=consent`. The person is already signed in then, and the browser goes on to
    /// `return_to` whether or not the person consents. `<PROVIDER>_PROMPT` changes this.
    #[oai(path = "/:provider", method = "get", operation_id = "login")]
    async fn begin(
        &self,
        request: &Request,
        /// Name of a provider in the response of `GET /oauth/providers`.
        provider: Path<String>,
        /// Destination of the browser after the sign-in: a path of this site, or a URL at one of the exact origins in
        /// `ALLOWED_ORIGINS`. Default: `/`.
        return_to: Query<Option<String>>,
        /// Person who is likely to sign in, such as an e-mail address (OpenID Connect Core §3.1.2.1). It is sent to Google,
        /// GitHub, Kakao and OpenID Connect providers, and not to others.
        login_hint: Query<Option<String>>,
        /// Step that the provider repeats: `reprompt` (Naver) and `rerequest` (Facebook) ask again for permissions that the
        /// person declined, `reauthenticate` (both) asks for the password. Returns 400 `unknown_auth_type` for any other
        /// provider.
        auth_type: Query<Option<String>>,
        /// Additional scope to request: words from `<PROVIDER>_MORE_SCOPES` or `OIDC_<NAME>_MORE_SCOPES`, separated by a
        /// space. Returns 400 `scope_not_allowed` for any other word.
        scope: Query<Option<String>>,
    ) -> BeginResponse {
        let query =
            BeginQuery { return_to: return_to.0, login_hint: login_hint.0, auth_type: auth_type.0, scope: scope.0 };
        let outcome = self.parts.logins.begin(&provider.0, &query, is_to_link(request), &browser(request)).await;
        BeginResponse(respond(request, outcome, &SIGN_IN, "../login"))
    }

    /// Show the page that adds a provider to your account
    ///
    /// Returns a page with a form to a browser that is signed in, and redirects any other browser to the sign-in page.
    /// Returns JSON to programs: a front end can show its own form, and send it to the same path.
    #[oai(path = "/:provider/link", method = "get", operation_id = "link_page")]
    async fn ask_to_link(
        &self,
        request: &Request,
        /// Name of a provider in the response of `GET /oauth/providers`.
        provider: Path<String>,
        /// Destination of the browser after the provider was added: a path of this site, or a URL at one of the exact
        /// origins in `ALLOWED_ORIGINS`. Default: `/`.
        return_to: Query<Option<String>>,
        caller: Session,
    ) -> LinkPageResponse {
        LinkPageResponse(match self.parts.logins.link_form(&provider.0, return_to.0.as_deref(), &caller.0).await {
            Ok(form) if is_wanted(request) => pages::link(&form),
            Ok(form) => Json(form).into_response(),
            Err(refusal) if refusal.problem.status() == StatusCode::UNAUTHORIZED && is_wanted(request) => {
                let query = refusal.query_to(&format!("/login/{}/link", provider.0));
                see_other(&format!("../../login{query}"))
            }
            Err(refusal) => refused(request, refusal, &LINK, "link"),
        })
    }

    /// Add a provider to your account
    ///
    /// Redirects the browser to the provider, as a sign-in does. The identity at the provider can then sign in to the
    /// account.
    ///
    /// - Requires the session of a browser and, if the account has one, the password. The form must be on a page of this
    ///   site or of `ALLOWED_ORIGINS`.
    /// - The callback returns 409 `linked_elsewhere` if the identity belongs to another account. Accounts are never merged.
    /// - The callback returns 409 `other_session` if the browser's session is no longer the one that began the attempt.
    #[oai(path = "/:provider/link", method = "post", operation_id = "link_provider")]
    async fn link(
        &self,
        request: &Request,
        /// Name of a provider in the response of `GET /oauth/providers`.
        provider: Path<String>,
        caller: Session,
        form: FormBody<LinkRequest>,
    ) -> LinkResponse {
        let client = RequestContext::of(request).client;
        let outcome = self.parts.logins.begin_link(&provider.0, form.0, &caller.0, client).await;
        LinkResponse(respond(request, outcome, &LINK, "link"))
    }

    /// Finish a sign-in at a provider
    ///
    /// The provider redirects the browser to this URL. Do not call it by hand.
    ///
    /// The gateway finds or creates the account by provider and subject, never by e-mail address. It stores the grant,
    /// starts a session, and redirects the browser to `return_to`.
    #[oai(path = "/:provider/callback", method = "get", operation_id = "login_callback")]
    async fn finish(
        &self,
        request: &Request,
        /// Name of a provider in the response of `GET /oauth/providers`.
        provider: Path<String>,
        /// State of the attempt.
        state: Query<Option<String>>,
        /// Authorization code.
        code: Query<Option<String>>,
        /// Error code, if there is no authorization code (RFC 6749 §4.1.2.1).
        error: Query<Option<String>>,
        /// Issuer of the response (RFC 9207).
        iss: Query<Option<String>>,
        /// Response that the provider sent as a form, sealed by `POST` to this path. Excludes all other parameters.
        posted: Query<Option<String>>,
    ) -> FinishResponse {
        let parameters = request.params::<Vec<(String, String)>>().unwrap_or_default();
        let names: Vec<&str> = parameters.iter().map(|(name, _)| name.as_str()).collect();
        let query = CallbackQuery {
            state: state.0,
            code: code.0,
            error: error.0,
            iss: iss.0,
            posted: posted.0,
            repeats: CallbackQuery::repeats(&names),
        };
        let outcome =
            self.parts.logins.finish(&provider.0, query, &cookies(request), &RequestContext::sender(request)).await;
        match outcome {
            Err(refusal) if refusal.is_link => FinishResponse(refused(request, refusal, &LINK, "link")),
            outcome => FinishResponse(respond(request, outcome, &SIGN_IN, "../../login")),
        }
    }

    /// Receive the form of a sign-in at Apple
    ///
    /// Apple sends the browser to this URL with a form (`response_mode=form_post`). Do not call it by hand. Returns 404
    /// `no_form_response` for any other provider.
    ///
    /// A form from another site carries no cookies, so this operation only seals the form's contents. It redirects the
    /// browser to `GET` of this path, where the browser sends its cookies.
    #[oai(path = "/:provider/callback", method = "post", operation_id = "login_callback_by_form")]
    async fn finish_by_form(
        &self,
        request: &Request,
        /// Name of a provider in the response of `GET /oauth/providers`.
        provider: Path<String>,
        form: FormBody<CallbackForm>,
    ) -> PostedResponse {
        let outcome = self.parts.logins.take_form(&provider.0, form.0);
        PostedResponse(respond(request, outcome, &SIGN_IN, "../../login"))
    }
}

/// Whether this is a link of an earlier version, which started adding a provider.
fn is_to_link(request: &Request) -> bool {
    request.uri().query().is_some_and(|query| query.split('&').any(|parameter| parameter == "link=true"))
}

/// Redirects the browser, or shows the failure. `begin_again` is the link for a retry, relative to this path.
fn respond(
    request: &Request,
    outcome: Result<Redirect, Refusal>,
    failure: &FailurePage,
    begin_again: &str,
) -> Response {
    match outcome {
        Ok(Redirect { location, cookies }) => with_cookies(see_other(location.expose()), cookies),
        Err(refusal) => refused(request, refusal, failure, begin_again),
    }
}

fn refused(request: &Request, refusal: Refusal, failure: &FailurePage, begin_again: &str) -> Response {
    let begin_again = format!("{begin_again}{}", refusal.query());
    if is_wanted(request) {
        let page = page_response(refusal.problem.status(), failure.html(&refusal, &begin_again));
        return with_cookies(page, refusal.cookies);
    }
    with_cookies(problems::document(refusal.problem, &RequestContext::of(request)), refusal.cookies)
}

/// Redirects to the destination after a sign-in.
fn goes_on_to(return_to: &ReturnTo, signed_in: WithCookie<AccountDocument>) -> Response {
    with_cookies(see_other(return_to.as_str()), signed_in.cookies)
}

/// Shows the page of a form again, with the mistakes. Status and headers are those of the problem.
fn asked_again(request: &Request, problem: Problem, page: String, leads_to: &[String]) -> Response {
    let response = problems::document(problem, &RequestContext::of(request));
    with_form(shown_in(response, page), Some(leads_to))
}

responses! {
    /// Response of `GET /login`.
    ChoiceResponse(OAuthProviders): [json_or_page::<OAuthProviders>("The sign-in page, or the enabled providers.")], problem_or_page: 400, 500;
    /// Response of `POST /login`.
    LogInFormResponse(OAuthProviders): [goes_on()], problem_or_page: 400, 401, 403, 413, 415, 422, 429, 500, 503;
    /// Response of `GET /login/{provider}`.
    BeginResponse(OAuthProviders): [goes_on()], problem_or_page: 400, 403, 404, 500, 502, 503;
    /// Response of `GET /login/{provider}/link`.
    LinkPageResponse(LinkForm): on_the_way(json_or_page::<LinkForm>("The page with the form, or the contents of the form.")), problem_or_page: 400, 401, 404, 409, 500, 503;
    /// Response of `POST /login/{provider}/link`.
    LinkResponse(OAuthProviders): [goes_on()], problem_or_page: 400, 401, 403, 404, 409, 413, 415, 422, 429, 500, 502, 503;
    /// Response of `GET /login/{provider}/callback`.
    FinishResponse(OAuthProviders): [goes_on()], problem_or_page: 400, 403, 404, 409, 429, 500, 502, 503;
    /// Response of `POST /login/{provider}/callback`.
    PostedResponse(OAuthProviders): [goes_on()], problem_or_page: 400, 404, 413, 415, 500;
}

/// Adds the redirect to the sign-in page.
fn on_the_way(one: MetaResponse) -> Vec<MetaResponse> {
    vec![one, goes_on()]
}
