//! The responses to failures: a problem document (RFC 9457), or a redirect.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE},
};

use super::{
    response_body::{Response, ResponseBody},
    traffic::fixed_answer::{maintenance, maintenance_page},
};
use crate::{
    domain::gateway::models::{
        access::{Accepted, Denied},
        service::TrafficPolicy,
    },
    edge::{
        error::Failure,
        http::{message::FramedResponse, path::BadPath},
        http1::request_head::BadHead,
        observe::request_id::RequestText,
    },
    problem::{self, Challenge, Problem, whole_seconds},
};

/// The allowed methods; `TRACE` and `CONNECT` are not among them.
pub(crate) const ALLOWED_METHODS: HeaderValue =
    HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

/// What callers of a strict route get while no revocations arrive.
const NO_NEWS: &str =
    "the gateway has no news of revoked tokens now, and this route does not accept tokens without; try again";

impl Failure {
    /// The reason, in words.
    pub(crate) fn why(&self) -> String {
        self.problem().detail.into_owned()
    }

    /// The code of the problem document, unless the response is a redirect.
    pub(crate) fn code(&self) -> Option<&'static str> {
        if let Self::SignIn(_) = self { None } else { Some(self.problem().code) }
    }

    /// The problem document for the caller.
    fn problem(&self) -> Problem {
        match self {
            Self::Token(rejection) => Problem::invalid_token(*rejection),
            Self::Denied(denied) => Problem::denied(denied.clone()),
            Self::CrossSite => Problem::cross_site(),
            Self::Credential => Problem {
                challenge: Some(Challenge::InvalidRequest),
                ..bad_request("invalid_request", "the Authorization header must be sent once and contain a token")
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
            Self::Path(bad) => bad_request("bad_path", with_remedy(*bad)),
            Self::Authority => bad_request("bad_request", "the Host header is malformed"),
            Self::MaxForwards => bad_request("bad_request", "Max-Forwards is not a number"),
            Self::BodyBroken => bad_request("bad_request", "the request body is malformed"),
            Self::BodyTimeout => Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "request_timeout",
                "the rest of the request body did not arrive in time; send the request again without pausing",
            ),
            Self::AddressDenied => address_denied(),
            Self::RateLimited { retry_after } => rate_limited(*retry_after),
            Self::Maintenance { rule, .. } => closed(rule),
            Self::ClientOverloaded => {
                unavailable("overloaded", "too many of your requests are in flight; wait until some have ended")
            }
            Self::RouteOverloaded => {
                unavailable("overloaded", "this route has reached its limit of requests in flight; try again")
            }
            Self::ServiceOverloaded => unavailable(
                "overloaded",
                "the service has reached its limit of requests in flight or waiting; try again",
            ),
            Self::CircuitOpen { wait } => circuit_open(*wait),
            Self::ConnectionsExhausted => {
                unavailable("overloaded", "the gateway has reached its limit of connections to services; try again")
            }
            Self::Trace => Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "TRACE is not allowed"),
            Self::Connect => Problem::new(StatusCode::NOT_IMPLEMENTED, "not_implemented", "CONNECT is not supported"),
            Self::NoRoute => Problem::new(
                StatusCode::NOT_FOUND,
                "no_route",
                "no route matches this path; check its spelling, including upper and lower case",
            ),
            Self::MethodNotAllowed { allow } => {
                let methods = allow.to_str().unwrap_or_default();
                let detail = format!("this path allows only the methods {methods}");
                Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
            }
            Self::BodyTooLarge { limit_bytes } => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                format!("the body must be at most {}", size(*limit_bytes)),
            ),
            Self::ProviderGrantMissing(provider) => Problem::new(
                StatusCode::FORBIDDEN,
                "provider_grant_missing",
                format!(
                    "this route requires your token at {provider}, and your account has none; open /login/{provider}/link in the \
                     browser that is signed in to add {provider}"
                ),
            ),
            Self::ReauthorizationRequired(provider) => Problem::new(
                StatusCode::CONFLICT,
                "reauthorization_required",
                format!("{provider} no longer renews your token; sign in again at /login/{provider}"),
            ),
            Self::ProviderUnavailable(provider) => unavailable(
                "provider_unavailable",
                format!(
                    "your token at {provider} has expired, and {provider} does not issue another now; try again later"
                ),
            ),
            Self::VaultUnavailable => unavailable("unavailable", "your token cannot be looked up now"),
            Self::CheckUnavailable => unavailable("unavailable", "the credential cannot be checked now"),
            Self::RevocationsUnheard => unavailable("revocations_unknown", NO_NEWS),
            Self::NoInstance => unavailable("no_instance", "the service has no instance now"),
            Self::Unreachable => bad_gateway("the service cannot be reached"),
            Self::Refused => bad_gateway("the service refused the request"),
            Self::HungUp => bad_gateway("the connection to the service was lost before it responded"),
            Self::BadResponse => bad_gateway("the service's response is not valid HTTP"),
            Self::Loop => Problem::new(
                StatusCode::LOOP_DETECTED,
                "loop_detected",
                "the request came back to the gateway: an instance of the service is the gateway itself, or leads to it",
            ),
            Self::ConnectTimeout => gateway_timeout("the service did not accept the connection in time"),
            Self::ResponseTimeout => gateway_timeout("the service did not respond in time"),
            Self::Internal => {
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the gateway failed to handle this request")
            }
        }
    }

    /// Whether the connection must not be reused: the start of its next request is uncertain, or the rest of a large
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

    /// The response.
    pub(crate) fn respond(&self, request_id: &RequestText) -> Response {
        if let Self::SignIn(location) = self {
            return elsewhere(location.clone());
        }
        let problem = self.problem().with_request_id(request_id.as_str());
        let status = problem.status();
        let mut response = match self {
            Self::Maintenance { rule, page: true } => {
                maintenance_page(maintenance(rule).and_then(|rule| rule.message.as_deref()))
            }
            _ => FramedResponse::new(status, ResponseBody::whole(problem.to_json().into())),
        };
        let headers = &mut response.headers;
        if !headers.contains(&CONTENT_TYPE) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(problem::CONTENT_TYPE));
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = problem.challenge.and_then(|one| HeaderValue::try_from(one.to_header()).ok()) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        let soon = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(Duration::from_secs(1));
        if let Some(time) = problem.retry_after.or(soon) {
            headers.insert(RETRY_AFTER, whole_seconds(time).to_string());
        }
        if status == StatusCode::METHOD_NOT_ALLOWED {
            let of_route = if let Self::MethodNotAllowed { allow } = self { Some(allow.clone()) } else { None };
            headers.insert(ALLOW, of_route.unwrap_or(ALLOWED_METHODS));
        }
        if self.ends_connection() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// The reason why a path is refused, and what to do about it. Encoded, most of these characters are refused, too.
fn with_remedy(bad: BadPath) -> String {
    let remedy = match bad {
        BadPath::NotAPath => "; it must begin with /",
        BadPath::EmptySegment => "; remove the second / of //, or let the route allow it",
        BadPath::DotSegment => "; remove it, encoded or not",
        BadPath::HiddenSlash | BadPath::PathParameter => "; remove it, or let the route allow it",
        BadPath::ControlCharacter => "; remove it",
        BadPath::InvalidEscape => "; write % as %25, and encode other characters as UTF-8",
        // The reason says it.
        BadPath::ForbiddenCharacter => "",
    };
    format!("{bad}{remedy}")
}

/// A size in the largest unit in which it is a whole number.
fn size(bytes: u64) -> String {
    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;
    if bytes >= MIB && bytes.is_multiple_of(MIB) {
        format!("{} MiB", bytes / MIB)
    } else if bytes >= KIB && bytes.is_multiple_of(KIB) {
        format!("{} KiB", bytes / KIB)
    } else {
        format!("{bytes} bytes")
    }
}

/// A redirect. Must not be cached, as the caller may be signed in by the next request.
fn elsewhere(location: HeaderValue) -> Response {
    let mut response = FramedResponse::new(StatusCode::SEE_OTHER, ResponseBody::whole(Bytes::new()));
    response.headers.append(LOCATION, location);
    response.headers.append(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn address_denied() -> Problem {
    let detail = "requests from your network address are not accepted here";
    Problem::new(StatusCode::FORBIDDEN, "address_denied", detail)
}

fn rate_limited(seconds: u64) -> Problem {
    let detail = format!("too many requests; send the next one in {seconds} s or later");
    Problem {
        retry_after: Some(Duration::from_secs(seconds)),
        ..Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail)
    }
}

fn circuit_open(wait: Duration) -> Problem {
    let detail = "too many requests to the service have failed, so it gets none for a moment; try again";
    Problem { retry_after: Some(wait), ..unavailable("circuit_open", detail) }
}

fn closed(policy: &TrafficPolicy) -> Problem {
    let maintenance = maintenance(policy);
    let message = maintenance.and_then(|rule| rule.message.as_deref()).map(|text| text.to_owned().into());
    let usual = Cow::Borrowed("this route is closed for maintenance; try again later");
    Problem {
        retry_after: maintenance.map(|rule| rule.retry_after),
        ..unavailable("maintenance", message.unwrap_or(usual))
    }
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
