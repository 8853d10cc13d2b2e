//! Swagger UI and the OpenAPI document.

use bytes::Bytes;
use http::header;
use poem::{Endpoint, Response, endpoint::make_sync};

use super::pages::NO_ICON;

/// Swagger is one page with its script and style in it. It may talk to this gateway and to nobody else.
const SWAGGER_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' data:; \
                              font-src data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// The groups in the order in which a newcomer wants them; poem-openapi sorts them by name. And folded schemas.
const SWAGGER_OPTIONS: &str = "deepLinking: true, defaultModelsExpandDepth: 0, \
    tagsSorter: (a, b) => ['Tokens', 'Sign in', 'OAuth', 'Machine clients', 'Playground', 'Welcome', 'Discovery', 'Health'].indexOf(a) - \
                          ['Tokens', 'Sign in', 'OAuth', 'Machine clients', 'Playground', 'Welcome', 'Discovery', 'Health'].indexOf(b),";

/// poem-openapi's page, with what it lacks.
pub(super) fn swagger(page: &str, title: &str) -> impl Endpoint + 'static {
    let head =
        format!("<head>\n    {NO_ICON}\n    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    let page = page
        .replacen("<html charset=\"UTF-8\">", "<!DOCTYPE html>\n<html lang=\"en\">", 1)
        .replacen("<head>", &head, 1)
        .replacen("<title>Swagger UI</title>", &format!("<title>{title}</title>"), 1)
        .replace("deepLinking: true,", SWAGGER_OPTIONS);
    let page = Bytes::from(page);
    make_sync(move |_| {
        Response::builder()
            .content_type("text/html; charset=utf-8")
            .header(header::CONTENT_SECURITY_POLICY, SWAGGER_POLICY)
            .body(page.clone())
    })
}

pub(super) fn openapi(document: String) -> impl Endpoint + 'static {
    let document = Bytes::from(document);
    make_sync(move |_| Response::builder().content_type("application/json").body(document.clone()))
}
