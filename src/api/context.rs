//! What the data plane says of a request that it hands over.

use std::net::IpAddr;

use http::header;
use poem::Request;

use crate::domain::gateway::controllers::caller::Sender;

/// Found in the request's extensions.
#[derive(Debug, Clone, Default)]
pub struct RequestContext {
    /// Under which id the request is logged.
    pub request_id: Option<String>,
    /// The client's address: the peer's, or the one that a trusted proxy vouches for.
    pub client: Option<IpAddr>,
    /// Whether the client came by `http` or `https`.
    pub scheme: Option<&'static str>,
    /// What was taken off its path: empty, or `/…`.
    pub prefix: String,
}

impl RequestContext {
    pub(super) fn of(request: &Request) -> Self {
        request.extensions().get::<Self>().cloned().unwrap_or_default()
    }

    /// Who sends a request.
    pub(super) fn sender(request: &Request) -> Sender {
        let user_agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        Sender { user_agent: user_agent.map(str::to_owned), address: Self::of(request).client }
    }
}
