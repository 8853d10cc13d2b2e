//! Problem documents (RFC 9457): the one form in which both halves of the gateway tell a caller what went wrong.
//! Knows no framework; whoever answers turns it into a response.

use std::borrow::Cow;

use http::StatusCode;
use serde::{Deserialize, Serialize};

/// The media type of a problem document.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// What went wrong, for programs (`code`) and for people (`title`, `detail`). It never holds SQL, a token, a file path, an
/// address or another system's raw text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `about:blank`: the status says what kind of problem it is, and `code` says it exactly (RFC 9457 §4.2.1).
    pub r#type: Cow<'static, str>,
    /// The status in words.
    pub title: Cow<'static, str>,
    /// The answer's own status.
    pub status: u16,
    /// What is wrong with this request.
    pub detail: Cow<'static, str>,
    /// The stable, machine-readable name of the problem.
    pub code: Cow<'static, str>,
    /// Under which id the request is logged.
    pub request_id: String,
    /// What is wrong with which field, if the fields were validated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<Vec<FieldProblem>>,
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldProblem {
    /// The field's name, with dots between the names of nested ones.
    pub field: Cow<'static, str>,
    /// The stable, machine-readable name of the rule that it breaks.
    pub code: Cow<'static, str>,
    /// The rule in words.
    pub message: Cow<'static, str>,
}

impl Problem {
    /// A problem without field errors.
    pub fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
        request_id: impl Into<String>,
    ) -> Self {
        Self {
            r#type: Cow::Borrowed("about:blank"),
            title: Cow::Borrowed(status.canonical_reason().unwrap_or("Error")),
            status: status.as_u16(),
            detail: detail.into(),
            code: code.into(),
            request_id: request_id.into(),
            errors: None,
        }
    }

    /// The document as it is sent.
    pub fn to_json(&self) -> Vec<u8> {
        // Strings and numbers alone: there is nothing here that could fail to be written as JSON.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_says_the_status_of_the_answer() {
        let problem = Problem::new(StatusCode::NOT_FOUND, "no_route", "no service answers here", "id1");
        let json: serde_json::Value = serde_json::from_slice(&problem.to_json()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "type": "about:blank", "title": "Not Found", "status": 404, "detail": "no service answers here",
                "code": "no_route", "request_id": "id1",
            })
        );
        assert_eq!(serde_json::from_value::<Problem>(json).unwrap(), problem);
    }

    #[test]
    fn field_errors_are_listed() {
        let field = FieldProblem { field: "email".into(), code: "email".into(), message: "not an address".into() };
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        let problem = Problem { errors: Some(vec![field]), ..Problem::new(status, "invalid", "look at errors", "id1") };
        let json: serde_json::Value = serde_json::from_slice(&problem.to_json()).unwrap();
        assert_eq!(json["errors"][0]["field"], "email");
    }
}
