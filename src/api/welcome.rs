//! `GET /`: the welcome, and the signed-in person.

use http::{StatusCode, header};
use maud::html;
use poem::{IntoResponse, Request};
use poem_openapi::{OpenApi, payload::Json};

use super::{
    RequestContext, Tag,
    shared::{
        extract::OptionalSession,
        pages::{self, bilingual, json_or_page, responses, signed_in_as},
        problems::described,
    },
};
use crate::{
    domain::gateway::{
        controllers::session::SessionController,
        schemas::{session::SessionDocument, welcome::Welcome},
    },
    texts::pages as text,
};

#[derive(Clone)]
pub(super) struct WelcomeApi {
    welcome: Welcome,
    sessions: SessionController,
}

impl WelcomeApi {
    pub(super) fn new(domain: &str, sessions: SessionController) -> Self {
        Self { welcome: Welcome::to(domain), sessions }
    }
}

#[OpenApi(tag = "Tag::Welcome")]
impl WelcomeApi {
    /// Get the welcome
    ///
    /// Returns JSON to programs. Returns a page to a browser (`Accept: text/html`), which shows who is signed in.
    #[oai(path = "/", method = "get", operation_id = "welcome")]
    async fn welcome(&self, request: &Request, caller: OptionalSession) -> WelcomeResponse {
        let welcome = self.welcome.under(&RequestContext::of(request).prefix);
        if !pages::is_wanted(request) {
            return WelcomeResponse(Json(welcome).with_header(header::VARY, "Accept").into_response());
        }
        let signed_in = self.sessions.seen(&caller.0).await;
        WelcomeResponse(pages::page_response(StatusCode::OK, page(&welcome, signed_in.as_ref())))
    }
}

/// The page, with the texts and links of the JSON.
fn page(welcome: &Welcome, signed_in: Option<&SessionDocument>) -> String {
    let Welcome { message, docs, openapi, health, try_it, login } = welcome;
    let prefix = login.trim_end_matches("/login");
    let session = format!("{prefix}/session").replace('/', "%2F");
    let main = html! {
        h1 { (message) }
        @if let Some(person) = signed_in { (signed_in_as(person, &format!("{prefix}/logout"), None)) }
        ul {
            li { a href=(docs) { "Swagger" } ": " (bilingual(&text::ALL_OPERATIONS)) }
            li {
                @if signed_in.is_some() {
                    a href={ (prefix) "/session" } { (bilingual(&text::YOUR_SESSION)) }
                } @else {
                    a href={ (login) "?return_to=" (session) } { (bilingual(&text::SIGN_IN)) }
                }
            }
            li { a href=(try_it) { (try_it) } ": " (bilingual(&text::PROXIED_REQUEST)) }
            li { a href=(openapi) { (bilingual(&text::OPENAPI_DOCUMENT)) } }
            li { a href=(health) { (bilingual(&text::HEALTH)) } }
        }
    };
    pages::page(message, &main)
}

responses! {
    /// Response of `GET /`.
    WelcomeResponse(Welcome): [json_or_page::<Welcome>("The welcome, with links to the rest of the API.")], described: 500;
}
