//! Pages for people: plain, small, in the look of the welcome. They show themselves and nothing else, and cannot be framed.

use http::{StatusCode, header};
use poem::{Request, Response};
use poem_openapi::{
    registry::{MetaMediaType, MetaResponse},
    types::Type,
};

use super::problems::{described, described_as};

/// A page may show itself, and send its forms here.
pub(super) const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; \
                                      frame-ancestors 'none'; base-uri 'none'";

/// Without it a browser asks for `/favicon.ico`, and puts the 404 on its console.
pub(super) const NO_ICON: &str = r#"<link rel="icon" href="data:,">"#;

/// The policy of a page whose form leads to a provider. Browsers apply `form-action` to every redirect after the form (CSP3 §6.4.1),
/// and a provider may redirect to addresses that we do not know.
const FORM_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; base-uri 'none'";

const STYLE: &str = "\
body { font: 1.05rem/1.6 system-ui, sans-serif; max-width: 38rem; margin: 12vh auto; padding: 0 1.5rem; overflow-wrap: anywhere; \
color: #1d2433; background: #fbfbfd }
h1 { font-size: 1.6rem; line-height: 1.25 } a { color: #0b57d0 } li { margin: .4rem 0 } dt { opacity: .7 } dd { margin: 0 0 .6rem }
.choice, button, input { display: block; box-sizing: border-box; width: 100%; margin: .6rem 0; padding: .7rem 1rem; font: inherit; text-align: left; \
text-decoration: none; color: inherit; background: none; border: 1px solid #8888; border-radius: .5rem; cursor: pointer }
@media (prefers-color-scheme: dark) { body { color: #e6e9ef; background: #14171d } a { color: #8ab4f8 } }";

/// A whole page. `title` and `main` are HTML: what comes from outside is to be [`escaped`] first.
pub(super) fn page(title: &str, main: &str) -> String {
    format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
{NO_ICON}
<style>
{STYLE}
</style></head>
<body>
{main}
</body></html>
"#
    )
}

/// The same words in both languages.
pub(super) fn bilingual(korean: &str, english: &str) -> String {
    format!(r#"<span lang="ko">{korean}</span> · {english}"#)
}

/// A page as an answer.
pub(super) fn answer(status: StatusCode, page: String) -> Response {
    with_policy(status, page, PAGE_POLICY)
}

/// A page with a form that leads to another site.
pub(super) fn answer_with_form(status: StatusCode, page: String) -> Response {
    with_policy(status, page, FORM_POLICY)
}

fn with_policy(status: StatusCode, page: String, policy: &'static str) -> Response {
    Response::builder()
        .status(status)
        .content_type("text/html; charset=utf-8")
        .header(header::CONTENT_SECURITY_POLICY, policy)
        .header(header::VARY, "Accept")
        .body(page)
}

/// Whether a page is wanted rather than JSON.
pub(super) fn is_wanted(request: &Request) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.contains("text/html")
}

/// Declares answers that may be a page, JSON, a redirect or a problem: `Name(schema in the document): the good ones,
/// how problems are described: their statuses;`
macro_rules! answers {
    ($($(#[$doc:meta])* $name:ident($schema:ty): $good:expr, $described:path: $($status:literal),+;)+) => {$(
        $(#[$doc])*
        struct $name(poem::Response);

        impl poem::IntoResponse for $name {
            fn into_response(self) -> poem::Response {
                self.0
            }
        }

        impl poem_openapi::ApiResponse for $name {
            fn meta() -> poem_openapi::registry::MetaResponses {
                let problems = [$($described($status)),+];
                poem_openapi::registry::MetaResponses { responses: $good.into_iter().chain(problems).collect() }
            }

            fn register(registry: &mut poem_openapi::registry::Registry) {
                <$schema as poem_openapi::types::Type>::register(registry);
                <$crate::domain::gateway::schemas::problem::ProblemDocument as poem_openapi::types::Type>::register(registry);
            }
        }
    )+};
}
pub(super) use answers;

/// The line of the OpenAPI document for 200.
pub(super) fn json_or_page<T: Type>(description: &'static str) -> MetaResponse {
    let json = MetaMediaType { content_type: "application/json", schema: T::schema_ref() };
    described_as(200, description, vec![json, page_type()])
}

/// The line of the OpenAPI document for 303.
pub(super) fn goes_on() -> MetaResponse {
    described_as(303, "The browser goes on.", vec![])
}

/// The line of the OpenAPI document for a problem that a browser gets as a page.
pub(super) fn problem_or_page(status: u16) -> MetaResponse {
    let mut line = described(status);
    line.content.push(page_type());
    line
}

fn page_type() -> MetaMediaType {
    MetaMediaType { content_type: "text/html", schema: String::schema_ref() }
}
