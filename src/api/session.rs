//! `/session` and `/logout`: who is signed in in this browser.

use std::fmt::Write;

use http::{StatusCode, header};
use poem::{IntoResponse, Request, Response};
use poem_openapi::{OpenApi, payload::Json, registry::MetaResponse};

use super::{
    RequestContext, Tag,
    extract::Caller,
    pages::{self, answers, bilingual, goes_on, json_or_page},
    problems::{self, described},
};
use crate::{
    domain::gateway::{
        controllers::session::SessionController,
        schemas::session::{SessionDocument, SignedOut},
    },
    html::escaped,
};

#[derive(Clone)]
pub(super) struct SessionApi {
    sessions: SessionController,
}

impl SessionApi {
    pub(super) fn new(sessions: SessionController) -> Self {
        Self { sessions }
    }
}

#[OpenApi(tag = "Tag::SignIn")]
impl SessionApi {
    /// Who is signed in in this browser
    ///
    /// Until when, and who they are at the providers. A browser gets a page, or is sent to sign in.
    #[oai(path = "/session", method = "get", operation_id = "get_session")]
    async fn show(&self, request: &Request, caller: Caller) -> SessionAnswer {
        let wants_page = pages::is_wanted(request);
        SessionAnswer(match self.sessions.show(&caller.0).await {
            Ok(session) if wants_page => pages::answer(StatusCode::OK, person(&session)),
            Ok(session) => Json(session).into_response(),
            Err(problem) if wants_page && problem.status() == StatusCode::UNAUTHORIZED => {
                see_other("login?return_to=%2Fsession")
            }
            Err(problem) => problems::document(problem, &RequestContext::of(request)),
        })
    }

    /// Sign out
    ///
    /// Ends the session. Signing out again changes nothing.
    #[oai(path = "/logout", method = "post", operation_id = "logout")]
    async fn end(&self, request: &Request, caller: Caller) -> SignedOutAnswer {
        SignedOutAnswer(match self.sessions.end(&caller.0).await {
            Ok(forget) => {
                let answer =
                    if pages::is_wanted(request) { see_other("./") } else { Json(SignedOut::now()).into_response() };
                answer.with_header(header::SET_COOKIE, forget).into_response()
            }
            Err(problem) => problems::document(problem, &RequestContext::of(request)),
        })
    }
}

fn see_other(location: &'static str) -> Response {
    Response::builder().status(StatusCode::SEE_OTHER).header(header::LOCATION, location).finish()
}

fn person(session: &SessionDocument) -> String {
    let name = escaped(session.name.as_deref().unwrap_or("–"));
    let mut main = format!("<h1>{}</h1>\n<dl>\n", bilingual(&format!("{name} 님"), &format!("Signed in as {name}")));
    for provider in &session.providers {
        let of = [provider.name.as_deref(), provider.email.as_deref()];
        let of = of.into_iter().flatten().map(escaped).collect::<Vec<_>>().join(" · ");
        // A `String` takes everything.
        let _ = writeln!(main, "<dt>{}</dt><dd>{of}</dd>", escaped(&provider.provider));
    }
    let _ = writeln!(main, "<dt>{}</dt><dd><code>{}</code></dd>", bilingual("계정", "account"), session.subject);
    let until = session.idle_until.format("%Y-%m-%d %H:%M %:z");
    let _ = writeln!(main, "<dt>{}</dt><dd>{until}</dd>\n</dl>", bilingual("유효 시간", "until"));
    let _ = writeln!(
        main,
        "<form method=\"post\" action=\"logout\"><button>{}</button></form>\n\
         <p><a href=\"docs\">Swagger</a> · <a href=\"./\">{}</a></p>",
        bilingual("로그아웃", "Sign out"),
        bilingual("처음으로", "Welcome"),
    );
    pages::page("로그인 정보 · Session", &main)
}

answers! {
    /// Of the question who is signed in.
    SessionAnswer(SessionDocument): good(json_or_page::<SessionDocument>("Somebody is signed in.")), described: 401, 403, 500, 503;
    /// Of a sign-out.
    SignedOutAnswer(SignedOut): good(json_or_page::<SignedOut>("Nobody is signed in any more.")), described: 403, 500, 503;
}

/// Or the browser goes on.
fn good(one: MetaResponse) -> Vec<MetaResponse> {
    vec![one, goes_on()]
}
