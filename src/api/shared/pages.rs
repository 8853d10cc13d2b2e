//! Pages for people: plain, small, in one style, in Korean and English. They load nothing from elsewhere, and cannot be
//! framed.

use http::{HeaderValue, StatusCode, header};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use poem::{Request, Response};
use poem_openapi::{
    registry::{MetaMediaType, MetaResponse},
    types::Type,
};

use super::problems::{described, described_as};
use crate::{
    domain::gateway::{models::login::ReturnTo, schemas::session::SessionDocument},
    texts::{self, Text},
};

/// The policy of every page. The targets of its forms are added to it.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; base-uri 'none'";

/// The policy of a page whose forms stay on this site.
pub(in crate::api) fn policy() -> String {
    format!("{POLICY}; form-action 'self'")
}

/// The favicon: a gate. It is part of the page, so that no browser asks for `/favicon.ico`.
pub(in crate::api) const ICON: &str = r#"<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M2 15V7a6 6 0 0 1 12 0v8h-3V7a3 3 0 0 0-6 0v8z' fill='%230b57d0'/%3E%3C/svg%3E">"#;

const STYLE: &str = "\
:root { color-scheme: light dark }
body { font: 1.05rem/1.6 system-ui, sans-serif; max-width: 38rem; margin: 12vh auto; padding: 0 1.5rem; overflow-wrap: anywhere; \
color: #1d2433; background: #fbfbfd }
h1 { font-size: 1.6rem; line-height: 1.25 } a { color: #0b57d0 } li { margin: .4rem 0 } dt { opacity: .7 } dd { margin: 0 0 .6rem }
label { display: block; margin-top: .8rem } hr { margin: 1.6rem 0; border: 0; border-top: 1px solid #8884 }
.choice, button, input { display: block; box-sizing: border-box; width: 100%; margin: .6rem 0; padding: .7rem 1rem; font: inherit; text-align: left; \
text-decoration: none; color: inherit; background: none; border: 1px solid #8888; border-radius: .5rem; cursor: pointer }
input { cursor: text; margin: .2rem 0 }
.main { color: #fff; background: #0b57d0; border-color: #0b57d0; font-weight: 600 }
.note { border-left: .25rem solid #0b57d0; padding-left: .8rem } .wrong { border-left: .25rem solid #c5221f; padding-left: .8rem }
@media (prefers-color-scheme: dark) { body { color: #e6e9ef; background: #14171d } a { color: #8ab4f8 } }";

/// A complete page.
pub(in crate::api) fn page(title: &str, main: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                (PreEscaped(ICON))
                style { (PreEscaped(STYLE)) }
            }
            body { main { (main) } }
        }
    };
    page.into_string()
}

/// A text in both languages, in one line.
pub(in crate::api) fn bilingual(text: &Text) -> Markup {
    html! { span lang="ko" { (text.ko) } " · " (text.en) }
}

/// A text in both languages, a paragraph each.
pub(in crate::api) fn paragraphs(text: &Text) -> Markup {
    html! {
        p lang="ko" { (text.ko) }
        p { (text.en) }
    }
}

/// The signed-in person. They may sign out, at this path relative to the page, or continue to their destination.
pub(in crate::api) fn signed_in_as(person: &SessionDocument, logout: &str, return_to: Option<&ReturnTo>) -> Markup {
    html! {
        div.note {
            p { (bilingual(&texts::pages::signed_in_as(person.shown_name()))) }
            @if let Some(return_to) = return_to {
                p { a href=(return_to.as_str()) { (bilingual(&texts::pages::CONTINUE)) } }
            }
            form method="post" action=(logout) { button { (bilingual(&texts::pages::SIGN_OUT)) } }
        }
    }
}

/// A page as a response.
pub(in crate::api) fn page_response(status: StatusCode, page: String) -> Response {
    shown_in(Response::builder().status(status).finish(), page)
}

/// Replaces the body of a response with a page.
pub(in crate::api) fn shown_in(mut response: Response, page: String) -> Response {
    response.set_body(page);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    with_policy(response, policy())
}

/// Allows a form that may end at other sites: at these origins, or anywhere if they are unknown. Browsers apply
/// `form-action` to every redirect after the form (CSP3 §6.4.1).
pub(in crate::api) fn with_form(mut response: Response, leads_to: Option<&[String]>) -> Response {
    // Without a referrer browsers send the form with `Origin: null` (Fetch §3.2), which does not tell its origin.
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    match leads_to {
        Some(origins) => with_policy(response, [&[policy()], origins].concat().join(" ")),
        None => with_policy(response, POLICY.to_owned()),
    }
}

/// Replaces the policy of a page.
pub(in crate::api) fn with_policy(mut response: Response, policy: String) -> Response {
    // The origins of the settings are ASCII (`models/http/origin.rs`).
    if let Ok(policy) = policy.try_into() {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Redirects a browser.
pub(in crate::api) fn see_other(location: &str) -> Response {
    Response::builder().status(StatusCode::SEE_OTHER).header(header::LOCATION, location).finish()
}

/// Adds cookies to a response.
pub(in crate::api) fn with_cookies(mut response: Response, cookies: Vec<String>) -> Response {
    for cookie in cookies.into_iter().filter_map(|cookie| cookie.try_into().ok()) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// Whether the client prefers a page to JSON.
pub(in crate::api) fn is_wanted(request: &Request) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.contains("text/html")
}

/// Declares responses that may be a page, JSON, a redirect or a problem: `Name(schema in the document): the successful
/// responses, the description of problems: their statuses;`
macro_rules! responses {
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
pub(in crate::api) use responses;

/// The response 200 in the OpenAPI document.
pub(in crate::api) fn json_or_page<T: Type>(description: &'static str) -> MetaResponse {
    let json = MetaMediaType { content_type: "application/json", schema: T::schema_ref() };
    described_as(200, description, vec![json, page_type()])
}

/// The response 303 in the OpenAPI document.
pub(in crate::api) fn goes_on() -> MetaResponse {
    described_as(303, "Redirects the browser.", vec![])
}

/// A problem that a browser gets as a page, in the OpenAPI document.
pub(in crate::api) fn problem_or_page(status: u16) -> MetaResponse {
    let mut line = described(status);
    line.content.push(page_type());
    line
}

fn page_type() -> MetaMediaType {
    MetaMediaType { content_type: "text/html", schema: String::schema_ref() }
}
