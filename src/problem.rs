//! The error document of every unsuccessful response: `application/problem+json` (RFC 9457). Independent of any
//! framework.

use std::{borrow::Cow, time::Duration};

use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::domain::gateway::models::{
    access::{Accepted, Denied},
    token::Rejection,
    values::scope::Scope,
};

/// Media type of the document.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// The error of one field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// The name of the field.
    pub field: String,
    /// The kind of the error, for programs.
    pub code: String,
    /// The requirement that the field violates, for people.
    pub message: String,
}

impl FieldError {
    /// The error of a field.
    pub fn new(field: &str, code: &str, message: impl Into<String>) -> Self {
        Self { field: field.to_owned(), code: code.to_owned(), message: message.into() }
    }
}

/// An error, for people and for programs. Never contains a secret, an address or another system's text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// `about:blank`: the code is more specific than a URI (RFC 9457 §4.2.1).
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The reason phrase of the status.
    pub title: &'static str,
    /// The status of the response.
    pub status: u16,
    /// The cause and the remedy.
    pub detail: Cow<'static, str>,
    /// The error code, for programs. It is stable.
    pub code: &'static str,
    /// The id of the request in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The errors of the fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The value of `WWW-Authenticate`.
    #[serde(skip)]
    pub challenge: Option<Challenge>,
    /// The value of `Retry-After`.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

impl Problem {
    /// A problem with the standard title of its status.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            code,
            request_id: None,
            errors: Vec::new(),
            // Every 401 carries a challenge (RFC 9110 §11.6.1).
            challenge: (status == StatusCode::UNAUTHORIZED).then_some(Challenge::TokenMissing),
            retry_after: None,
        }
    }

    /// Fields of the request are invalid: 422.
    pub fn invalid_fields(errors: Vec<FieldError>) -> Self {
        let detail = errors.iter().map(|error| format!("{}: {}", error.field, error.message)).collect::<Vec<_>>();
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed", detail.join("; ")) }
    }

    /// One field of the request is invalid: 422.
    pub fn invalid_field(field: &str, code: &str, message: impl Into<String>) -> Self {
        Self::invalid_fields(vec![FieldError::new(field, code, message)])
    }

    /// A bearer token is not accepted: 401.
    pub fn invalid_token(why: Rejection) -> Self {
        Self {
            challenge: Some(Challenge::InvalidToken(why)),
            ..Self::new(StatusCode::UNAUTHORIZED, "invalid_token", format!("{why}; get a new one and try again"))
        }
    }

    /// The caller may not do this: 401 without a credential, 403 with one that is insufficient.
    pub fn denied(denied: Denied) -> Self {
        match denied {
            Denied::CredentialMissing(Accepted::Token) => Self::new(
                StatusCode::UNAUTHORIZED,
                "token_missing",
                "a token is required; send it as `Authorization: Bearer <access token>`",
            ),
            Denied::CredentialMissing(Accepted::TokenOrSession) => Self::new(
                StatusCode::UNAUTHORIZED,
                "token_missing",
                "a token or a browser's session is required; send the token as `Authorization: Bearer <access token>`, or sign in at \
                 /login",
            ),
            Denied::CredentialMissing(Accepted::Session) => Self::new(
                StatusCode::UNAUTHORIZED,
                "session_missing",
                "a browser's session is required; sign in at /login",
            ),
            Denied::ScopeMissing(scope) => Self {
                detail: format!("the token must have the scope {scope}").into(),
                challenge: Some(Challenge::InsufficientScope(scope)),
                ..Self::new(StatusCode::FORBIDDEN, "insufficient_scope", "")
            },
            Denied::AnyScopeMissing(scope) => Self {
                detail: format!("the token must have one of the scopes {scope}").into(),
                challenge: Some(Challenge::InsufficientScope(scope)),
                ..Self::new(StatusCode::FORBIDDEN, "insufficient_scope", "")
            },
            Denied::ClaimMissing(demand) => {
                Self::new(StatusCode::FORBIDDEN, "claim_missing", format!("the caller must have the claim {demand}"))
            }
            Denied::ProviderMissing(provider) => Self::new(
                StatusCode::FORBIDDEN,
                "provider_missing",
                format!("the account must have an identity at {provider}; add one at /login/{provider}/link"),
            ),
        }
    }

    /// A browser sent its session from a page that may not use it: 403.
    pub fn cross_site() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "cross_site_request",
            "a session is accepted only from a page of this site or of ALLOWED_ORIGINS (Sec-Fetch-Site, Origin), or from the server \
             of a front end that sends `X-CSRF: 1`; other programs must send a bearer token, if the operation accepts one",
        )
    }

    /// A page of another site would open a session, but browsers would not store its cookie: 403.
    pub fn cross_site_session() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "cross_site_session",
            "this page is on another site than the gateway, so browsers would not store the session's cookie. Let the front end \
             proxy /e/… to the gateway, so that both have one origin, or use host names of one domain, such as app.jinmini.com \
             and api.jinmini.com",
        )
    }

    /// A dependency of the gateway is unavailable: 503.
    pub fn unavailable() -> Self {
        Self {
            retry_after: Some(Duration::from_secs(1)),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "the gateway cannot reach its store at the moment; try again shortly",
            )
        }
    }

    /// Too many requests at once: 503.
    pub fn overloaded() -> Self {
        Self {
            retry_after: Some(Duration::from_secs(5)),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "too many passwords are being checked at the moment; try again shortly",
            )
        }
    }

    /// A fault of the gateway: 500.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "the gateway failed; its log gives the reason under the request id",
        )
    }

    /// Adds the id of the request.
    #[must_use]
    pub fn with_request_id(mut self, id: impl Into<String>) -> Self {
        self.request_id = Some(id.into());
        self
    }

    /// The status of the response.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The document.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// The reason to send another token: the value of `WWW-Authenticate` (RFC 6750 §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// The token is missing. The challenge names no error then (RFC 6750 §3.1).
    TokenMissing,
    /// The token is malformed.
    InvalidRequest,
    /// The token is invalid.
    InvalidToken(Rejection),
    /// The token does not allow this.
    InsufficientScope(Scope),
}

impl Challenge {
    /// The header's value.
    pub fn to_header(&self) -> String {
        match self {
            Self::TokenMissing => r#"Bearer realm="gateway""#.to_owned(),
            Self::InvalidRequest => r#"Bearer realm="gateway", error="invalid_request""#.to_owned(),
            Self::InvalidToken(why) => {
                format!(r#"Bearer realm="gateway", error="invalid_token", error_description="{why}""#)
            }
            Self::InsufficientScope(scope) => {
                format!(r#"Bearer realm="gateway", error="insufficient_scope", scope="{scope}""#)
            }
        }
    }
}

/// Whole seconds, rounded up: a client that waits for so long is not too early.
pub fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_holds_what_rfc_9457_and_the_contract_name() {
        let mut problem = Problem::new(StatusCode::NOT_FOUND, "not_found", "nothing here");
        problem.request_id = Some("r1".into());
        let json: serde_json::Value = serde_json::from_slice(&problem.to_json()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "type": "about:blank", "title": "Not Found", "status": 404, "detail": "nothing here",
                "code": "not_found", "request_id": "r1",
            })
        );
    }

    #[test]
    fn every_401_carries_a_challenge() {
        let bare = Problem::new(StatusCode::UNAUTHORIZED, "invalid_grant", "");
        assert_eq!(bare.challenge.unwrap().to_header(), r#"Bearer realm="gateway""#);
        for credentials in [Accepted::Token, Accepted::Session, Accepted::TokenOrSession] {
            let missing = Problem::denied(Denied::CredentialMissing(credentials));
            assert_eq!((missing.status, missing.challenge), (401, Some(Challenge::TokenMissing)));
        }
        let revoked = Problem::invalid_token(Rejection::Revoked);
        assert_eq!(
            revoked.challenge.unwrap().to_header(),
            r#"Bearer realm="gateway", error="invalid_token", error_description="the token was revoked""#
        );
    }

    #[test]
    fn a_lack_of_scope_names_the_scope() {
        let problem = Problem::denied(Denied::ScopeMissing("a b".parse().unwrap()));
        assert_eq!((problem.status, problem.code), (403, "insufficient_scope"));
        assert_eq!(
            problem.challenge.unwrap().to_header(),
            r#"Bearer realm="gateway", error="insufficient_scope", scope="a b""#
        );
    }
}
