//! `/login…` and `/signup`: signing in and up in a browser, with a password or at a provider.

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
    extract::{FormBody, OptionalSession, Session, browser, cookies},
    pages::{
        answer as page_answer, answers, goes_on, is_wanted, json_or_page, problem_or_page, see_other, shown_in,
        with_cookies, with_form,
    },
    problems,
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
    /// Where people can sign in
    ///
    /// A page with a form for e-mail and password and a link for each provider; the providers as JSON for programs.
    #[oai(path = "/", method = "get", operation_id = "login_page")]
    async fn choose(
        &self,
        request: &Request,
        /// Where the browser goes when somebody is signed in: a path of this site, or one at exactly one of `ALLOWED_ORIGINS`. Default `/`.
        return_to: Query<Option<String>>,
        caller: OptionalSession,
    ) -> ChoiceAnswer {
        ChoiceAnswer(match self.parts.logins.return_to(return_to.0.as_deref()) {
            Err(refusal) => refused(request, refusal, &SIGN_IN, "login"),
            Ok(return_to) if is_wanted(request) => {
                let page = self.page(&return_to, &caller.0, None).await;
                with_form(page_answer(StatusCode::OK, page), Some(self.parts.logins.return_origins()))
            }
            Ok(_) => Json(self.parts.vault.providers()).into_response(),
        })
    }

    /// Sign in with the form of the page
    ///
    /// What `POST /accounts/login` does, for the page of `GET /login`: the browser goes where it wanted to, or is shown the page
    /// again with what was wrong.
    #[oai(path = "/", method = "post", operation_id = "log_in_by_form")]
    async fn log_in(&self, request: &Request, form: FormBody<LogInForm>) -> LogInFormAnswer {
        let LogInForm { email, password, return_to } = form.0;
        let return_to = match self.parts.logins.return_to(return_to.as_deref()) {
            Ok(return_to) => return_to,
            Err(refusal) => return LogInFormAnswer(refused(request, refusal, &SIGN_IN, "login")),
        };
        let (caller, sender) = (browser(request), RequestContext::sender(request));
        let wish = LogInRequest { email: email.clone(), password };
        LogInFormAnswer(match self.parts.accounts.log_in(wish, &caller, &sender).await {
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
    /// Open it in a browser: it goes to the provider, and from there to the callback. Each attempt has a `state` of its own,
    /// PKCE and a nonce where the provider knows them, and ten minutes; a browser has up to five under way. Only a navigation
    /// begins one (403 `not_a_navigation`): what a page loads from here does not.
    ///
    /// A provider may give a refresh token only to a person who was asked for their consent (Google; OpenID Connect with the scope
    /// `offline_access`). If none came and none is held, the browser goes there once more from the callback, already signed in, with
    /// `prompt=consent`, and then where it wanted to, whatever the person says. `<PROVIDER>_PROMPT` changes that.
    #[oai(path = "/:provider", method = "get", operation_id = "login")]
    async fn begin(
        &self,
        request: &Request,
        /// One of `GET /oauth/providers`.
        provider: Path<String>,
        /// Where the browser goes when somebody is signed in: a path of this site, or one at exactly one of `ALLOWED_ORIGINS`. Default `/`.
        return_to: Query<Option<String>>,
        /// Who is likely to sign in, such as an e-mail address (OpenID Connect Core §3.1.2.1). Google, GitHub, Kakao and OpenID Connect
        /// providers are told; others are not.
        login_hint: Query<Option<String>>,
        /// What the provider is to do anew: `reprompt` (Naver) or `rerequest` (Facebook) asks once more for what the person did not
        /// allow, `reauthenticate` (both) for their password. 400 `unknown_auth_type` at any other provider.
        auth_type: Query<Option<String>>,
        /// What to ask for besides what is set: words of `<PROVIDER>_MORE_SCOPES` or `OIDC_<NAME>_MORE_SCOPES`, separated by blanks.
        /// 400 `scope_not_allowed` for any other.
        scope: Query<Option<String>>,
    ) -> BeginAnswer {
        let query =
            BeginQuery { return_to: return_to.0, login_hint: login_hint.0, auth_type: auth_type.0, scope: scope.0 };
        let outcome = self.parts.logins.begin(&provider.0, &query, is_to_link(request), &browser(request)).await;
        BeginAnswer(answer(request, outcome, &SIGN_IN, "../login"))
    }

    /// What adding a provider to your account needs
    ///
    /// A page that asks for it, for a browser that is signed in; one that is not is sent to sign in. JSON for programs: a front
    /// end can ask by itself, with a form that it sends to the same path.
    #[oai(path = "/:provider/link", method = "get", operation_id = "link_page")]
    async fn ask_to_link(
        &self,
        request: &Request,
        /// One of `GET /oauth/providers`.
        provider: Path<String>,
        /// Where the browser goes in the end: a path of this site, or one at exactly one of `ALLOWED_ORIGINS`. Default `/`.
        return_to: Query<Option<String>>,
        caller: Session,
    ) -> LinkPageAnswer {
        LinkPageAnswer(match self.parts.logins.link_form(&provider.0, return_to.0.as_deref(), &caller.0).await {
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
    /// Sends the browser to the provider, as a sign-in does. Whoever has that identity can sign in to the account from then
    /// on, so it takes the session of a browser and, if there is one, the password, and it begins with a form on a page of
    /// this site or of `ALLOWED_ORIGINS`. An identity of another account is refused (409 `linked_elsewhere`), and accounts are
    /// never merged; what was begun in one session does not count in another (409 `other_session`).
    #[oai(path = "/:provider/link", method = "post", operation_id = "link_provider")]
    async fn link(
        &self,
        request: &Request,
        /// One of `GET /oauth/providers`.
        provider: Path<String>,
        caller: Session,
        form: FormBody<LinkRequest>,
    ) -> LinkAnswer {
        let client = RequestContext::of(request).client;
        let outcome = self.parts.logins.begin_link(&provider.0, form.0, &caller.0, client).await;
        LinkAnswer(answer(request, outcome, &LINK, "link"))
    }

    /// Where a provider sends the browser back to
    ///
    /// Not to be called by hand. The account is found or made by provider and subject (never by e-mail), the grant is kept,
    /// a session is opened, and the browser goes where it wanted to.
    #[oai(path = "/:provider/callback", method = "get", operation_id = "login_callback")]
    async fn finish(
        &self,
        request: &Request,
        /// One of `GET /oauth/providers`.
        provider: Path<String>,
        /// The attempt that this ends.
        state: Query<Option<String>>,
        /// The authorization code.
        code: Query<Option<String>>,
        /// Why there is no code (RFC 6749 §4.1.2.1).
        error: Query<Option<String>>,
        /// Who sends the browser back (RFC 9207).
        iss: Query<Option<String>>,
        /// What came as a form, sealed by `POST` to this path. Nothing else may stand beside it.
        posted: Query<Option<String>>,
    ) -> FinishAnswer {
        let query = if is_said_once(request) {
            CallbackQuery { state: state.0, code: code.0, error: error.0, iss: iss.0, posted: posted.0 }
        } else {
            // Of two values either could be the forged one (RFC 6749 §3.1).
            CallbackQuery::default()
        };
        let outcome =
            self.parts.logins.finish(&provider.0, query, &cookies(request), &RequestContext::sender(request)).await;
        match outcome {
            Err(refusal) if refusal.is_link => FinishAnswer(refused(request, refusal, &LINK, "link")),
            outcome => FinishAnswer(answer(request, outcome, &SIGN_IN, "../../login")),
        }
    }

    /// Where a provider sends the browser back to with a form
    ///
    /// Not to be called by hand. Apple answers like this (`response_mode=form_post`), and no other provider: 404 `no_form_response`
    /// there. A form of another site brings no cookie of ours, so nothing is decided here: the browser goes on to `GET` of this path
    /// with what the form says, sealed, and brings its cookies there.
    #[oai(path = "/:provider/callback", method = "post", operation_id = "login_callback_by_form")]
    async fn finish_by_form(
        &self,
        request: &Request,
        /// One of `GET /oauth/providers`.
        provider: Path<String>,
        form: FormBody<CallbackForm>,
    ) -> PostedAnswer {
        let outcome = self.parts.logins.take_form(&provider.0, form.0);
        PostedAnswer(answer(request, outcome, &SIGN_IN, "../../login"))
    }
}

/// Whether no parameter of the callback repeats.
fn is_said_once(request: &Request) -> bool {
    let parameters = request.params::<Vec<(String, String)>>().unwrap_or_default();
    ["state", "code", "error", "iss", "posted"]
        .iter()
        .all(|name| parameters.iter().filter(|(sent, _)| sent == name).count() <= 1)
}

/// Whether this is a link of an earlier version, which started adding a provider.
fn is_to_link(request: &Request) -> bool {
    request.uri().query().is_some_and(|query| query.split('&').any(|parameter| parameter == "link=true"))
}

/// Redirects the browser, or shows the failure. `begin_again` is the link to retry, relative to this path.
fn answer(request: &Request, outcome: Result<Redirect, Refusal>, failure: &FailurePage, begin_again: &str) -> Response {
    match outcome {
        Ok(Redirect { location, cookies }) => with_cookies(see_other(location.expose()), cookies),
        Err(refusal) => refused(request, refusal, failure, begin_again),
    }
}

fn refused(request: &Request, refusal: Refusal, failure: &FailurePage, begin_again: &str) -> Response {
    let begin_again = format!("{begin_again}{}", refusal.query());
    if is_wanted(request) {
        let page = page_answer(refusal.problem.status(), failure.html(&refusal, &begin_again));
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
    let answer = problems::document(problem, &RequestContext::of(request));
    with_form(shown_in(answer, page), Some(leads_to))
}

answers! {
    /// Of the question where people can sign in.
    ChoiceAnswer(OAuthProviders): [json_or_page::<OAuthProviders>("Where people can sign in.")], problem_or_page: 400, 500;
    /// Of the form with a password.
    LogInFormAnswer(OAuthProviders): [goes_on()], problem_or_page: 400, 401, 403, 413, 415, 422, 429, 500, 503;
    /// Of the begin of a sign-in.
    BeginAnswer(OAuthProviders): [goes_on()], problem_or_page: 400, 403, 404, 500, 502, 503;
    /// Of the question what adding a provider needs.
    LinkPageAnswer(LinkForm): on_the_way(json_or_page::<LinkForm>("What it needs.")), problem_or_page: 400, 401, 404, 409, 500, 503;
    /// Of the request to add one.
    LinkAnswer(OAuthProviders): [goes_on()], problem_or_page: 400, 401, 403, 404, 409, 413, 415, 422, 429, 500, 502, 503;
    /// Of its end.
    FinishAnswer(OAuthProviders): [goes_on()], problem_or_page: 400, 403, 404, 409, 429, 500, 502, 503;
    /// Of a form that a provider sends the browser back with.
    PostedAnswer(OAuthProviders): [goes_on()], problem_or_page: 400, 404, 413, 415, 500;
}

/// Adds the redirect to the sign-in page.
fn on_the_way(one: MetaResponse) -> Vec<MetaResponse> {
    vec![one, goes_on()]
}
