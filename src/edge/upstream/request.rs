//! The request in the form in which a service gets it: the client's, sanitised, with a new path, and with the gateway's
//! headers set last.

use http::{
    HeaderMap, HeaderName, Method, Request, Uri, Version,
    header::{AUTHORIZATION, HOST, MAX_FORWARDS, TE, TRAILER, UPGRADE},
};

use super::{
    cluster::{endpoint::Endpoint, load_balancer::stable_hash},
    gateway_headers::GatewayHeaders,
    redirects::Outside,
    request_facts::RequestFacts,
};
use crate::{
    domain::gateway::models::{
        http::network::client_network,
        service::{Balancing, HashKey},
    },
    edge::{
        body::request_body::RequestBody,
        error::Failure,
        http::{
            cookies,
            field_line::{put_header, put_length},
            header_list::HeaderList,
            message::{BodyLength, RequestHead},
            sanitize::remove_all_like,
        },
        http1::body_encoder::BodyEncoder,
        observe::trace_context::TraceId,
    },
};

/// A request that can be sent to any endpoint.
pub(crate) struct UpstreamRequest<'r> {
    /// The client's head, without what is not forwarded.
    head: &'r RequestHead,
    /// The path at the service, without the base path of an endpoint.
    path: [&'r str; 2],
    query: Option<&'r str>,
    facts: &'r RequestFacts<'r>,
    gateway_headers: GatewayHeaders<'r>,
    body: RequestBody,
}

impl<'r> UpstreamRequest<'r> {
    /// Builds the request from the client's, whose headers must be sanitised already.
    pub(crate) fn new(
        head: &'r mut RequestHead,
        body: RequestBody,
        facts: &'r RequestFacts<'r>,
    ) -> Result<Self, Failure> {
        let RequestHead { method, headers, version, .. } = head;
        let keeps_authorization = facts.route.forward_authorization;
        // Each endpoint has its own `Host`.
        headers.retain(|name, _| *name != HOST && (keeps_authorization || *name != AUTHORIZATION));
        cookies::remove_ours_from_request(headers);
        if let Some((header, _)) = &facts.provider_token {
            // Replaces anything that the client sent there.
            remove_all_like(headers, header.as_str());
        }
        let gateway_headers = GatewayHeaders::new(facts, *version, headers);
        if let Some(protocols) = &facts.upgrade {
            headers.insert(UPGRADE, protocols);
        }
        if *method == Method::OPTIONS {
            lower_max_forwards(headers)?;
        }
        let path = facts.route.upstream_pieces(facts.path).ok_or(Failure::NoRoute)?;
        Ok(Self { head, path, query: facts.query, facts, gateway_headers, body })
    }

    /// Whether sending it twice has the same effect as sending it once (RFC 9110 §9.2.2).
    pub(crate) fn is_idempotent(&self) -> bool {
        matches!(self.head.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE)
    }

    /// The key by which its endpoint is chosen, if its service is balanced by one.
    pub(crate) fn key(&self, balancing: &Balancing) -> Option<u64> {
        let headers = &self.head.headers;
        match balancing {
            Balancing::LeastOfTwo | Balancing::RoundRobin | Balancing::LeastRequests => None,
            Balancing::Hash(HashKey::Header(name)) => headers.get(&HeaderName::try_from(name).ok()?).map(stable_hash),
            Balancing::Hash(HashKey::Cookie(name)) => cookies::sent(headers, name.as_bytes()).map(stable_hash),
            Balancing::Hash(HashKey::Client) => {
                let network = client_network(self.facts.client.address.ip());
                Some(stable_hash(network.to_string().as_bytes()))
            }
            Balancing::StickyCookie(name) => {
                let value = cookies::sent(headers, name.as_bytes())?;
                u64::from_str_radix(std::str::from_utf8(value).ok()?, 16).ok()
            }
        }
    }

    /// The `Set-Cookie` by which the client's next requests go to the endpoint with this name.
    pub(crate) fn sticky_cookie(&self, cookie: &str, endpoint: u64) -> String {
        let secure = if self.facts.client.scheme == "https" { "; Secure" } else { "" };
        format!("{cookie}={endpoint:016x}; Path=/; HttpOnly; SameSite=Lax{secure}")
    }

    /// Whether its response has no body (RFC 9110 §9.3.2).
    pub(crate) fn is_head(&self) -> bool {
        self.head.method == Method::HEAD
    }

    /// The protocols to which it asks to upgrade, if any.
    pub(crate) fn upgrade(&self) -> Option<&[u8]> {
        self.head.headers.get(&UPGRADE)
    }

    /// The trace that it belongs to.
    pub(crate) fn trace_id(&self) -> TraceId {
        self.gateway_headers.trace_id()
    }

    /// Rewrites addresses in an endpoint's response for the outside.
    pub(crate) fn outside_of<'o>(&'o self, endpoint: &'o Endpoint) -> Outside<'o> {
        Outside::new(self.facts, endpoint)
    }

    /// Its body.
    pub(crate) fn body(&self) -> &RequestBody {
        &self.body
    }

    /// Writes the head for an HTTP/1.1 endpoint. Returns the framing of the body.
    pub(crate) fn put_head(&self, endpoint: &Endpoint, head: &mut Vec<u8>) -> BodyEncoder {
        head.extend_from_slice(self.head.method.as_str().as_bytes());
        head.push(b' ');
        self.target_at(endpoint).into_iter().for_each(|piece| head.extend_from_slice(piece.as_bytes()));
        head.extend_from_slice(b" HTTP/1.1\r\n");
        put_header("host", self.facts.host_at(endpoint).as_bytes(), head);
        self.head.headers.put(head);
        self.gateway_headers.put(head);
        if let Some(options) = self.connection_options() {
            put_header("connection", options, head);
        }
        let encoder = match self.head.length {
            BodyLength::Known(length) => {
                put_length(length, head);
                BodyEncoder::Length(length)
            }
            BodyLength::Unknown => {
                put_header("transfer-encoding", b"chunked", head);
                // Only announced trailers are sent.
                BodyEncoder::Chunked { trailers: self.head.headers.contains(&TRAILER) }
            }
            BodyLength::None | BodyLength::Announced(_) => {
                if self.says_that_it_has_no_body() {
                    put_length(0, head);
                }
                BodyEncoder::Nothing
            }
        };
        head.extend_from_slice(b"\r\n");
        encoder
    }

    /// Path and query at an endpoint.
    fn target_at<'o>(&'o self, endpoint: &'o Endpoint) -> [&'o str; 5] {
        let [prefix, rest] = self.path;
        let mark = if self.query.is_some() { "?" } else { "" };
        [&endpoint.instance.base_path, prefix, rest, mark, self.query.unwrap_or_default()]
    }

    /// The value of `Connection`: it names the headers that are only for the next hop (RFC 9110 §7.8, §10.1.4).
    fn connection_options(&self) -> Option<&'static [u8]> {
        match (self.head.headers.contains(&UPGRADE), self.head.headers.contains(&TE)) {
            (true, true) => Some(b"upgrade, te"),
            (true, false) => Some(b"upgrade"),
            (false, true) => Some(b"te"),
            (false, false) => None,
        }
    }

    /// Whether its method implies a body, so that the head has to declare that there is none (RFC 9110 §8.6).
    fn says_that_it_has_no_body(&self) -> bool {
        matches!(self.head.method, Method::POST | Method::PUT | Method::PATCH)
    }

    /// The request for an HTTP/2 endpoint.
    pub(crate) fn request_for(&self, endpoint: &Endpoint) -> Result<Request<RequestBody>, Failure> {
        let mut request = Request::new(self.body.share());
        *request.method_mut() = self.head.method.clone();
        *request.version_mut() = Version::HTTP_2;
        let scheme = if endpoint.instance.tls { "https://" } else { "http://" };
        let uri = [scheme, self.facts.host_at(endpoint)].into_iter().chain(self.target_at(endpoint));
        *request.uri_mut() = Uri::try_from(uri.collect::<String>()).map_err(|_| Failure::Internal)?;
        *request.headers_mut() = HeaderMap::from(self.head.headers.clone());
        let length = match self.head.length {
            BodyLength::None if self.says_that_it_has_no_body() => BodyLength::Known(0),
            length => length,
        };
        length.add_to(request.headers_mut());
        self.gateway_headers.add_to(request.headers_mut());
        // A stream cannot switch protocols (RFC 9113 §8.6).
        request.headers_mut().remove(UPGRADE);
        Ok(request)
    }
}

/// How many more times a request may be forwarded, if it sets a limit (RFC 9110 §7.6.2).
pub(crate) fn max_forwards(headers: &HeaderList) -> Result<Option<u32>, Failure> {
    if !headers.contains(&MAX_FORWARDS) {
        return Ok(None);
    }
    let digits = headers.text(&MAX_FORWARDS);
    let digits = digits.filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
    // A number with more digits than fit is larger than any real number of hops.
    digits.map(|digits| Some(digits.parse().unwrap_or(u32::MAX))).ok_or(Failure::MaxForwards)
}

fn lower_max_forwards(headers: &mut HeaderList) -> Result<(), Failure> {
    if let Some(left) = max_forwards(headers)? {
        headers.insert(MAX_FORWARDS, left.saturating_sub(1).to_string());
    }
    Ok(())
}
