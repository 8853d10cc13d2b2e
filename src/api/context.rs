//! What the data plane says of a request that it hands over.

use poem::Request;

/// Found in the request's extensions.
#[derive(Debug, Clone, Default)]
pub struct RequestContext {
    /// Under which id the request is logged.
    pub request_id: Option<String>,
}

impl RequestContext {
    pub(super) fn of(request: &Request) -> Self {
        request.extensions().get::<Self>().cloned().unwrap_or_default()
    }
}
