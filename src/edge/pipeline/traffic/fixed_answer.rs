//! The answers that a route gives without its service.

use std::sync::Arc;

use bytes::Bytes;
use http::{
    HeaderName, StatusCode,
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY},
};

use crate::{
    domain::gateway::models::service::{FixedAnswer, Maintenance, Redirect, Respond, Route, TrafficPolicy},
    edge::{
        auth::browser::navigates,
        error::Failure,
        http::{
            client_address::Client,
            message::{FramedResponse, RequestHead},
        },
        pipeline::response_body::{Response, ResponseBody},
    },
};

const X_CONTENT_TYPE_OPTIONS: HeaderName = HeaderName::from_static("x-content-type-options");

/// The facts about a request that an answer depends on.
pub(crate) struct Asked<'r> {
    pub(crate) api_prefix: &'r str,
    pub(crate) path: &'r str,
    pub(crate) query: Option<&'r str>,
    pub(crate) head: &'r RequestHead,
    pub(crate) client: &'r Client,
}

/// The answer of a route's policy, if it has one.
pub(crate) fn answer(
    route: &Route,
    policy: &Arc<TrafficPolicy>,
    asked: &Asked<'_>,
) -> Option<Result<Response, Failure>> {
    Some(match policy.answer.as_ref()? {
        FixedAnswer::Redirect(redirect) => redirected(route, redirect, asked),
        FixedAnswer::Respond(respond) => fixed(respond),
        FixedAnswer::Maintenance(_) => Err(Failure::Maintenance {
            rule: Arc::clone(policy),
            page: navigates(&asked.head.method, &asked.head.headers),
        }),
    })
}

fn redirected(route: &Route, redirect: &Redirect, asked: &Asked<'_>) -> Result<Response, Failure> {
    let rest = route.prefix.rest(asked.path).ok_or(Failure::NoRoute)?;
    let status = StatusCode::from_u16(redirect.status).map_err(|_| Failure::Internal)?;
    let mut response = FramedResponse::new(status, ResponseBody::whole(Bytes::new()));
    response.headers.append(LOCATION, redirect.address(asked.api_prefix, rest, asked.query));
    Ok(response)
}

fn fixed(respond: &Respond) -> Result<Response, Failure> {
    let status = StatusCode::from_u16(respond.status).map_err(|_| Failure::Internal)?;
    let body = Bytes::copy_from_slice(respond.body.as_bytes());
    let mut response = FramedResponse::new(status, ResponseBody::whole(body));
    if let Some(content_type) = &respond.content_type {
        response.headers.append(CONTENT_TYPE, content_type);
        response.headers.append(X_CONTENT_TYPE_OPTIONS, "nosniff");
    }
    Ok(response)
}

/// The maintenance rule of a policy.
pub(crate) fn maintenance(policy: &TrafficPolicy) -> Option<&Maintenance> {
    match policy.answer.as_ref()? {
        FixedAnswer::Maintenance(maintenance) => Some(maintenance),
        FixedAnswer::Redirect(_) | FixedAnswer::Respond(_) => None,
    }
}

/// A page for people, in Korean and English. It loads nothing and cannot be framed, like the gateway's other pages.
pub(crate) fn maintenance_page(message: Option<&str>) -> Response {
    let main = match message {
        Some(message) => format!("<p>{}</p>", escaped(message)),
        None => "<p lang=\"ko\">지금은 점검 중입니다. 잠시 후 다시 시도해 주세요.</p>\
                 <p>This service is closed for maintenance. Please try again later.</p>"
            .to_owned(),
    };
    let page = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>점검 중 · Maintenance</title>\
         <style>:root {{ color-scheme: light dark }} body {{ font: 1.05rem/1.6 system-ui, sans-serif; max-width: 38rem; \
         margin: 12vh auto; padding: 0 1.5rem; overflow-wrap: anywhere }}</style></head>\
         <body><main><h1><span lang=\"ko\">점검 중</span> · Maintenance</h1>{main}</main></body></html>"
    );
    let mut response = FramedResponse::new(StatusCode::SERVICE_UNAVAILABLE, ResponseBody::whole(page.into()));
    let policy =
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, policy),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        response.headers.append(name, value);
    }
    response
}

fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            '\n' => html.push_str("<br>"),
            other => html.push(other),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_text_on_the_page() {
        assert_eq!(escaped("<b>'a' & \"b\"</b>\nc"), "&lt;b&gt;&#39;a&#39; &amp; &quot;b&quot;&lt;/b&gt;<br>c");
    }
}
