//! Pages of `ALLOWED_ORIGINS` may call the API and read what it answers, in the name of whoever is signed in (the Fetch
//! standard's CORS protocol); those of previews without cookies. What is published for everybody is readable by every page.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use poem::{Request, Response};

use super::problems::AllowedMethods;
use crate::domain::gateway::models::origin::{AllowedOrigins, Reader};

/// What pages may send besides what any form could.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static("authorization, content-type");

/// What they may read besides the body: why something failed, and under which id it is logged.
const RESPONSE_HEADERS: HeaderValue = HeaderValue::from_static("x-request-id, www-authenticate, retry-after");

/// How long a browser need not ask again, in seconds. An origin that is taken off the list is refused all the same: every
/// answer says who may read it.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// Where keys and metadata are published (RFC 8615).
const PUBLISHED: &str = "/.well-known/";

/// The origins whose pages may call.
#[derive(Clone)]
pub(super) struct Cors(Arc<AllowedOrigins>);

/// Which pages may read the answer to a request.
pub(super) enum Readers {
    /// Those of every origin, without cookies.
    Everybody,
    /// Those of this one, which asks.
    Page(HeaderValue, Reader),
    /// Not the one that asks; another might.
    Others,
    /// None.
    Nobody,
}

impl Cors {
    pub(super) fn new(origins: AllowedOrigins) -> Self {
        Self(origins.into())
    }

    /// Who may read the answer to a request.
    pub(super) fn readers(&self, request: &Request) -> Readers {
        if request.uri().path().starts_with(PUBLISHED) {
            return Readers::Everybody;
        }
        if self.0.is_empty() {
            return Readers::Nobody;
        }
        let origin = request.headers().get(header::ORIGIN);
        let reader = origin.and_then(|origin| Some((origin.clone(), self.0.reader(origin.as_bytes())?)));
        reader.map_or(Readers::Others, |(origin, reader)| Readers::Page(origin, reader))
    }
}

impl Readers {
    /// What a browser wants to know before it sends what no form could.
    pub(super) fn preflight(&self, request: &Request, allowed: &AllowedMethods) -> Option<Response> {
        let asks = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if matches!(self, Self::Others | Self::Nobody) || request.method() != Method::OPTIONS || !asks {
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
    pub(super) fn told(self, headers: &mut HeaderMap) {
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
