//! Swagger UI and the OpenAPI document. Both are made when somebody first asks for them: the page alone is as large as
//! everything else that a gateway without traffic holds in memory, and making it took longer than the rest of the start.

mod json;
mod truth;

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::header;
use poem::{Endpoint, Response, endpoint::make_sync};
use poem_openapi::{OpenApi, OpenApiService};

pub(super) use self::truth::Facts;
use super::pages::NO_ICON;

/// Swagger is one page with its script and style in it. It may talk to this gateway and to nobody else.
const SWAGGER_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' data:; \
                              font-src data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// The groups in the order in which a newcomer wants them; poem-openapi sorts them by name. And folded schemas.
const SWAGGER_OPTIONS: &str = "deepLinking: true, defaultModelsExpandDepth: 0, \
    tagsSorter: (a, b) => ['Tokens', 'Sign in', 'Accounts', 'OAuth', 'Machine clients', 'Playground', 'Welcome', 'Discovery', 'Health'].indexOf(a) - \
                          ['Tokens', 'Sign in', 'Accounts', 'OAuth', 'Machine clients', 'Playground', 'Welcome', 'Discovery', 'Health'].indexOf(b),";

/// What is made on first use.
type Late = LazyLock<Bytes, Box<dyn FnOnce() -> Bytes + Send>>;

/// What describes an API.
pub(super) struct Docs {
    document: Late,
    page: Late,
}

impl Docs {
    /// Those of a service.
    pub(super) fn of<T>(service: &OpenApiService<T, ()>, title: String, facts: Facts) -> Arc<Self>
    where
        T: OpenApi + Clone + Send + 'static,
    {
        let (for_document, for_page, facts_for_page) = (service.clone(), service.clone(), facts.clone());
        let page = move || {
            let document = truth::completed(for_page.spec(), &facts_for_page);
            completed(&for_page.swagger_ui_html(), &document, &title).into()
        };
        Arc::new(Self {
            document: LazyLock::new(Box::new(move || truth::completed(for_document.spec(), &facts).into())),
            page: LazyLock::new(Box::new(page)),
        })
    }

    /// The OpenAPI document.
    pub(super) fn document(&self) -> Bytes {
        self.document.clone()
    }

    /// Serves Swagger UI.
    pub(super) fn swagger(self: &Arc<Self>) -> impl Endpoint + 'static {
        let docs = Arc::clone(self);
        make_sync(move |_| {
            Response::builder()
                .content_type("text/html; charset=utf-8")
                .header(header::CONTENT_SECURITY_POLICY, SWAGGER_POLICY)
                .body(docs.page.clone())
        })
    }

    /// Serves the OpenAPI document.
    pub(super) fn openapi(self: &Arc<Self>) -> impl Endpoint + 'static {
        let docs = Arc::clone(self);
        make_sync(move |_| Response::builder().content_type("application/json").body(docs.document()))
    }
}

/// poem-openapi's page with this document, and with what the page lacks. Between its head and its last lines are a script and a
/// style of 1.6 MB, which are copied once and not looked at.
fn completed(page: &str, document: &str, title: &str) -> String {
    let (head, rest) = page.split_once("<style").unwrap_or((page, ""));
    let (rest, end) = rest.rsplit_once("deepLinking: true,").unwrap_or((rest, ""));
    let (middle, rest) = rest.rsplit_once(BEFORE_DOCUMENT).unwrap_or((rest, ""));
    let (_, options) = rest.split_once(BEHIND_DOCUMENT).unwrap_or(("", rest));
    let start =
        format!("<head>\n    {NO_ICON}\n    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    let head = head
        .replacen("<html charset=\"UTF-8\">", "<!DOCTYPE html>\n<html lang=\"en\">", 1)
        .replacen("<head>", &start, 1)
        .replacen("<title>Swagger UI</title>", &format!("<title>{title}</title>"), 1);
    [&head, "<style", middle, BEFORE_DOCUMENT, document, BEHIND_DOCUMENT, options, SWAGGER_OPTIONS, end].concat()
}

/// Between these the page has the document.
const BEFORE_DOCUMENT: &str = "let spec = ";
const BEHIND_DOCUMENT: &str = ";\n    let oauth2RedirectUrl;";
