//! `/session` and `/logout`: who is signed in in this browser.

use std::fmt::Write;

use http::{StatusCode, header};
use poem::{IntoResponse, Request, Response};
use poem_openapi::{
    ApiResponse, OpenApi,
    payload::Json,
    registry::{MetaMediaType, MetaResponses, Registry},
    types::Type,
};

use super::{
    RequestContext, Tag,
    extract::Caller,
    pages::{self, bilingual, escaped},
    problems,
};
use crate::domain::gateway::{
    controllers::session::SessionController,
    schemas::{
        problem::ProblemDocument,
        session::{SessionDocument, SignedOut},
    },
};

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

/// Declares an answer that is JSON, a page, a redirect or a problem.
macro_rules! answers {
    ($($(#[$doc:meta])* $name:ident: $json:ty, $good:literal;)+) => {$(
        $(#[$doc])*
        struct $name(Response);

        impl IntoResponse for $name {
            fn into_response(self) -> Response {
                self.0
            }
        }

        impl ApiResponse for $name {
            fn meta() -> MetaResponses {
                let json = MetaMediaType { content_type: "application/json", schema: <$json>::schema_ref() };
                let page = MetaMediaType { content_type: "text/html", schema: String::schema_ref() };
                let problems = [401, 403, 500, 503].map(problems::described);
                let good = [
                    problems::described_as(200, $good, vec![json, page]),
                    problems::described_as(303, "The browser goes on.", vec![]),
                ];
                MetaResponses { responses: good.into_iter().chain(problems).collect() }
            }

            fn register(registry: &mut Registry) {
                <$json>::register(registry);
                ProblemDocument::register(registry);
            }
        }
    )+};
}

answers! {
    /// Of the question who is signed in.
    SessionAnswer: SessionDocument, "Somebody is signed in.";
    /// Of a sign-out.
    SignedOutAnswer: SignedOut, "Nobody is signed in any more.";
}
