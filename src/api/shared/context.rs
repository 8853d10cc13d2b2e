//! The data plane's information about a request that it hands to the API.

use std::net::IpAddr;

use http::header;
use poem::Request;

use crate::domain::gateway::controllers::caller::Sender;

/// Stored in the request's extensions.
#[derive(Debug, Clone, Default)]
pub struct RequestContext {
    /// The id of the request in the log.
    pub request_id: Option<String>,
    /// The client's address: the peer's, or the one that a trusted proxy sent.
    pub client: Option<IpAddr>,
    /// The scheme that the client used: `http` or `https`.
    pub scheme: Option<&'static str>,
    /// The prefix that was removed from the path: empty, or `/…`.
    pub prefix: String,
}

impl RequestContext {
    pub(in crate::api) fn of(request: &Request) -> Self {
        request.extensions().get::<Self>().cloned().unwrap_or_default()
    }

    /// The sender of a request.
    pub(in crate::api) fn sender(request: &Request) -> Sender {
        let user_agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        Sender { user_agent: user_agent.map(str::to_owned), address: Self::of(request).client }
    }
}
