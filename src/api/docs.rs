//! Swagger UI and the OpenAPI document.

use bytes::Bytes;
use http::header;
use poem::{Endpoint, Response, endpoint::make_sync};

/// Swagger is one page with its script and style in it. It may talk to this gateway and to nobody else.
const SWAGGER_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' data:; \
                              font-src data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Without it a browser asks for `/favicon.ico`, and puts the 404 on its console.
pub(super) const NO_ICON: &str = r#"<link rel="icon" href="data:,">"#;

pub(super) fn swagger(page: &str) -> impl Endpoint + 'static {
    let page = page.replacen("<html charset=\"UTF-8\">", "<!DOCTYPE html>\n<html lang=\"en\">", 1);
    let page = Bytes::from(page.replacen("<head>", &format!("<head>\n    {NO_ICON}"), 1));
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
