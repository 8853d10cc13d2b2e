//! The results of the pipeline about a request: all that forwarding needs.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use super::cluster::endpoint::Endpoint;
use crate::{
    domain::gateway::models::{
        access::Permit,
        service::{HostSent, Route},
    },
    edge::{
        auth::caller::Caller,
        http::{client_address::Client, via::Pseudonym},
        observe::request_id::RequestText,
    },
};

/// The results of the pipeline about a request.
pub(crate) struct RequestFacts<'r> {
    pub(crate) request_id: &'r RequestText,
    pub(crate) client: &'r Client,
    /// The host that the client asked for, if it is known; well-formed.
    pub(crate) host: Option<Bytes>,
    /// The route to the service.
    pub(crate) route: &'r Route,
    /// The prefix before the path, if the client used `API_PREFIX`.
    pub(crate) api_prefix: &'r str,
    /// The canonical path, without that prefix.
    pub(crate) path: &'r str,
    /// The part after the `?`, unchanged.
    pub(crate) query: Option<&'r str>,
    /// The permission to forward it, with the caller's identity.
    pub(crate) permit: Permit,
    /// The caller, if there is one: the same as in the permit.
    pub(crate) caller: Option<&'r Caller>,
    /// The assertion, by which the service can check the caller itself, if the route forwards one.
    pub(crate) assertion: Option<HeaderValue>,
    /// The caller's token at a provider and its header, if the route forwards it.
    pub(crate) provider_token: Option<(HeaderName, HeaderValue)>,
    /// The protocols to which it asks to upgrade, if any.
    pub(crate) upgrade: Option<Vec<u8>>,
    /// Random bytes for the trace.
    pub(crate) random: [u8; 24],
    /// The gateway's name in `Via`.
    pub(crate) pseudonym: Pseudonym,
}

impl RequestFacts<'_> {
    /// The `Host` for an endpoint: its own, or the client's if the route says so. The latter is an authority.
    pub(crate) fn host_at<'h>(&'h self, endpoint: &'h Endpoint) -> &'h str {
        let of_client = self.host.as_deref().filter(|_| self.route.host_sent == HostSent::Client);
        of_client.and_then(|host| std::str::from_utf8(host).ok()).unwrap_or(&endpoint.authority)
    }
}
