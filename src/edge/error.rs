//! Everything that can go wrong with a request at the edge: whose fault it is, whether trying again can help, and what the
//! caller is told.

use std::borrow::Cow;

use bytes::Bytes;
use http::{
    HeaderValue, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE},
};

use super::{body::AnswerBody, head::BadHead, message::Answer, path::BadPath, request_id::RequestText};
use crate::{
    domain::gateway::models::{
        access::{Accepted, Denied},
        oauth::ProviderName,
        token::Rejection,
    },
    problem::{self, Challenge, Problem},
};

/// What clients may use here; `TRACE` and `CONNECT` are not among them.
pub(super) const ALLOWED_METHODS: HeaderValue =
    HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

/// Why a request was not answered as its sender hoped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
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
    BadAnswer,
    /// No answer came in time.
    AnswerTimeout,
    /// A defect of ours.
    Internal,
}

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
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
pub(super) enum Retry {
    /// It would end the same, or the caller has waited long enough.
    Never,
    /// Nothing of it was sent, so any request may be.
    Any,
    /// It may have been acted on: only idempotent ones (RFC 9110 §9.2.2).
    Idempotent,
}

impl Failure {
    /// Whose fault it is.
    pub(super) fn source(&self) -> Source {
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
            | Self::BadAnswer
            | Self::AnswerTimeout => Source::Upstream,
        }
    }

    /// Whether the request may be sent again, elsewhere.
    pub(super) fn retry(&self) -> Retry {
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
            | Self::BadAnswer
            | Self::AnswerTimeout
            | Self::Internal => Retry::Never,
        }
    }

    /// Why, in words.
    pub(super) fn why(&self) -> String {
        self.problem().detail.into_owned()
    }

    /// What the caller is told.
    fn problem(&self) -> Problem {
        match self {
            Self::Token(rejection) => Problem::invalid_token(*rejection),
            Self::Denied(denied) => Problem::denied(denied.clone()),
            Self::CrossSite => Problem::cross_site(),
            Self::Credential => Problem {
                challenge: Some(Challenge::InvalidRequest),
                ..bad_request("invalid_request", "Authorization is given twice or holds no token")
            },
            Self::SignIn(_) => Problem::denied(Denied::CredentialMissing(Accepted::Session)),
            Self::Head(bad) => {
                let (status, code) = match bad {
                    BadHead::TooLarge => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large"),
                    BadHead::Version => (StatusCode::HTTP_VERSION_NOT_SUPPORTED, "http_version_not_supported"),
                    _ => (StatusCode::BAD_REQUEST, "bad_request"),
                };
                Problem::new(status, code, bad.to_string())
            }
            Self::Path(bad) => bad_request("bad_path", bad.to_string()),
            Self::Authority => bad_request("bad_request", "the Host is malformed"),
            Self::MaxForwards => bad_request("bad_request", "Max-Forwards is not a number"),
            Self::BodyBroken => bad_request("bad_request", "the request body is malformed"),
            Self::BodyTimeout => Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "request_timeout",
                "the rest of the request body did not come in time; send it again without pausing",
            ),
            Self::ClientOverloaded => {
                unavailable("overloaded", "too many of your requests are in flight; wait until some have ended")
            }
            Self::RouteOverloaded => {
                unavailable("overloaded", "this route has as many requests in flight as it may; try again")
            }
            Self::ServiceOverloaded => {
                unavailable("overloaded", "the service has as many requests in flight as it may; try again")
            }
            Self::ConnectionsExhausted => {
                unavailable("overloaded", "the gateway has no connection left to the service; try again")
            }
            Self::Trace => Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "TRACE is not allowed"),
            Self::Connect => Problem::new(StatusCode::NOT_IMPLEMENTED, "not_implemented", "CONNECT is not served here"),
            Self::NoRoute => Problem::new(
                StatusCode::NOT_FOUND,
                "no_route",
                "no route leads to this path; check its spelling, and write each letter in the case that the route has",
            ),
            Self::MethodNotAllowed { allow } => {
                let methods = allow.to_str().unwrap_or_default();
                let detail = format!("this path takes other methods: {methods}");
                Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
            }
            Self::BodyTooLarge { limit_bytes } => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                format!("the request body may have {limit_bytes} bytes at most"),
            ),
            Self::ProviderGrantMissing(provider) => Problem::new(
                StatusCode::FORBIDDEN,
                "provider_grant_missing",
                format!(
                    "this needs your token at {provider}, and your account has none: open /login/{provider}/link in the browser \
                     that is signed in, which adds {provider} to it"
                ),
            ),
            Self::ReauthorizationRequired(provider) => Problem::new(
                StatusCode::CONFLICT,
                "reauthorization_required",
                format!("{provider} does not renew your token any more; sign in again at /login/{provider}"),
            ),
            Self::ProviderUnavailable(provider) => unavailable(
                "provider_unavailable",
                format!("your token at {provider} has expired, and {provider} gives no other now; try again later"),
            ),
            Self::VaultUnavailable => unavailable("unavailable", "your token cannot be looked up now"),
            Self::CheckUnavailable => unavailable("unavailable", "the credential cannot be checked now"),
            Self::NoInstance => unavailable("no_instance", "the service has no instance now"),
            Self::Unreachable => bad_gateway("the service cannot be reached"),
            Self::Refused => bad_gateway("the service refused the request"),
            Self::HungUp => bad_gateway("the connection to the service was lost before it answered"),
            Self::BadAnswer => bad_gateway("the service's answer is not valid HTTP"),
            Self::ConnectTimeout => gateway_timeout("the service did not take the connection in time"),
            Self::AnswerTimeout => gateway_timeout("the service did not answer in time"),
            Self::Internal => {
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the gateway failed to handle this request")
            }
        }
    }

    /// Whether the connection is not to be used again: where its next request begins is in doubt, or the rest of a large
    /// body would have to be read first.
    fn ends_connection(&self) -> bool {
        matches!(
            self,
            Self::Head(_)
                | Self::Authority
                | Self::Connect
                | Self::BodyTooLarge { .. }
                | Self::BodyBroken
                | Self::BodyTimeout
                | Self::Internal
        )
    }

    /// The answer.
    pub(super) fn answer(&self, request_id: &RequestText) -> Answer {
        if let Self::SignIn(location) = self {
            return elsewhere(location.clone());
        }
        let problem = self.problem().with_request_id(request_id.as_str());
        let status = problem.status();
        let mut answer = Answer::new(status, AnswerBody::whole(problem.to_json().into()));
        let headers = &mut answer.headers;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(problem::CONTENT_TYPE));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = problem.challenge.and_then(|one| HeaderValue::try_from(one.to_header()).ok()) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if status == StatusCode::METHOD_NOT_ALLOWED {
            let of_route = if let Self::MethodNotAllowed { allow } = self { Some(allow.clone()) } else { None };
            headers.insert(ALLOW, of_route.unwrap_or(ALLOWED_METHODS));
        }
        if self.ends_connection() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

/// Another page first. Who asks again later may be signed in by then, so it is not to be remembered.
fn elsewhere(location: HeaderValue) -> Answer {
    let mut answer = Answer::new(StatusCode::SEE_OTHER, AnswerBody::whole(Bytes::new()));
    answer.headers.append(LOCATION, location);
    answer.headers.append(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn bad_request(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, code, detail)
}

fn unavailable(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
}

fn bad_gateway(detail: &'static str) -> Problem {
    Problem::new(StatusCode::BAD_GATEWAY, "bad_gateway", detail)
}

fn gateway_timeout(detail: &'static str) -> Problem {
    Problem::new(StatusCode::GATEWAY_TIMEOUT, "gateway_timeout", detail)
}

#[cfg(test)]
mod tests;
