//! What the data plane says of a request that it hands over.

use std::net::IpAddr;

use poem::Request;

/// Found in the request's extensions.
#[derive(Debug, Clone, Default)]
pub struct RequestContext {
    /// Under which id the request is logged.
    pub request_id: Option<String>,
    /// The client's address: the peer's, or the one that a trusted proxy vouches for.
    pub client: Option<IpAddr>,
}

impl RequestContext {
    pub(super) fn of(request: &Request) -> Self {
        request.extensions().get::<Self>().cloned().unwrap_or_default()
    }
}
