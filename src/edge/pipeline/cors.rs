//! Pages of `ALLOWED_ORIGINS` may call services and read what they answer, and why nobody answered (the Fetch standard's CORS
//! protocol). The gateway answers what a browser asks before it calls: it asks without any credential, so a service behind a
//! route that needs one would never hear of it. What a service says of its own answers is left alone.

use bytes::Bytes;
use http::{
    HeaderValue, Method, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
        ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
    },
};

use super::{
    error_response::ALLOWED_METHODS,
    response_body::{Response, ResponseBody},
};
use crate::{
    domain::gateway::models::origin::{AllowedOrigins, Reader},
    edge::http::{header_list::HeaderList, message::Answer},
};

/// What pages may read besides the body: why something failed, and under which id it is logged.
const EXPOSED: HeaderValue = HeaderValue::from_static("x-request-id, www-authenticate, retry-after");

/// How long a browser need not ask again, in seconds. An origin that is taken off the list is refused all the same: every
/// answer says who may read it.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// Who may read the answer to a request.
#[derive(Debug, Default)]
pub(crate) struct CorsDecision {
    /// Whether others might than may now: caches have to know.
    depend_on_origin: bool,
    /// The origin of the page that asks, if it is on the list, and what it may.
    page: Option<(Bytes, Reader)>,
}

impl CorsDecision {
    /// Those of the answer to a request.
    pub(crate) fn of(allowed_origins: &AllowedOrigins, headers: &HeaderList) -> Self {
        if allowed_origins.is_empty() {
            return Self::default();
        }
        let page = headers.share(&ORIGIN).and_then(|origin| Some((origin.clone(), allowed_origins.reader(&origin)?)));
        Self { depend_on_origin: true, page }
    }

    /// What a browser wants to know before it sends what no form could, if that is what it asks.
    pub(crate) fn preflight(&self, method: &Method, headers: &HeaderList) -> Option<Response> {
        let asks = *method == Method::OPTIONS && headers.contains(&ACCESS_CONTROL_REQUEST_METHOD);
        if self.page.is_none() || !asks {
            return None;
        }
        let mut answer = Answer::new(StatusCode::NO_CONTENT, ResponseBody::whole(Bytes::new()));
        answer.headers.append(ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS);
        // Which headers its services understand is not the gateway's business; those that are ours it drops in any case.
        if let Some(wanted) = headers.get(&ACCESS_CONTROL_REQUEST_HEADERS) {
            answer.headers.append(ACCESS_CONTROL_ALLOW_HEADERS, wanted);
        }
        answer.headers.append(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        Some(answer)
    }

    /// Says so on the answer, unless the service has said by itself who may read it.
    pub(crate) fn apply(self, headers: &mut HeaderList) {
        const YES: HeaderValue = HeaderValue::from_static("true");
        if !self.depend_on_origin || headers.contains(&ACCESS_CONTROL_ALLOW_ORIGIN) {
            return;
        }
        if !headers.all(VARY).any(names_origin) {
            headers.append(VARY, HeaderValue::from_static("origin"));
        }
        if let Some((origin, reader)) = self.page {
            headers.append(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            match reader {
                Reader::Trusted => headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, YES),
                // Starlette says it on every answer, also where it does not name an origin.
                Reader::Preview => headers.remove(&ACCESS_CONTROL_ALLOW_CREDENTIALS),
            }
            if !headers.contains(&ACCESS_CONTROL_EXPOSE_HEADERS) {
                headers.append(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
            }
        }
    }
}

/// Whether a `Vary` names `Origin` already, or everything.
fn names_origin(vary: &[u8]) -> bool {
    vary.split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .any(|name| name == b"*" || name.eq_ignore_ascii_case(b"origin"))
}
