//! Swagger UI and the OpenAPI document, of the gateway and of its services. Both are created on the first request: the
//! page alone is as large as the rest of an idle gateway's memory, and creating it took longer than the rest of the
//! start.

mod merged;
mod truth;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http::header;
use poem::{Endpoint, Response, endpoint::make_sync};
use poem_openapi::{OpenApi, OpenApiService};

pub use self::merged::DescribedService;
pub(super) use self::truth::Facts;
use super::{RequestContext, shared::pages::ICON};
use crate::json::Json;

/// Swagger is one page with its script and style inline. It may only connect to this gateway.
const SWAGGER_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' data:; \
                              font-src data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Collapsed schemas; in *Authorize*, the cursor in the field for the token (Swagger focuses the last field), and no
/// field for the session's cookie, which no script may set.
const SWAGGER_OPTIONS: &str = r#"deepLinking: true, defaultModelsExpandDepth: 0,
        plugins: [() => ({ wrapComponents: {
            apiKeyAuth: (Original, { React }) => ({ name, schema }) => React.createElement("div", null,
                React.createElement("h4", null, React.createElement("code", null, name)),
                React.createElement("p", null, schema.get("description"))),
            authorizationPopup: (Original, { React }) => (props) => {
                React.useEffect(() => document.getElementById("auth-bearer-value")?.focus(), []);
                return React.createElement(Original, props);
            },
        } })],"#;

/// The groups, in the order that suits newcomers. Those of services follow the first one.
const GROUPS: [&str; 10] = [
    "Playground",
    "Tokens",
    "Sign in",
    "Accounts",
    "OAuth",
    "Machine clients",
    "Services",
    "Welcome",
    "Discovery",
    "Health",
];

/// The documents of an API and the services behind it.
pub struct Documents {
    make: Box<dyn Fn() -> Made + Send + Sync>,
    title: String,
    state: Mutex<State>,
}

/// The output of poem-openapi for our API.
struct Made {
    document: Json,
    page: String,
}

#[derive(Default)]
struct State {
    services: Vec<DescribedService>,
    /// The created documents, by the prefix of the request.
    documents: HashMap<String, Bytes>,
    pages: HashMap<String, Bytes>,
}

impl Documents {
    /// The documents of a service.
    pub(super) fn of<T>(service: &OpenApiService<T, ()>, title: String, facts: Facts) -> Arc<Self>
    where
        T: OpenApi + Clone + Send + Sync + 'static,
    {
        let service = service.clone();
        let make = move || {
            let own = truth::completed(service.spec(), &facts);
            let mut document = serde_json::from_str(&own).unwrap_or_default();
            truth::upgraded(&mut document, &GROUPS);
            Made { document, page: service.swagger_ui_html() }
        };
        Arc::new(Self { make: Box::new(make), title, state: Mutex::default() })
    }

    /// Replaces the described services. The documents are created again on the next request.
    pub fn publish(&self, services: Vec<DescribedService>) {
        *self.state() = State { services, ..State::default() };
    }

    /// The OpenAPI document for requests with this prefix: empty, or `/…`.
    pub(super) fn document(&self, prefix: &str) -> Bytes {
        let mut state = self.state();
        if let Some(made) = state.documents.get(prefix) {
            return made.clone();
        }
        let made: Bytes = merged((self.make)().document, &state, prefix).into();
        state.documents.insert(prefix.to_owned(), made.clone());
        made
    }

    fn page(&self, prefix: &str) -> Bytes {
        let mut state = self.state();
        if let Some(made) = state.pages.get(prefix) {
            return made.clone();
        }
        let Made { document, page } = (self.make)();
        // A text inside a script must not end the script.
        let document = merged(document, &state, prefix).replace("</", "<\\/").replace("<!--", "<\\u0021--");
        let made: Bytes = completed(&page, &document, &self.title).into();
        state.pages.insert(prefix.to_owned(), made.clone());
        made
    }

    /// A poisoned lock is still used: missing documents are created again.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves Swagger UI.
    pub(super) fn swagger(self: &Arc<Self>) -> impl Endpoint + 'static {
        let docs = Arc::clone(self);
        make_sync(move |request| {
            Response::builder()
                .content_type("text/html; charset=utf-8")
                .header(header::CONTENT_SECURITY_POLICY, SWAGGER_POLICY)
                .body(docs.page(&RequestContext::of(&request).prefix))
        })
    }

    /// Serves the OpenAPI document.
    pub(super) fn openapi(self: &Arc<Self>) -> impl Endpoint + 'static {
        let docs = Arc::clone(self);
        make_sync(move |request| {
            let document = docs.document(&RequestContext::of(&request).prefix);
            Response::builder().content_type("application/json").body(document)
        })
    }
}

fn merged(document: Json, state: &State, prefix: &str) -> String {
    let mut document = merged::merged(document, &state.services);
    // This server is reachable: the reader's request came that way.
    document.set("servers", serde_json::json!([{"url": if prefix.is_empty() { "/" } else { prefix }}]));
    serde_json::to_string(&document).unwrap_or_default()
}

/// Inserts the document and the missing parts into poem-openapi's page. Between its head and its last lines are a
/// script and a style of 1.6 MB, which are copied once and not searched.
fn completed(page: &str, document: &str, title: &str) -> String {
    let (head, rest) = page.split_once("<style").unwrap_or((page, ""));
    let (rest, end) = rest.rsplit_once("deepLinking: true,").unwrap_or((rest, ""));
    let (middle, rest) = rest.rsplit_once(BEFORE_DOCUMENT).unwrap_or((rest, ""));
    let (_, options) = rest.split_once(BEHIND_DOCUMENT).unwrap_or(("", rest));
    let start =
        format!("<head>\n    {ICON}\n    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    let head = head
        .replacen("<html charset=\"UTF-8\">", "<!DOCTYPE html>\n<html lang=\"en\">", 1)
        .replacen("<head>", &start, 1)
        .replacen("<title>Swagger UI</title>", &format!("<title>{title}</title>"), 1);
    [&head, "<style", middle, BEFORE_DOCUMENT, document, BEHIND_DOCUMENT, options, SWAGGER_OPTIONS, end].concat()
}

/// The document is between these in the page.
const BEFORE_DOCUMENT: &str = "let spec = ";
const BEHIND_DOCUMENT: &str = ";\n    let oauth2RedirectUrl;";
