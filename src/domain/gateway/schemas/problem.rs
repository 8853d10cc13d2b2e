//! The problem document, as the OpenAPI document describes it. Responses contain `crate::problem::Problem`.

use poem_openapi::{Object, types::Example};

/// An error (RFC 9457).
#[derive(Debug, Object)]
#[oai(rename = "Problem", example)]
pub struct ProblemDocument {
    /// Always `about:blank`. `code` identifies the error.
    #[oai(rename = "type")]
    pub kind: String,
    /// Reason phrase of the status.
    pub title: String,
    /// Status code of the response.
    pub status: u16,
    /// Cause of the error and remedy, for people.
    pub detail: String,
    /// Error code, for programs. It is stable.
    pub code: String,
    /// Id of the request in the log and in `X-Request-Id`.
    pub request_id: String,
    /// Errors of the fields. Only with 422.
    pub errors: Option<Vec<FieldErrorDocument>>,
}

impl Example for ProblemDocument {
    fn example() -> Self {
        Self {
            kind: "about:blank".into(),
            title: "Unprocessable Entity".into(),
            status: 422,
            detail: "expires_in: must be 1 second or more".into(),
            code: "validation_failed".into(),
            request_id: "7wneeuJWay3JgZrpXyXHQ3".into(),
            errors: Some(vec![FieldErrorDocument {
                field: "expires_in".into(),
                code: "range".into(),
                message: "must be 1 second or more".into(),
            }]),
        }
    }
}

/// The error of one field.
#[derive(Debug, Object)]
#[oai(rename = "FieldError")]
pub struct FieldErrorDocument {
    /// Name of the field.
    pub field: String,
    /// Kind of the error, for programs.
    pub code: String,
    /// Requirement that the field violates, for people.
    pub message: String,
}
