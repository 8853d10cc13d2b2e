//! `/login…`: signing in at a provider, in a browser.

use std::fmt::Write;

use http::{StatusCode, header};
use poem::{IntoResponse, Request, Response};
use poem_openapi::{
    OpenApi,
    param::{Path, Query},
    payload::Json,
    registry::MetaResponse,
};

use super::{
    RequestContext, Tag,
    extract::{FormBody, Session, browser, cookies},
    pages::{self, answers, bilingual, goes_on, json_or_page, problem_or_page},
    problems,
};
use crate::{
    domain::gateway::{
        controllers::{login::LoginController, oauth::OAuthController},
        schemas::{
            login::{CallbackQuery, LinkForm, LinkRequest, Redirect, Refusal},
            oauth::OAuthProviders,
        },
    },
    html::escaped,
    problem::Problem,
};

#[derive(Clone)]
pub(super) struct LoginApi {
    logins: LoginController,
    vault: OAuthController,
}

impl LoginApi {
    pub(super) fn new(logins: LoginController, vault: OAuthController) -> Self {
        Self { logins, vault }
    }
}

#[OpenApi(prefix_path = "/login", tag = "Tag::SignIn")]
#[expect(clippy::unused_async, reason = "poem-openapi wants async operations")]
impl LoginApi {
    /// Where people can sign in
    ///
    /// A page with a link for each provider; JSON for programs.
    #[oai(path = "/", method = "get", operation_id = "login_page")]
    async fn choose(
        &self,
        request: &Request,
        /// Where the browser goes when somebody is signed in: a path of this site, or exactly one of `ALLOWED_ORIGINS`. Default `/`.
        return_to: Query<Option<String>>,
    ) -> ChoiceAnswer {
        let providers = self.vault.providers();
        ChoiceAnswer(match self.logins.return_to(return_to.0.as_deref()) {
            Err(refusal) => refused(request, refusal, &SIGN_IN, ""),
            Ok(return_to) if pages::is_wanted(request) => {
                pages::answer(StatusCode::OK, choice(&providers, &return_to.encoded()))
            }
            Ok(_) => Json(providers).into_response(),
        })
    }

    /// Sign in at a provider
    ///
    /// Open it in a browser: it goes to the provider, and from there to the callback. Each attempt has a `state` of its own,
    /// PKCE and a nonce where the provider knows them, and ten minutes; a browser has up to five under way. Only a navigation
    /// begins one (403 `not_a_navigation`): what a page loads from here does not.
    #[oai(path = "/:provider", method = "get", operation_id = "login")]
    async fn begin(
        &self,
        request: &Request,
        /// One of `GET /oauth/providers`.
        provider: Path<String>,
        /// Where the browser goes when somebody is signed in: a path of this site, or exactly one of `ALLOWED_ORIGINS`. Default `/`.
        return_to: Query<Option<String>>,
    ) -> BeginAnswer {
        let return_to = return_to.0.as_deref();
        let outcome = self.logins.begin(&provider.0, return_to, is_to_link(request), &browser(request)).await;
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
        /// Where the browser goes in the end: a path of this site, or exactly one of `ALLOWED_ORIGINS`. Default `/`.
        return_to: Query<Option<String>>,
        caller: Session,
    ) -> LinkPageAnswer {
        LinkPageAnswer(match self.logins.link_form(&provider.0, return_to.0.as_deref(), &caller.0).await {
            Ok(form) if pages::is_wanted(request) => link_page(&form),
            Ok(form) => Json(form).into_response(),
            Err(refusal) if refusal.problem.status() == StatusCode::UNAUTHORIZED && pages::is_wanted(request) => {
                let query = refusal.query_to(&format!("/login/{}/link", provider.0));
                Response::builder()
                    .status(StatusCode::SEE_OTHER)
                    .header(header::LOCATION, format!("../../login{query}"))
                    .finish()
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
        let outcome = self.logins.begin_link(&provider.0, form.0, &caller.0, client).await;
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
    ) -> FinishAnswer {
        let query = if is_said_once(request) {
            CallbackQuery { state: state.0, code: code.0, error: error.0, iss: iss.0 }
        } else {
            // Of two values either could be the forged one (RFC 6749 §3.1).
            CallbackQuery::default()
        };
        let outcome = self.logins.finish(&provider.0, query, &cookies(request), &RequestContext::sender(request)).await;
        match outcome {
            Err(refusal) if refusal.is_link => FinishAnswer(refused(request, refusal, &LINK, "link")),
            outcome => FinishAnswer(answer(request, outcome, &SIGN_IN, "../../login")),
        }
    }
}

/// Whether no parameter of the callback stands there twice.
fn is_said_once(request: &Request) -> bool {
    let parameters = request.params::<Vec<(String, String)>>().unwrap_or_default();
    ["state", "code", "error", "iss"].iter().all(|name| parameters.iter().filter(|(sent, _)| sent == name).count() <= 1)
}

/// Whether this is a link of an earlier version, which began to add a provider.
fn is_to_link(request: &Request) -> bool {
    request.uri().query().is_some_and(|query| query.split('&').any(|parameter| parameter == "link=true"))
}

/// The words of a page that says why something failed, in Korean and English.
struct FailurePage {
    failed: (&'static str, &'static str),
    again: (&'static str, &'static str),
}

const SIGN_IN: FailurePage = FailurePage {
    failed: ("로그인하지 못했습니다", "The sign-in failed"),
    again: ("다시 로그인", "Sign in again"),
};

const LINK: FailurePage = FailurePage {
    failed: ("계정에 추가하지 못했습니다", "Nothing was added to your account"),
    again: ("다시 시도", "Try again"),
};

/// The browser goes on, or is told why not. `begin_again` is where, as seen from here.
fn answer(request: &Request, outcome: Result<Redirect, Refusal>, failure: &FailurePage, begin_again: &str) -> Response {
    match outcome {
        Ok(Redirect { location, cookies }) => {
            let answer = Response::builder().status(StatusCode::SEE_OTHER).header(header::LOCATION, location.expose());
            with_cookies(answer.finish(), cookies)
        }
        Err(refusal) => refused(request, refusal, failure, begin_again),
    }
}

fn refused(request: &Request, refusal: Refusal, failure: &FailurePage, begin_again: &str) -> Response {
    let begin_again = format!("{begin_again}{}", refusal.query());
    let Refusal { problem, korean, cookies, .. } = refusal;
    let answer = if pages::is_wanted(request) {
        pages::answer(problem.status(), failure.html(&problem, &korean, &begin_again))
    } else {
        problems::document(problem, &RequestContext::of(request))
    };
    with_cookies(answer, cookies)
}

fn with_cookies(mut answer: Response, cookies: Vec<String>) -> Response {
    for cookie in cookies.into_iter().filter_map(|cookie| cookie.try_into().ok()) {
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
    answer
}

answers! {
    /// Of the question where people can sign in.
    ChoiceAnswer(OAuthProviders): [json_or_page::<OAuthProviders>("Where people can sign in.")], problem_or_page: 400, 500;
    /// Of the begin of a sign-in.
    BeginAnswer(OAuthProviders): [goes_on()], problem_or_page: 400, 403, 404, 500, 502, 503;
    /// Of the question what adding a provider needs.
    LinkPageAnswer(LinkForm): on_the_way(json_or_page::<LinkForm>("What it needs.")), problem_or_page: 400, 401, 404, 409, 500, 503;
    /// Of the request to add one.
    LinkAnswer(OAuthProviders): [goes_on()], problem_or_page: 400, 401, 403, 404, 409, 413, 415, 422, 429, 500, 502, 503;
    /// Of its end.
    FinishAnswer(OAuthProviders): [goes_on()], problem_or_page: 400, 403, 404, 409, 500, 502, 503;
}

fn choice(providers: &OAuthProviders, return_to: &str) -> String {
    let mut main = format!("<h1>{}</h1>\n", bilingual("로그인", "Sign in"));
    for provider in &providers.providers {
        let name = escaped(&provider.display_name);
        let words = bilingual(&format!("{name}(으)로 로그인"), &format!("Sign in with {name}"));
        // A `String` takes everything.
        let _ = writeln!(
            main,
            r#"<a class="choice" href="login/{}?return_to={return_to}">{words}</a>"#,
            escaped(&provider.name)
        );
    }
    if providers.providers.is_empty() {
        let words = bilingual(
            "켜져 있는 로그인 서버가 없습니다.",
            "No provider is switched on: set GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET, for instance.",
        );
        let _ = writeln!(main, "<p>{words}</p>");
    }
    pages::page("로그인 · Sign in", &main)
}

/// The page that asks whether to add a provider.
fn link_page(form: &LinkForm) -> Response {
    let name = escaped(&form.display_name);
    let mut main = format!(
        "<h1>{}</h1>\n<p>{}</p>\n<form method=\"post\" action=\"link\">\n\
         <input type=\"hidden\" name=\"return_to\" value=\"{}\">\n",
        bilingual(&format!("{name} 로그인 추가"), &format!("Add {name} to your account")),
        bilingual(
            &format!("다음 화면에서 고르는 {name} 계정으로 이 계정에 로그인할 수 있게 됩니다."),
            &format!("The {name} account that you choose on the next page can sign in to this account from then on."),
        ),
        escaped(&form.return_to),
    );
    if form.needs_password {
        // A `String` takes everything.
        let _ = writeln!(
            main,
            "<label>{} <input type=\"password\" name=\"password\" autocomplete=\"current-password\" required></label>",
            bilingual("이 계정의 비밀번호", "The password of this account"),
        );
    }
    let _ = write!(main, "<button>{}</button>\n</form>", bilingual("계속", "Go on"));
    pages::answer_with_form(StatusCode::OK, pages::page("로그인 추가 · Add a sign-in", &main))
}

/// Or the browser is sent to sign in first.
fn on_the_way(one: MetaResponse) -> Vec<MetaResponse> {
    vec![one, goes_on()]
}

impl FailurePage {
    fn html(&self, problem: &Problem, korean: &str, begin_again: &str) -> String {
        let (failed, again) = (self.failed, self.again);
        let main = format!(
            "<h1>{}</h1>\n<p lang=\"ko\">{}</p>\n<p>{}</p>\n<p><a href=\"{begin_again}\">{}</a></p>",
            bilingual(failed.0, failed.1),
            escaped(korean),
            escaped(&problem.detail),
            bilingual(again.0, again.1),
        );
        pages::page("로그인 · Sign in", &main)
    }
}
