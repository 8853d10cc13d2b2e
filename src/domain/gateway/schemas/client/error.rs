//! Errors of the OAuth endpoints, as RFC 6749 §5.2 has them and not as problem documents: clients of other people read them.

use std::{borrow::Cow, time::Duration};

use http::StatusCode;
use poem_openapi::Object;

/// Why a request of a client was refused (RFC 6749 §5.2).
#[derive(Debug, Object)]
pub struct OAuthErrorDocument {
    /// `invalid_request`, `invalid_client`, `invalid_grant`, `unsupported_grant_type`, `invalid_scope`, `invalid_target`
    /// (RFC 8707); if the gateway itself fails, `server_error` or `temporarily_unavailable`.
    pub error: String,
    /// What was wrong, for people.
    pub error_description: String,
}

/// An error on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthError {
    /// The answer's status.
    pub status: StatusCode,
    /// A registered code.
    pub code: &'static str,
    /// For people: printable ASCII but `"` and `\` (RFC 6749 §5.2). Never quotes what was sent.
    pub description: Cow<'static, str>,
    /// Goes into `Retry-After`.
    pub retry_after: Option<Duration>,
}

impl OAuthError {
    fn new(status: StatusCode, code: &'static str, description: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, description: description.into(), retry_after: None }
    }

    /// A parameter is missing, sent twice, or contradicts another.
    pub fn invalid_request(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", description)
    }

    /// The request cannot be read at all, which has a status of its own.
    pub fn unreadable(status: StatusCode, description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(status, "invalid_request", description)
    }

    /// The client is not who it says, or does not say.
    pub fn invalid_client(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_client", description)
    }

    /// The refresh token is not good, or another client's.
    pub fn invalid_grant(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_grant", description)
    }

    /// A grant that is not offered here: `password` and `implicit` among them (RFC 9700 §2.1.2, §2.4).
    pub fn unsupported_grant_type() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            "grant_type is client_credentials or refresh_token here",
        )
    }

    /// The scope cannot be read, or goes beyond what the client may have.
    pub fn invalid_scope(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_scope", description)
    }

    /// Another audience than the client's (RFC 8707 §2).
    pub fn invalid_target(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_target", description)
    }

    /// Something of ours cannot be reached for now. The code is of RFC 6749 §4.1.2.1, the status of RFC 7009 §2.2.1.
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

    /// A mistake of ours.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "server_error",
            "the gateway failed to answer this; the request id leads to the reason in its log",
        )
    }

    /// As it goes out.
    pub fn document(&self) -> OAuthErrorDocument {
        OAuthErrorDocument { error: self.code.to_owned(), error_description: self.description.clone().into_owned() }
    }
}
