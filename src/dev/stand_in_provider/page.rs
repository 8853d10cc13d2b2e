//! The pages: who can sign in, and what was wrong with a request that has nowhere to go back to.

use base64::{Engine, engine::general_purpose::STANDARD};
use poem::{
    Response,
    http::{StatusCode, header},
};
use sha2::{Digest, Sha256};

use super::{
    authorize::{CANCEL, PERSON},
    people,
    wire::Parameters,
};
use crate::html::escaped;

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

/// Asks who signs in. `notice` says that what was typed is no name.
pub(super) fn choose(action: &str, client: &str, request: &Parameters, notice: bool) -> Response {
    let hidden: String = request
        .iter()
        .filter(|(name, _)| ![PERSON, CANCEL].contains(name))
        .map(|(name, value)| {
            format!(r#"<input type="hidden" name="{}" value="{}">"#, escaped(name), escaped(value)) + "\n"
        })
        .collect();
    let form =
        |fields: &str| format!("<form method=\"post\" action=\"{}\">\n{hidden}{fields}\n</form>\n", escaped(action));
    let people: String = people::known()
        .iter()
        .map(|person| {
            let unverified = if person.email_verified { "" } else { " · not verified · 확인되지 않음" };
            format!(
                r#"<button name="{PERSON}" value="{}">{}<small>{}{unverified}</small></button>"#,
                escaped(&person.subject),
                escaped(&person.name),
                escaped(&person.email),
            )
        })
        .map(|button| form(&button))
        .collect();
    let other = form(&format!(
        r#"<label for="name">Any other name · <span lang="ko">다른 이름</span></label>
<input id="name" name="{PERSON}" required maxlength="100" autocomplete="off">
<button>Sign in · <span lang="ko">로그인</span></button>"#
    ));
    let cancel = form(&format!(
        r#"<button name="{CANCEL}" value="1" formnovalidate>Cancel · <span lang="ko">취소</span></button>"#
    ));
    let notice = if notice {
        "<p class=\"notice\" role=\"alert\">That is no name: 1 to 100 characters. · <span lang=\"ko\">이름은 1~100자로 \
         입력해 주세요.</span></p>\n"
    } else {
        ""
    };
    let scope = request.get("scope").unwrap_or("–");
    let main = format!(
        "<h1>Sign in as … · <span lang=\"ko\">누구로 로그인할까요?</span></h1>\n\
         <p><strong>{}</strong> asks for · <span lang=\"ko\">요청 권한</span>: {}</p>\n\
         <p><small>A stand-in provider for development: no password, no account. · <span lang=\"ko\">개발용 대역 로그인 \
         서버입니다. 비밀번호도 계정도 없습니다.</span></small></p>\n\
         {notice}{people}{other}{cancel}",
        escaped(client),
        escaped(scope),
    );
    page(if notice.is_empty() { StatusCode::OK } else { StatusCode::BAD_REQUEST }, &main)
}

/// Says what is wrong with a request.
pub(super) fn fault(reason: &str) -> Response {
    let main = format!(
        "<h1>This cannot be answered · <span lang=\"ko\">처리할 수 없는 요청입니다</span></h1>\n\
         <p class=\"notice\" role=\"alert\">{}</p>",
        escaped(reason)
    );
    page(StatusCode::BAD_REQUEST, &main)
}

fn page(status: StatusCode, main: &str) -> Response {
    let body = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Stand-in sign-in · 개발용 로그인</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<main>\n{main}\n</main>\n</body>\n</html>\n"
    );
    let style = STANDARD.encode(Sha256::digest(STYLE));
    // Browsers hold every redirect after a form against `form-action`, and where the client sends people on to is not known.
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action http: https:; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "text/html; charset=utf-8")
        .header(header::CONTENT_SECURITY_POLICY, policy)
        .header(header::X_FRAME_OPTIONS, "DENY")
        .body(body)
}
