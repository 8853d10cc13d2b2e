//! `GET /`: where you are.

use poem::Request;
use poem_openapi::{
    ApiResponse, OpenApi, ResponseContent,
    payload::{Html, Json},
};

use super::{
    Tag,
    pages::{self, PAGE_POLICY, bilingual},
};
use crate::domain::gateway::schemas::welcome::Welcome;

#[derive(Clone)]
pub(super) struct WelcomeApi {
    welcome: Welcome,
    page: String,
}

#[derive(ResponseContent)]
enum WelcomeContent {
    Json(Json<Welcome>),
    Page(Html<String>),
}

#[derive(ApiResponse)]
enum WelcomeResponse {
    /// Where you are, and where to go from here.
    #[oai(status = 200)]
    Ok(WelcomeContent, #[oai(header = "Content-Security-Policy")] String, #[oai(header = "Vary")] String),
}

impl WelcomeApi {
    pub(super) fn new(domain: &str) -> Self {
        let welcome = Welcome::to(domain);
        let page = page(&welcome);
        Self { welcome, page }
    }
}

#[OpenApi(tag = "Tag::Welcome")]
#[expect(clippy::unused_async, reason = "poem-openapi wants async operations")]
impl WelcomeApi {
    /// Welcome
    ///
    /// JSON for programs, a small page for a browser (`Accept: text/html`).
    #[oai(path = "/", method = "get", operation_id = "welcome")]
    async fn welcome(&self, request: &Request) -> WelcomeResponse {
        let content = if pages::is_wanted(request) {
            WelcomeContent::Page(Html(self.page.clone()))
        } else {
            WelcomeContent::Json(Json(self.welcome.clone()))
        };
        WelcomeResponse::Ok(content, PAGE_POLICY.to_owned(), "Accept".to_owned())
    }
}

/// The same words and links for people. The domain comes from a parsed URL, so it holds nothing that HTML would read.
fn page(welcome: &Welcome) -> String {
    let Welcome { message, docs, openapi, health, try_it, login } = welcome;
    let sign_in = bilingual("로그인", "Sign in");
    let main = format!(
        r#"<h1>{message}</h1>
<ul>
<li><a href=".{docs}">Swagger</a>: everything that can be called</li>
<li><a href=".{login}?return_to=%2Fsession">{sign_in}</a></li>
<li><a href="{try_it}">{try_it}</a>: a call that goes through to a service</li>
<li><a href=".{openapi}">OpenAPI document</a></li>
<li><a href=".{health}">Health</a></li>
</ul>"#
    );
    pages::page(message, &main)
}
