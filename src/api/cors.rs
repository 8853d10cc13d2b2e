//! Pages of `ALLOWED_ORIGINS` may call the API and read what it answers, in the name of whoever is signed in (the Fetch
//! standard's CORS protocol). Exactly these origins are told so, one at a time; a wildcard is never sent.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use poem::{Request, Response};

use super::problems::AllowedMethods;

/// What pages may send besides what any form could.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static("authorization, content-type");

/// What they may read besides the body: why something failed, and under which id it is logged.
const RESPONSE_HEADERS: HeaderValue = HeaderValue::from_static("x-request-id, www-authenticate, retry-after");

/// How long a browser need not ask again, in seconds. An origin that is taken off the list is refused all the same: every
/// answer says who may read it.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// The origins whose pages may call.
#[derive(Clone)]
pub(super) struct Cors(Arc<[String]>);

impl Cors {
    /// As browsers write them in `Origin`.
    pub(super) fn new(origins: Vec<String>) -> Self {
        Self(origins.into())
    }

    /// The page's origin, if it is on the list.
    pub(super) fn origin(&self, request: &Request) -> Option<HeaderValue> {
        let origin = request.headers().get(header::ORIGIN)?;
        self.0.iter().any(|known| known.as_bytes() == origin.as_bytes()).then(|| origin.clone())
    }

    /// What a browser wants to know before it sends what no form could.
    pub(super) fn preflight(
        origin: Option<&HeaderValue>,
        request: &Request,
        allowed: &AllowedMethods,
    ) -> Option<Response> {
        let asks = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if origin.is_none() || request.method() != Method::OPTIONS || !asks {
            return None;
        }
        let methods = HeaderValue::from_str(allowed.at(request.uri().path())?).ok()?;
        let mut answer = Response::builder().status(StatusCode::NO_CONTENT).finish();
        let headers = answer.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        Some(answer)
    }

    /// Says on an answer who may read it. Where anybody else may, the answer differs by origin even for those who may not.
    pub(super) fn mark(&self, origin: Option<HeaderValue>, headers: &mut HeaderMap) {
        if self.0.is_empty() {
            return;
        }
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_HEADERS);
        }
    }
}
