//! The problem document, as the OpenAPI document describes it. What is sent is `crate::problem::Problem`.

use poem_openapi::Object;

/// What went wrong (RFC 9457).
#[derive(Debug, Object)]
#[oai(rename = "Problem")]
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
