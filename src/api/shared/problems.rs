//! Error responses: every error becomes a problem document here, and is logged once here.

use std::fmt;

use http::{HeaderValue, Method, StatusCode, header};
use poem::{
    Response,
    error::{MethodNotAllowedError, NotFoundError, ResponseError},
};
use poem_openapi::{
    error::ParseParamError,
    registry::{MetaApi, MetaMediaType, MetaPath, MetaResponse},
    types::Type,
};
use tracing::{debug, error};

use crate::{
    api::RequestContext,
    domain::gateway::schemas::problem::ProblemDocument,
    problem::{self, Problem, whole_seconds},
};

/// A problem as poem's error, for use with `?`.
#[derive(Debug, thiserror::Error)]
pub(in crate::api) struct ProblemError(pub Problem);

impl fmt::Display for ProblemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.0.status, self.0.code, self.0.detail)
    }
}

impl ResponseError for ProblemError {
    fn status(&self) -> StatusCode {
        self.0.status()
    }
}

/// Declares the problems of an operation, for the OpenAPI document.
macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident: $($status:literal),+;)+) => {$(
        $(#[$doc])*
        pub(in crate::api) struct $name($crate::problem::Problem);

        impl From<$crate::problem::Problem> for $name {
            fn from(problem: $crate::problem::Problem) -> Self {
                Self(problem)
            }
        }

        impl From<$name> for poem::Error {
            fn from(problems: $name) -> Self {
                $crate::api::shared::problems::ProblemError(problems.0).into()
            }
        }

        impl poem_openapi::ApiResponse for $name {
            fn meta() -> poem_openapi::registry::MetaResponses {
                poem_openapi::registry::MetaResponses {
                    responses: vec![$($crate::api::shared::problems::described($status)),+],
                }
            }

            fn register(registry: &mut poem_openapi::registry::Registry) {
                <$crate::domain::gateway::schemas::problem::ProblemDocument as poem_openapi::types::Type>::register(registry);
            }
        }
    )+};
}
pub(in crate::api) use problems;

/// The response in the OpenAPI document for a problem with this status.
pub(in crate::api) fn described(status: u16) -> MetaResponse {
    let description = match status {
        400 => "The request is malformed, for example invalid JSON, a wrong type or an unknown field.",
        401 => "The credentials are missing or invalid.",
        403 => "The credentials or the origin of the request do not allow this operation. `code` gives the reason.",
        404 => "The resource does not exist, or belongs to another account.",
        409 => "The current state does not allow this operation. `code` gives the reason.",
        413 => "The body is larger than 256 KiB.",
        415 => "The media type of the body is not supported.",
        422 => "A field is invalid. `errors` lists the fields and the reasons.",
        429 => "Too many attempts. `Retry-After` gives the time to wait, in seconds.",
        502 => "The provider's response is invalid.",
        503 => "The gateway cannot reach its store or a provider at the moment.",
        _ => "The gateway failed. Its log gives the reason.",
    };
    described_as(status, description, vec![document_type()])
}

/// A response in the OpenAPI document.
pub(in crate::api) fn described_as(
    status: u16,
    description: &'static str,
    content: Vec<MetaMediaType>,
) -> MetaResponse {
    MetaResponse { description, status: Some(status), status_range: None, content, headers: vec![] }
}

/// The media type of a problem.
pub(in crate::api) fn document_type() -> MetaMediaType {
    MetaMediaType { content_type: problem::CONTENT_TYPE, schema: ProblemDocument::schema_ref() }
}

/// The methods of each path, for the `Allow` header of a 405 (RFC 9110 §15.5.6).
pub(in crate::api) struct AllowedMethods(Vec<(Vec<String>, String)>);

impl AllowedMethods {
    /// The methods of an API.
    pub(in crate::api) fn of(api: Vec<MetaApi>) -> Self {
        let paths = api.into_iter().flat_map(|part| part.paths);
        Self(
            paths
                .map(|MetaPath { path, operations }| {
                    let mut methods: Vec<String> = operations.iter().map(|one| one.method.to_string()).collect();
                    methods.sort_unstable();
                    if methods.iter().any(|method| method == "GET") {
                        methods.push("HEAD".to_owned());
                    }
                    (segments(&path), methods.join(", "))
                })
                .collect(),
        )
    }

    /// Adds a path for GET.
    pub(in crate::api) fn with(mut self, path: &str) -> Self {
        self.0.push((segments(path), "GET, HEAD".to_owned()));
        self
    }

    pub(in crate::api) fn at(&self, path: &str) -> Option<&str> {
        let path = segments(path);
        let fits = |template: &Vec<String>| {
            template.len() == path.len() && template.iter().zip(&path).all(|(t, p)| t.starts_with('{') || t == p)
        };
        self.0.iter().find(|(template, _)| fits(template)).map(|(_, methods)| methods.as_str())
    }
}

fn segments(path: &str) -> Vec<String> {
    path.split('/').map(str::to_owned).collect()
}

/// The response to a failed request.
pub(in crate::api) fn render(
    error: &poem::Error,
    context: &RequestContext,
    method: &Method,
    path: &str,
    allowed: &AllowedMethods,
) -> Response {
    let mut allow = None;
    let problem = if let Some(ProblemError(problem)) = error.downcast_ref() {
        problem.clone()
    } else if error.is::<NotFoundError>() {
        Problem::new(StatusCode::NOT_FOUND, "not_found", "nothing is served at this path; /docs lists all operations")
    } else if error.is::<MethodNotAllowedError>() {
        allow = allowed.at(path).and_then(|methods| HeaderValue::from_str(methods).ok());
        Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            format!("this path does not allow {method}; the Allow header lists the allowed methods"),
        )
    } else if let Some(ParseParamError { name, reason }) = error.downcast_ref() {
        debug!(%error, "request refused by the framework");
        let wanted = if reason.contains("integer") { "must be a whole number" } else { "is malformed" };
        Problem::new(StatusCode::BAD_REQUEST, "malformed_request", format!("the parameter `{name}` {wanted}"))
    } else if error.status().is_client_error() {
        debug!(%error, "request refused by the framework");
        Problem::new(error.status(), "malformed_request", "the request is malformed")
    } else {
        error!(%error, request_id = context.request_id, "a request failed");
        Problem::internal()
    };
    let mut response = document(problem, context);
    if let Some(allow) = allow {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// A problem as a response.
pub(in crate::api) fn document(mut problem: Problem, context: &RequestContext) -> Response {
    problem.request_id.clone_from(&context.request_id);
    let mut response =
        Response::builder().status(problem.status()).content_type(problem::CONTENT_TYPE).body(problem.to_json());
    let headers = response.headers_mut();
    if let Some(challenge) = problem.challenge.and_then(|one| HeaderValue::try_from(one.to_header()).ok()) {
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    if let Some(after) = problem.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(after)));
    }
    response
}
