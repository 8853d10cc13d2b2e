//! The problem document, as the OpenAPI document describes it. What is sent is `crate::problem::Problem`.

use poem_openapi::{Object, types::Example};

/// What went wrong (RFC 9457).
#[derive(Debug, Object)]
#[oai(rename = "Problem", example)]
pub struct ProblemDocument {
    /// `about:blank`; look at `code`.
    #[oai(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The answer's status.
    pub status: u16,
    /// What was wrong and what to do.
    pub detail: String,
    /// Stable and machine-readable.
    pub code: String,
    /// Under which id the request is logged; also in `X-Request-Id`.
    pub request_id: String,
    /// The mistakes, field by field; only with 422.
    pub errors: Option<Vec<FieldErrorDocument>>,
}

impl Example for ProblemDocument {
    fn example() -> Self {
        Self {
            kind: "about:blank".into(),
            title: "Unprocessable Entity".into(),
            status: 422,
            detail: "expires_in: write the number of seconds, 1 or more".into(),
            code: "validation_failed".into(),
            request_id: "7wneeuJWay3JgZrpXyXHQ3".into(),
            errors: Some(vec![FieldErrorDocument {
                field: "expires_in".into(),
                code: "range".into(),
                message: "write the number of seconds, 1 or more".into(),
            }]),
        }
    }
}

/// One mistake in one field.
#[derive(Debug, Object)]
#[oai(rename = "FieldError")]
pub struct FieldErrorDocument {
    /// Which field.
    pub field: String,
    /// What kind of mistake, for programs.
    pub code: String,
    /// What to do, for people.
    pub message: String,
}
