//! `/login…`: signing in at a provider, in a browser.

use std::fmt::Write;

use http::{StatusCode, header};
use poem::{IntoResponse, Request, Response};
use poem_openapi::{
    OpenApi,
    param::{Path, Query},
    payload::Json,
};

use super::{
    RequestContext, Tag,
    extract::{browser_on_a_link, cookies},
    pages::{self, answers, bilingual, goes_on, json_or_page, problem_or_page},
    problems,
};
use crate::{
    domain::gateway::{
        controllers::{login::LoginController, oauth::OAuthController},
        schemas::{
            login::{CallbackQuery, Redirect, Refusal},
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
            Err(refusal) => refused(request, refusal, ""),
            Ok(return_to) if pages::is_wanted(request) => {
                pages::answer(StatusCode::OK, choice(&providers, &return_to.encoded()))
            }
            Ok(_) => Json(providers).into_response(),
        })
    }

    /// Sign in at a provider
    ///
    /// Open it in a browser: it goes to the provider, and from there to the callback. Each attempt has a `state` of its own,
    /// PKCE and a nonce where the provider knows them, and ten minutes.
    #[oai(path = "/:provider", method = "get", operation_id = "login")]
    async fn begin(
        &self,
        request: &Request,
        /// One of `GET /oauth/providers`.
        provider: Path<String>,
        /// Where the browser goes when somebody is signed in: a path of this site, or exactly one of `ALLOWED_ORIGINS`. Default `/`.
        return_to: Query<Option<String>>,
        /// `true`: not to sign in, but to add the provider to the account that is signed in in this browser. The link must be
        /// on a page of this site or of `ALLOWED_ORIGINS`. An identity of another account is refused (409 `linked_elsewhere`),
        /// and accounts are never merged; what was begun in one session does not count in another (409 `other_session`).
        link: Query<Option<bool>>,
    ) -> BeginAnswer {
        let linking = link.0.unwrap_or_default().then(|| browser_on_a_link(request));
        let (return_to, cookies) = (return_to.0.as_deref(), cookies(request));
        let outcome = self.logins.begin(&provider.0, return_to, linking.as_ref(), &cookies).await;
        BeginAnswer(answer(request, outcome, "../login"))
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
        FinishAnswer(answer(request, outcome, "../../login"))
    }
}

/// Whether no parameter of the callback stands there twice.
fn is_said_once(request: &Request) -> bool {
    let parameters = request.params::<Vec<(String, String)>>().unwrap_or_default();
    ["state", "code", "error", "iss"].iter().all(|name| parameters.iter().filter(|(sent, _)| sent == name).count() <= 1)
}

/// The browser goes on, or is told why not. `begin_again` is where, as seen from here.
fn answer(request: &Request, outcome: Result<Redirect, Refusal>, begin_again: &str) -> Response {
    match outcome {
        Ok(Redirect { location, cookies }) => {
            let answer = Response::builder().status(StatusCode::SEE_OTHER).header(header::LOCATION, location.expose());
            with_cookies(answer.finish(), cookies)
        }
        Err(refusal) => refused(request, refusal, begin_again),
    }
}

fn refused(request: &Request, refusal: Refusal, begin_again: &str) -> Response {
    let Refusal { problem, korean, cookies } = refusal;
    let answer = if pages::is_wanted(request) {
        pages::answer(problem.status(), apology(&problem, &korean, begin_again))
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
    BeginAnswer(OAuthProviders): [goes_on()], problem_or_page: 400, 401, 403, 404, 500, 502, 503;
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

fn apology(problem: &Problem, korean: &str, begin_again: &str) -> String {
    let main = format!(
        "<h1>{}</h1>\n<p lang=\"ko\">{}</p>\n<p>{}</p>\n<p><a href=\"{begin_again}\">{}</a></p>",
        bilingual("로그인하지 못했습니다", "You are not signed in"),
        escaped(korean),
        escaped(&problem.detail),
        bilingual("다시 로그인", "Sign in again"),
    );
    pages::page("로그인 · Sign in", &main)
}
