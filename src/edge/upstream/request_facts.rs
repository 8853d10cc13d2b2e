//! What the pipeline has found out about a request: all that forwarding it needs to know.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use super::endpoint::Endpoint;
use crate::{
    domain::gateway::models::{
        access::Permit,
        service::{HostSent, Route},
    },
    edge::{auth::caller::Caller, http::client_address::Client, observe::request_id::RequestText},
};

/// See the module.
pub(crate) struct RequestFacts<'r> {
    pub(crate) request_id: &'r RequestText,
    pub(crate) client: &'r Client,
    /// The host that its client asked for, if that is known; well-formed.
    pub(crate) host: Option<Bytes>,
    /// Where it goes.
    pub(crate) route: &'r Route,
    /// What stood before the path, if the client came by `API_PREFIX`.
    pub(crate) api_prefix: &'r str,
    /// The canonical path, without it.
    pub(crate) path: &'r str,
    /// Behind the `?`, as it came.
    pub(crate) query: Option<&'r str>,
    /// That it may go there, and for whom.
    pub(crate) permit: Permit,
    /// Whom it is for, if anybody: the same as the permit says.
    pub(crate) caller: Option<&'r Caller>,
    /// What the service can check by itself about the caller, if the route says that it gets it.
    pub(crate) assertion: Option<HeaderValue>,
    /// The caller's token at a provider and its header, if the route says that it goes along.
    pub(crate) provider_token: Option<(HeaderName, HeaderValue)>,
    /// The protocols that it asks to go on with, if any.
    pub(crate) upgrade: Option<Vec<u8>>,
    /// Random bytes for the trace.
    pub(crate) random: [u8; 24],
}

impl RequestFacts<'_> {
    /// The `Host` that an instance is told: its own, or the client's where the route says so. The latter is an authority.
    pub(crate) fn host_at<'h>(&'h self, endpoint: &'h Endpoint) -> &'h str {
        let of_client = self.host.as_deref().filter(|_| self.route.host_sent == HostSent::Client);
        of_client.and_then(|host| std::str::from_utf8(host).ok()).unwrap_or(&endpoint.authority)
    }
}
