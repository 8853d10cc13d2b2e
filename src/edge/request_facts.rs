//! What the pipeline has found out about a request: all that forwarding it needs to know.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use super::{caller::Caller, client::Client, endpoint::Endpoint, request_id::RequestText};
use crate::domain::gateway::models::{
    access::Permit,
    service::{HostSent, Route},
};

/// See the module.
pub(super) struct RequestFacts<'r> {
    pub(super) request_id: &'r RequestText,
    pub(super) client: &'r Client,
    /// The host that its client asked for, if that is known; well-formed.
    pub(super) host: Option<Bytes>,
    /// Where it goes.
    pub(super) route: &'r Route,
    /// What stood before the path, if the client came by `API_PREFIX`.
    pub(super) api_prefix: &'r str,
    /// The canonical path, without it.
    pub(super) path: &'r str,
    /// Behind the `?`, as it came.
    pub(super) query: Option<&'r str>,
    /// That it may go there, and for whom.
    pub(super) permit: Permit,
    /// Whom it is for, if anybody: the same as the permit says.
    pub(super) caller: Option<&'r Caller>,
    /// What the service can check by itself about the caller, if the route says that it gets it.
    pub(super) assertion: Option<HeaderValue>,
    /// The caller's token at a provider and its header, if the route says that it goes along.
    pub(super) provider_token: Option<(HeaderName, HeaderValue)>,
    /// The protocols that it asks to go on with, if any.
    pub(super) upgrade: Option<Vec<u8>>,
    /// Random bytes for the trace.
    pub(super) random: [u8; 24],
}

impl RequestFacts<'_> {
    /// The `Host` that an instance is told: its own, or the client's where the route says so. The latter is an authority.
    pub(super) fn host_at<'h>(&'h self, endpoint: &'h Endpoint) -> &'h str {
        let of_client = self.host.as_deref().filter(|_| self.route.host_sent == HostSent::Client);
        of_client.and_then(|host| std::str::from_utf8(host).ok()).unwrap_or(&endpoint.authority)
    }
}
