//! The pages: the choice of a person, and errors of requests without a valid redirect URI.

use base64::{Engine, engine::general_purpose::STANDARD};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use poem::{
    Response,
    http::{StatusCode, header},
};
use sha2::{Digest, Sha256};

use super::{
    people,
    wire::{CANCEL, PERSON, Parameters},
};

const STYLE: &str = "\
:root{color-scheme:light dark;font:1rem/1.5 system-ui,sans-serif}\
main{max-width:24rem;margin:3rem auto;padding:0 1rem}\
h1{font-size:1.4rem;margin-bottom:.25rem}\
p{margin:.5rem 0}\
form{margin:.5rem 0}\
button,input{box-sizing:border-box;width:100%;min-height:2.75rem;padding:.5rem .75rem;font:inherit;text-align:left;\
border:1px solid #8888;border-radius:.5rem}\
button{cursor:pointer}\
label{display:block;margin-top:1.25rem}\
label+input{margin-bottom:.5rem}\
small{display:block;opacity:.75;overflow-wrap:anywhere}\
.notice{border-left:.25rem solid #c60;padding-left:.75rem}";

/// Asks which person signs in. `notice` says that the typed text is not a name.
pub(super) fn choose(action: &str, client: &str, request: &Parameters, notice: bool) -> Response {
    let form = |fields: Markup| {
        html! {
            form method="post" action=(action) {
                @for (name, value) in request.iter().filter(|(name, _)| ![PERSON, CANCEL].contains(name)) {
                    input type="hidden" name=(name) value=(value);
                }
                (fields)
            }
        }
    };
    let main = html! {
        h1 { (bilingual("누구로 로그인할까요?", "Sign in as …")) }
        p { strong { (client) } " asks for · " span lang="ko" { "요청 권한" } ": " (request.get("scope").unwrap_or("–")) }
        p {
            small {
                (bilingual(
                    "개발용 대역 로그인 서버입니다. 비밀번호도 계정도 없습니다.",
                    "A stand-in provider for development: no password, no account.",
                ))
            }
        }
        @if notice {
            p.notice role="alert" { (bilingual("이름은 1~100자로 입력해 주세요.", "That is no name: 1 to 100 characters.")) }
        }
        @for person in people::known() {
            (form(html! {
                button name=(PERSON) value=(person.subject) {
                    (person.name)
                    small { (person.email) @if !person.email_verified { " · not verified · 확인되지 않음" } }
                }
            }))
        }
        (form(html! {
            label for="name" { (bilingual("다른 이름", "Any other name")) }
            input id="name" name=(PERSON) required maxlength="100" autocomplete="off";
            button { (bilingual("로그인", "Sign in")) }
        }))
        (form(html! { button name=(CANCEL) value="1" formnovalidate { (bilingual("취소", "Cancel")) } }))
    };
    page(if notice { StatusCode::BAD_REQUEST } else { StatusCode::OK }, &main)
}

/// Sends the browser back with a form (OAuth 2.0 Form Post Response Mode, §2).
pub(super) fn post_back(to: &str, fields: &[(&str, String)]) -> Response {
    const SCRIPT: &str = "document.forms[0].submit()";
    let body = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { "Stand-in sign-in · 개발용 로그인" }
            }
            body {
                form method="post" action=(to) {
                    @for (name, value) in fields {
                        input type="hidden" name=(name) value=(value);
                    }
                    noscript { button { (bilingual("계속", "Continue")) } }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    let script = STANDARD.encode(Sha256::digest(SCRIPT));
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{script}'; form-action http: https:; base-uri 'none'; frame-ancestors 'none'"
    );
    respond(StatusCode::OK, policy, body)
}

/// Shows the error of a request.
pub(super) fn fault(reason: &str) -> Response {
    let main = html! {
        h1 { (bilingual("처리할 수 없는 요청입니다", "This cannot be answered")) }
        p.notice role="alert" { (reason) }
    };
    page(StatusCode::BAD_REQUEST, &main)
}

/// A text in both languages.
fn bilingual(korean: &str, english: &str) -> Markup {
    html! { (english) " · " span lang="ko" { (korean) } }
}

fn page(status: StatusCode, main: &Markup) -> Response {
    let body = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Stand-in sign-in · 개발용 로그인" }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (main) } }
        }
    };
    let style = STANDARD.encode(Sha256::digest(STYLE));
    // Browsers apply `form-action` to every redirect after a form, and the client's further redirects are unknown.
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action http: https:; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    respond(status, policy, body)
}

fn respond(status: StatusCode, policy: String, body: Markup) -> Response {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "text/html; charset=utf-8")
        .header(header::CONTENT_SECURITY_POLICY, policy)
        .header(header::X_FRAME_OPTIONS, "DENY")
        .body(body.into_string())
}
