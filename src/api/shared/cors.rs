//! CORS (the Fetch standard's protocol): pages of `ALLOWED_ORIGINS` may call the API and read its responses, in the
//! name of the signed-in person; those of previews only without cookies. Published documents are readable by every
//! page.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use poem::{Request, Response};

use super::problems::AllowedMethods;
use crate::domain::gateway::models::http::origin::{AllowedOrigins, Reader};

/// The headers that pages may send besides the CORS-safelisted ones.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static("authorization, content-type");

/// The headers that pages may read: the cause of a failure, and the id of the request in the log.
const RESPONSE_HEADERS: HeaderValue = HeaderValue::from_static("x-request-id, www-authenticate, retry-after");

/// How long a browser may cache a preflight, in seconds. An origin that is removed from the list is still refused at
/// once: every response names its permitted readers.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// The path of published keys and metadata (RFC 8615).
const PUBLISHED: &str = "/.well-known/";

/// The origins whose pages may call the API.
#[derive(Clone)]
pub(in crate::api) struct Cors(Arc<AllowedOrigins>);

/// The pages that may read a response.
pub(in crate::api) enum CorsDecision {
    /// Pages of every origin, without cookies.
    Everybody,
    /// Pages of this origin, which sent the request.
    Page(HeaderValue, Reader),
    /// Not the sender of the request; pages of other origins might.
    Others,
    /// No pages.
    Nobody,
}

impl Cors {
    pub(in crate::api) fn new(origins: AllowedOrigins) -> Self {
        Self(origins.into())
    }

    /// The permitted readers of the response to a request.
    pub(in crate::api) fn decide(&self, request: &Request) -> CorsDecision {
        if request.uri().path().starts_with(PUBLISHED) {
            return CorsDecision::Everybody;
        }
        if self.0.is_empty() {
            return CorsDecision::Nobody;
        }
        let origin = request.headers().get(header::ORIGIN);
        let reader = origin.and_then(|origin| Some((origin.clone(), self.0.reader(origin.as_bytes())?)));
        reader.map_or(CorsDecision::Others, |(origin, reader)| CorsDecision::Page(origin, reader))
    }
}

impl CorsDecision {
    /// The response to a preflight.
    pub(in crate::api) fn preflight(&self, request: &Request, allowed: &AllowedMethods) -> Option<Response> {
        let asks = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if matches!(self, Self::Others | Self::Nobody) || request.method() != Method::OPTIONS || !asks {
            return None;
        }
        let methods = HeaderValue::from_str(allowed.at(request.uri().path())?).ok()?;
        let mut response = Response::builder().status(StatusCode::NO_CONTENT).finish();
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        Some(response)
    }

    /// Writes the permitted readers into a response. Where other origins may read it, the response varies by origin
    /// even for those that may not.
    pub(in crate::api) fn apply(self, headers: &mut HeaderMap) {
        let origin = match &self {
            Self::Nobody => return,
            Self::Others => None,
            Self::Everybody => Some(HeaderValue::from_static("*")),
            Self::Page(origin, _) => Some(origin.clone()),
        };
        if matches!(self, Self::Page(..) | Self::Others) {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        if matches!(self, Self::Page(_, Reader::Trusted)) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if let Some(origin) = origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_HEADERS);
        }
    }
}
