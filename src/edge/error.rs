//! Everything that can go wrong with a request at the edge: whose fault it is, and whether trying again can help.

use http::HeaderValue;

use crate::{
    domain::gateway::models::{access::Denied, oauth::ProviderName, token::Rejection},
    edge::{http::path::BadPath, http1::request_head::BadHead},
};

/// Why a request was not answered as its sender hoped.
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
    /// A session came along from a page that may not use it.
    CrossSite,
    /// Somebody who is not signed in has come by browser: here they sign in, and then come back.
    SignIn(HeaderValue),
    /// No service answers at this path.
    NoRoute,
    /// The routes of this path take other methods.
    MethodNotAllowed {
        /// These.
        allow: HeaderValue,
    },
    /// The body is larger than the route allows.
    BodyTooLarge {
        /// What it allows.
        limit_bytes: u64,
    },
    /// The client's body broke off or is malformed.
    BodyBroken,
    /// The client stopped sending its body.
    BodyTimeout,
    /// The client has as many requests in flight as it may.
    ClientOverloaded,
    /// The route has as many requests in flight as it may.
    RouteOverloaded,
    /// The service has as many requests in flight as it may.
    ServiceOverloaded,
    /// The process may open no more connections to services.
    ConnectionsExhausted,
    /// The service has no instance now.
    NoInstance,
    /// The credential could not be checked now.
    CheckUnavailable,
    /// The route sends the caller's token at this provider along, and the caller has no grant there.
    ProviderGrantMissing(ProviderName),
    /// The caller has to sign in at this provider again.
    ReauthorizationRequired(ProviderName),
    /// The caller's token at this provider has expired, and there is no other now.
    ProviderUnavailable(ProviderName),
    /// The caller's token at a provider could not be looked up now.
    VaultUnavailable,
    /// The instance could not be connected to.
    Unreachable,
    /// The instance did not take the connection in time.
    ConnectTimeout,
    /// The instance did not begin with the request, and said so (HTTP/2).
    Refused,
    /// The connection was lost before an answer came: the service closed it, or we did, for what another answer on it was.
    HungUp,
    /// What came was not an HTTP answer.
    BadResponse,
    /// No answer came in time.
    ResponseTimeout,
    /// A defect of ours.
    Internal,
}

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The client's.
    Client,
    /// Ours, or that of what we need.
    Gateway,
    /// The service's.
    Upstream,
    /// That of too much to do: a limit was reached, or there is no instance. Said with the route (`shortage`).
    Shortage,
}

/// Whether the same request may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// It would end the same, or the caller has waited long enough.
    Never,
    /// Nothing of it was sent, so any request may be.
    Any,
    /// It may have been acted on: only idempotent ones (RFC 9110 §9.2.2).
    Idempotent,
}

impl Failure {
    /// Whose fault it is.
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
            | Self::ClientOverloaded
            | Self::ProviderGrantMissing(_)
            | Self::ReauthorizationRequired(_) => Source::Client,
            Self::CheckUnavailable | Self::ProviderUnavailable(_) | Self::VaultUnavailable | Self::Internal => {
                Source::Gateway
            }
            Self::NoInstance | Self::RouteOverloaded | Self::ServiceOverloaded | Self::ConnectionsExhausted => {
                Source::Shortage
            }
            Self::Unreachable
            | Self::ConnectTimeout
            | Self::Refused
            | Self::HungUp
            | Self::BadResponse
            | Self::ResponseTimeout => Source::Upstream,
        }
    }

    /// Whether the request may be sent again, elsewhere.
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
            | Self::ClientOverloaded
            | Self::RouteOverloaded
            | Self::ServiceOverloaded
            | Self::ConnectionsExhausted
            | Self::NoInstance
            | Self::CheckUnavailable
            | Self::ProviderGrantMissing(_)
            | Self::ReauthorizationRequired(_)
            | Self::ProviderUnavailable(_)
            | Self::VaultUnavailable
            | Self::BadResponse
            | Self::ResponseTimeout
            | Self::Internal => Retry::Never,
        }
    }
}
