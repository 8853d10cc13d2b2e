//! `GET /`: where you are.

use http::header;
use poem::Request;
use poem_openapi::{
    ApiResponse, OpenApi, ResponseContent,
    payload::{Html, Json},
};

use super::{Tag, docs::NO_ICON};
use crate::domain::gateway::schemas::welcome::Welcome;

/// The page may show itself and nothing else.
const PAGE_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; base-uri 'none'";

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
        let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let content = if accept.contains("text/html") {
            WelcomeContent::Page(Html(self.page.clone()))
        } else {
            WelcomeContent::Json(Json(self.welcome.clone()))
        };
        WelcomeResponse::Ok(content, PAGE_POLICY.to_owned(), "Accept".to_owned())
    }
}

/// The same words and links for people. The domain comes from a parsed URL, so it holds nothing that HTML would read.
fn page(welcome: &Welcome) -> String {
    let Welcome { message, docs, openapi, health, try_it } = welcome;
    format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{message}</title>
{NO_ICON}
<style>
body {{ font: 1.05rem/1.6 system-ui, sans-serif; max-width: 38rem; margin: 12vh auto; padding: 0 1.5rem; color: #1d2433; background: #fbfbfd }}
h1 {{ font-size: 1.6rem; line-height: 1.25 }} a {{ color: #0b57d0 }} li {{ margin: .4rem 0 }}
@media (prefers-color-scheme: dark) {{ body {{ color: #e6e9ef; background: #14171d }} a {{ color: #8ab4f8 }} }}
</style></head>
<body><h1>{message}</h1>
<ul>
<li><a href=".{docs}">Swagger</a>: everything that can be called</li>
<li><a href="{try_it}">{try_it}</a>: a call that goes through to a service</li>
<li><a href=".{openapi}">OpenAPI document</a></li>
<li><a href=".{health}">Health</a></li>
</ul></body></html>
"#
    )
}
