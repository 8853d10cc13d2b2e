//! Errors of the OAuth endpoints. They have the form of RFC 6749 §5.2 and are not problem documents, because OAuth client
//! libraries read them.

use std::{borrow::Cow, time::Duration};

use http::StatusCode;
use poem_openapi::Object;

/// The error in a client's request (RFC 6749 §5.2).
#[derive(Debug, Object)]
pub struct OAuthErrorDocument {
    /// Error code: `invalid_request`, `invalid_client`, `invalid_grant`, `unsupported_grant_type`, `invalid_scope` or
    /// `invalid_target` (RFC 8707). If the gateway itself fails: `server_error` or `temporarily_unavailable`.
    pub error: String,
    /// Description of the error, for people.
    pub error_description: String,
}

/// An error to respond with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthError {
    /// The status of the response.
    pub status: StatusCode,
    /// A registered code.
    pub code: &'static str,
    /// The description, for people: printable ASCII except `"` and `\` (RFC 6749 §5.2). Never quotes the request.
    pub description: Cow<'static, str>,
    /// The value of `Retry-After`.
    pub retry_after: Option<Duration>,
}

impl OAuthError {
    fn new(status: StatusCode, code: &'static str, description: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, description: description.into(), retry_after: None }
    }

    /// A parameter is missing, repeated, or contradicts another.
    pub fn invalid_request(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", description)
    }

    /// The request cannot be parsed. The cause determines the status.
    pub fn unreadable(status: StatusCode, description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(status, "invalid_request", description)
    }

    /// The client did not authenticate, or its credentials are invalid.
    pub fn invalid_client(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_client", description)
    }

    /// The refresh token is invalid, or was issued to another client.
    pub fn invalid_grant(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_grant", description)
    }

    /// The gateway does not support this grant, for example `password` or `implicit` (RFC 9700 §2.1.2, §2.4).
    pub fn unsupported_grant_type() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            "grant_type must be client_credentials or refresh_token",
        )
    }

    /// The scope is malformed, or exceeds the client's scope.
    pub fn invalid_scope(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_scope", description)
    }

    /// The requested audience is not the client's (RFC 8707 §2).
    pub fn invalid_target(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_target", description)
    }

    /// A dependency of the gateway is unavailable. The code is from RFC 6749 §4.1.2.1, the status from RFC 7009 §2.2.1.
    pub fn unavailable() -> Self {
        Self {
            retry_after: Some(Duration::from_secs(1)),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "temporarily_unavailable",
                "the gateway cannot reach its store at the moment; try again shortly",
            )
        }
    }

    /// A fault of the gateway.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "server_error",
            "the gateway failed; its log gives the reason under the request id",
        )
    }

    /// The document of the response.
    pub fn document(&self) -> OAuthErrorDocument {
        OAuthErrorDocument { error: self.code.to_owned(), error_description: self.description.clone().into_owned() }
    }
}
