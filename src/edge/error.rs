//! All failures of a request at the edge, with their source and whether a retry can help.

use std::{sync::Arc, time::Duration};

use http::HeaderValue;

use crate::{
    domain::gateway::models::{access::Denied, oauth::ProviderName, service::TrafficPolicy, token::Rejection},
    edge::{http::path::BadPath, http1::request_head::BadHead},
};

/// The reason why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The head was refused before it was parsed.
    Head(BadHead),
    /// The path was refused.
    Path(BadPath),
    /// `Host`, or the authority of an absolute target, is not `host` or `host:port`.
    Authority,
    /// `TRACE` (RFC 9110 §9.3.8).
    Trace,
    /// `CONNECT` (RFC 9110 §9.3.6).
    Connect,
    /// `Max-Forwards` is not a number.
    MaxForwards,
    /// More than one `Authorization`, or `Bearer` without a token (RFC 6750 §3.1, `invalid_request`).
    Credential,
    /// The token is not accepted.
    Token(Rejection),
    /// The caller may not use the route.
    Denied(Denied),
    /// A session was sent from a page that may not use it.
    CrossSite,
    /// A browser without a session is redirected: to the login, and from there back.
    SignIn(HeaderValue),
    /// No route leads to a service for this path.
    NoRoute,
    /// The routes of this path take other methods.
    MethodNotAllowed {
        /// The allowed methods.
        allow: HeaderValue,
    },
    /// The body is larger than the route allows.
    BodyTooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// The client's body broke off or is malformed.
    BodyBroken,
    /// The client stopped sending its body.
    BodyTimeout,
    /// The client's address may not use the route.
    AddressDenied,
    /// The route's limit on the rate of requests is used up.
    RateLimited {
        /// When the next request is accepted, in seconds.
        retry_after: u64,
    },
    /// The route is closed for maintenance.
    Maintenance {
        /// Its rule.
        rule: Arc<TrafficPolicy>,
        /// Whether a browser navigates there: people get a page.
        page: bool,
    },
    /// The client has its maximum of requests in flight.
    ClientOverloaded,
    /// The route has its maximum of requests in flight.
    RouteOverloaded,
    /// The service has its maximum of requests in flight.
    ServiceOverloaded,
    /// Too many requests to the service have failed: it gets none for a while.
    CircuitOpen {
        /// The time until the next one is tried.
        wait: Duration,
    },
    /// The process may open no more connections to services.
    ConnectionsExhausted,
    /// The service has no endpoint now.
    NoInstance,
    /// The credential could not be checked now.
    CheckUnavailable,
    /// No revocations of other replicas have arrived for longer than the route allows.
    RevocationsUnheard,
    /// The route forwards the caller's token at this provider, and the caller has no grant there.
    ProviderGrantMissing(ProviderName),
    /// The caller has to sign in at this provider again.
    ReauthorizationRequired(ProviderName),
    /// The caller's token at this provider has expired, and there is no other now.
    ProviderUnavailable(ProviderName),
    /// The caller's token at a provider could not be looked up now.
    VaultUnavailable,
    /// Connecting to the endpoint failed.
    Unreachable,
    /// The endpoint did not accept the connection in time.
    ConnectTimeout,
    /// The endpoint did not process the request, and said so (HTTP/2).
    Refused,
    /// The connection was lost before a response came: closed by the service, or by the gateway because of another
    /// response on it.
    HungUp,
    /// The request came back to the route by which the gateway had sent it to a service.
    Loop,
    /// The input was not an HTTP response.
    BadResponse,
    /// No response came in time.
    ResponseTimeout,
    /// A defect of the gateway.
    Internal,
}

/// The source of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The client.
    Client,
    /// The gateway, or something that it depends on.
    Gateway,
    /// The service.
    Upstream,
    /// A limit was reached, or something that the request needs is away. Logged elsewhere, once for many requests
    /// (`shortage`).
    Shortage,
}

/// Whether the same request may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// Not at all: it would fail again, or the caller has waited long enough.
    Never,
    /// Nothing of it was sent, so any request may be.
    Any,
    /// It may have been processed: only idempotent ones (RFC 9110 §9.2.2).
    Idempotent,
}

impl Failure {
    /// Its source.
    pub(crate) fn source(&self) -> Source {
        match self {
            Self::Head(_)
            | Self::Path(_)
            | Self::Authority
            | Self::Trace
            | Self::Connect
            | Self::MaxForwards
            | Self::Credential
            | Self::Token(_)
            | Self::Denied(_)
            | Self::CrossSite
            | Self::SignIn(_)
            | Self::NoRoute
            | Self::MethodNotAllowed { .. }
            | Self::BodyTooLarge { .. }
            | Self::BodyBroken
            | Self::BodyTimeout
            | Self::AddressDenied
            | Self::RateLimited { .. }
            | Self::Maintenance { .. }
            | Self::ClientOverloaded
            | Self::ProviderGrantMissing(_)
            | Self::ReauthorizationRequired(_) => Source::Client,
            Self::ProviderUnavailable(_) | Self::Internal => Source::Gateway,
            // The control plane has logged the cause.
            Self::CheckUnavailable
            | Self::VaultUnavailable
            | Self::NoInstance
            | Self::Loop
            | Self::RevocationsUnheard
            | Self::RouteOverloaded
            | Self::ServiceOverloaded
            | Self::CircuitOpen { .. }
            | Self::ConnectionsExhausted => Source::Shortage,
            Self::Unreachable
            | Self::ConnectTimeout
            | Self::Refused
            | Self::HungUp
            | Self::BadResponse
            | Self::ResponseTimeout => Source::Upstream,
        }
    }

    /// Whether the request may be sent again, to another endpoint.
    pub(crate) fn retry(&self) -> Retry {
        match self {
            Self::Unreachable | Self::ConnectTimeout | Self::Refused => Retry::Any,
            Self::HungUp => Retry::Idempotent,
            Self::Head(_)
            | Self::Path(_)
            | Self::Authority
            | Self::Trace
            | Self::Connect
            | Self::MaxForwards
            | Self::Credential
            | Self::Token(_)
            | Self::Denied(_)
            | Self::CrossSite
            | Self::SignIn(_)
            | Self::NoRoute
            | Self::MethodNotAllowed { .. }
            | Self::BodyTooLarge { .. }
            | Self::BodyBroken
            | Self::BodyTimeout
            | Self::AddressDenied
            | Self::RateLimited { .. }
            | Self::Maintenance { .. }
            | Self::ClientOverloaded
            | Self::RouteOverloaded
            | Self::ServiceOverloaded
            | Self::CircuitOpen { .. }
            | Self::ConnectionsExhausted
            | Self::NoInstance
            | Self::RevocationsUnheard
            | Self::CheckUnavailable
            | Self::ProviderGrantMissing(_)
            | Self::ReauthorizationRequired(_)
            | Self::ProviderUnavailable(_)
            | Self::VaultUnavailable
            | Self::Loop
            | Self::BadResponse
            | Self::ResponseTimeout
            | Self::Internal => Retry::Never,
        }
    }
}
