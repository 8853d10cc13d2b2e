//! Lets pages of `ALLOWED_ORIGINS` call services and read the responses, including error responses of the gateway (the
//! Fetch standard's CORS protocol). The gateway answers preflights itself: browsers send them without credentials, so
//! they would never reach a service behind a route that needs one. CORS headers that a service sets on its own
//! responses are not changed.

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
    domain::gateway::models::http::origin::{AllowedOrigins, Reader},
    edge::http::{header_list::HeaderList, message::FramedResponse},
};

/// The headers that pages may read: the reason for a failure, the id under which it is logged, and what is left of the
/// rate limits.
const EXPOSED: HeaderValue =
    HeaderValue::from_static("x-request-id, www-authenticate, retry-after, ratelimit-policy, ratelimit");

/// How long a browser may cache a preflight, in seconds. An origin that is removed from the list is refused all the
/// same: every response states who may read it.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// Who may read the response to a request.
#[derive(Debug, Default)]
pub(crate) struct CorsDecision {
    /// Whether the result depends on the request's origin: caches have to know.
    depend_on_origin: bool,
    /// The origin of the calling page, if it is allowed, and its rights.
    page: Option<(Bytes, Reader)>,
}

impl CorsDecision {
    /// The decision for the response to a request.
    pub(crate) fn of(allowed_origins: &AllowedOrigins, headers: &HeaderList) -> Self {
        if allowed_origins.is_empty() {
            return Self::default();
        }
        let page = headers.share(&ORIGIN).and_then(|origin| Some((origin.clone(), allowed_origins.reader(&origin)?)));
        Self { depend_on_origin: true, page }
    }

    /// The response to a preflight, if the request is one from an allowed page.
    pub(crate) fn preflight(&self, method: &Method, headers: &HeaderList) -> Option<Response> {
        let asks = *method == Method::OPTIONS && headers.contains(&ACCESS_CONTROL_REQUEST_METHOD);
        if self.page.is_none() || !asks {
            return None;
        }
        let mut response = FramedResponse::new(StatusCode::NO_CONTENT, ResponseBody::whole(Bytes::new()));
        response.headers.append(ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS);
        // The gateway does not know which headers a service accepts, so it allows all. Its own it drops in any case.
        if let Some(wanted) = headers.get(&ACCESS_CONTROL_REQUEST_HEADERS) {
            response.headers.append(ACCESS_CONTROL_ALLOW_HEADERS, wanted);
        }
        response.headers.append(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        Some(response)
    }

    /// Sets the headers of the response, unless the service has set its own.
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
                // Starlette sends it on every response, even if that does not name an origin.
                Reader::Preview => headers.remove(&ACCESS_CONTROL_ALLOW_CREDENTIALS),
            }
            if !headers.contains(&ACCESS_CONTROL_EXPOSE_HEADERS) {
                headers.append(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
            }
        }
    }
}

/// Whether a `Vary` names `Origin` already, or is `*`.
fn names_origin(vary: &[u8]) -> bool {
    vary.split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .any(|name| name == b"*" || name.eq_ignore_ascii_case(b"origin"))
}
