//! What a request is for: the host and method that it names, and the responses that need no service.

use std::sync::Arc;

use bytes::Bytes;
use http::{
    HeaderValue, Method, StatusCode, Uri, Version,
    header::{ACCESS_CONTROL_REQUEST_METHOD, ALLOW, HOST, ORIGIN},
};

use super::{
    error_response::ALLOWED_METHODS,
    response_body::{Response, ResponseBody},
};
use crate::{
    domain::gateway::models::service::Route,
    edge::{
        error::Failure,
        http::{authority::is_authority, header_list::HeaderList, message::FramedResponse, path::BadPath},
    },
};

/// The method that a CORS preflight asks about; `None` if the request is not a preflight.
pub(crate) fn preflight_for<'h>(method: &Method, headers: &'h HeaderList) -> Option<&'h str> {
    if *method != Method::OPTIONS || !headers.contains(&ORIGIN) {
        return None;
    }
    headers.text(&ACCESS_CONTROL_REQUEST_METHOD)
}

/// The error for a path whose routes do not accept the request's method.
pub(crate) fn other_methods(routes: &[Arc<Route>]) -> Failure {
    let mut methods: Vec<&str> = routes.iter().flat_map(|route| route.methods.named()).map(String::as_str).collect();
    methods.sort_unstable();
    methods.dedup();
    HeaderValue::try_from(methods.join(", ")).map_or(Failure::Internal, |allow| Failure::MethodNotAllowed { allow })
}

/// The host of a request: the authority of an absolute target, which overrides `Host` (RFC 9112 §3.2.2), or else
/// `Host`. There is at most one `Host` (the head was validated), and it may be missing only in HTTP/1.0. Over HTTP/2
/// every target has an authority, and a `Host` beside it must be equal (RFC 9113 §8.3.1).
pub(crate) fn host(uri: &Uri, headers: &HeaderList, version: Version) -> Result<Option<Bytes>, Failure> {
    if let (Version::HTTP_2, Some(authority), Some(host)) = (version, uri.authority(), headers.get(&HOST))
        && !host.eq_ignore_ascii_case(authority.as_str().as_bytes())
    {
        return Err(Failure::Authority);
    }
    let host = match (uri.scheme_str(), uri.authority()) {
        (None, None) if version == Version::HTTP_10 && !headers.contains(&HOST) => return Ok(None),
        (None, None) => headers.share(&HOST),
        (Some("http" | "https"), Some(authority)) => Some(Bytes::copy_from_slice(authority.as_str().as_bytes())),
        (Some(_), _) | (None, Some(_)) => return Err(Failure::Path(BadPath::NotAPath)),
    };
    host.filter(|host| std::str::from_utf8(host).is_ok_and(is_authority)).map(Some).ok_or(Failure::Authority)
}

/// The response to `OPTIONS *`, which concerns the gateway itself.
pub(crate) fn options() -> Response {
    let mut response = FramedResponse::new(StatusCode::NO_CONTENT, ResponseBody::whole(Bytes::new()));
    response.headers.append(ALLOW, ALLOWED_METHODS);
    response
}
