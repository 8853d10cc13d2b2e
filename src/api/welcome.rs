//! `GET /`: where you are.

use poem::Request;
use poem_openapi::{
    ApiResponse, OpenApi, ResponseContent,
    payload::{Html, Json},
};

use super::{
    RequestContext, Tag,
    pages::{self, PAGE_POLICY, bilingual},
};
use crate::domain::gateway::schemas::welcome::Welcome;

#[derive(Clone)]
pub(super) struct WelcomeApi {
    welcome: Welcome,
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
        Self { welcome: Welcome::to(domain) }
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
        let welcome = self.welcome.under(&RequestContext::of(request).prefix);
        let content = if pages::is_wanted(request) {
            WelcomeContent::Page(Html(page(&welcome)))
        } else {
            WelcomeContent::Json(Json(welcome))
        };
        WelcomeResponse::Ok(content, PAGE_POLICY.to_owned(), "Accept".to_owned())
    }
}

/// The same words and links for people. The domain comes from a parsed URL, so it holds nothing that HTML would read.
fn page(welcome: &Welcome) -> String {
    let Welcome { message, docs, openapi, health, try_it, login } = welcome;
    let sign_in = bilingual("로그인", "Sign in");
    let prefix = login.trim_end_matches("/login").replace('/', "%2F");
    let session = format!("{prefix}%2Fsession");
    let main = format!(
        r#"<h1>{message}</h1>
<ul>
<li><a href="{docs}">Swagger</a>: everything that can be called</li>
<li><a href="{login}?return_to={session}">{sign_in}</a></li>
<li><a href="{try_it}">{try_it}</a>: a call that goes through to a service</li>
<li><a href="{openapi}">OpenAPI document</a></li>
<li><a href="{health}">Health</a></li>
</ul>"#
    );
    pages::page(message, &main)
}
