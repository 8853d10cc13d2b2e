//! Pages for people: plain, small, in the look of the welcome. They show themselves and nothing else, and cannot be framed.

use http::{StatusCode, header};
use poem::{Request, Response};

/// A page may show itself, and send its forms here.
pub(super) const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; \
                                      frame-ancestors 'none'; base-uri 'none'";

/// Without it a browser asks for `/favicon.ico`, and puts the 404 on its console.
pub(super) const NO_ICON: &str = r#"<link rel="icon" href="data:,">"#;

const STYLE: &str = "\
body { font: 1.05rem/1.6 system-ui, sans-serif; max-width: 38rem; margin: 12vh auto; padding: 0 1.5rem; overflow-wrap: anywhere; \
color: #1d2433; background: #fbfbfd }
h1 { font-size: 1.6rem; line-height: 1.25 } a { color: #0b57d0 } li { margin: .4rem 0 } dt { opacity: .7 } dd { margin: 0 0 .6rem }
.choice, button { display: block; box-sizing: border-box; width: 100%; margin: .6rem 0; padding: .7rem 1rem; font: inherit; text-align: left; \
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
    Response::builder()
        .status(status)
        .content_type("text/html; charset=utf-8")
        .header(header::CONTENT_SECURITY_POLICY, PAGE_POLICY)
        .header(header::VARY, "Accept")
        .body(page)
}

/// Whether a page is wanted rather than JSON.
pub(super) fn is_wanted(request: &Request) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.contains("text/html")
}

/// Text that is nothing but text, in an element and in a quoted attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        assert_eq!(escaped(r#"<a href="x" b='y'>&"#), "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;");
        assert_eq!(escaped("제인"), "제인");
    }
}
