//! Parameters and OAuth errors, for all endpoints.

use poem::{
    Body, IntoResponse, Response,
    http::{HeaderMap, StatusCode, header},
    web::Json,
};
use serde_json::json;
use url::form_urlencoded;

/// The fields that the page adds to a request.
pub(super) const PERSON: &str = "person";
pub(super) const CANCEL: &str = "cancel";

/// The maximum length of a form.
const MAX_FORM_BYTES: usize = 64 * 1024;

/// The parameters of a query or a form. None may repeat, and an empty one counts as missing (RFC 6749 §3.1, §3.2).
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(super) fn parse(encoded: &[u8]) -> Result<Self, Refusal> {
        let mut parameters: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(encoded).filter(|(_, value)| !value.is_empty()) {
            if parameters.iter().any(|(known, _)| *known == name) {
                return Err(Refusal::invalid_request("a parameter is there more than once"));
            }
            parameters.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(parameters))
    }

    pub(super) async fn of_form(headers: &HeaderMap, body: Body) -> Result<Self, Refusal> {
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(Refusal::invalid_request("the body must be application/x-www-form-urlencoded"));
        }
        match body.into_bytes_limit(MAX_FORM_BYTES).await {
            Ok(body) => Self::parse(&body),
            Err(_) => Err(Refusal::invalid_request("the body cannot be read, or is too long")),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    pub(super) fn require(&self, name: &'static str) -> Result<&str, Refusal> {
        self.get(name).ok_or_else(|| Refusal::invalid_request(format!("{name} is missing")))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// The words of a scope.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Scope(Vec<String>);

impl Scope {
    /// Accepts any syntactically valid word (RFC 6749 §3.3).
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        if !text.bytes().all(|byte| matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~')) {
            return Err(Refusal::new(ErrorCode::InvalidScope, "the scope is not words separated by blanks"));
        }
        let mut words: Vec<String> = Vec::new();
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            if !words.iter().any(|known| known == word) {
                words.push(word.to_owned());
            }
        }
        Ok(Self(words))
    }

    pub(super) fn has(&self, word: &str) -> bool {
        self.0.iter().any(|known| known == word)
    }

    pub(super) fn is_within(&self, whole: &Self) -> bool {
        self.0.iter().all(|word| whole.has(word))
    }

    pub(super) fn text(&self) -> String {
        self.0.join(" ")
    }
}

/// The error codes in use, all of them registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorCode {
    AccessDenied,
    InsufficientScope,
    InvalidClient,
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    InvalidToken,
    LoginRequired,
    RequestNotSupported,
    RequestUriNotSupported,
    ServerError,
    UnsupportedGrantType,
    UnsupportedResponseType,
}

impl ErrorCode {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::AccessDenied => "access_denied",
            Self::InsufficientScope => "insufficient_scope",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidToken => "invalid_token",
            Self::LoginRequired => "login_required",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::ServerError => "server_error",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::InvalidClient | Self::InvalidToken => StatusCode::UNAUTHORIZED,
            Self::InsufficientScope => StatusCode::FORBIDDEN,
            Self::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// An error (RFC 6749 §5.2). It never quotes the request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: ErrorCode,
    pub(super) description: String,
}

impl Refusal {
    pub(super) fn new(code: ErrorCode, description: impl Into<String>) -> Self {
        Self { code, description: description.into() }
    }

    pub(super) fn invalid_request(description: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidRequest, description)
    }

    pub(super) fn invalid_grant(description: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidGrant, description)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let code = self.code.as_str();
        let response =
            Json(json!({"error": code, "error_description": self.description})).with_status(self.code.status());
        match self.code {
            ErrorCode::InvalidClient => {
                response.with_header(header::WWW_AUTHENTICATE, r#"Basic realm="stand-in""#).into_response()
            }
            ErrorCode::InvalidToken | ErrorCode::InsufficientScope => {
                response.with_header(header::WWW_AUTHENTICATE, format!(r#"Bearer error="{code}""#)).into_response()
            }
            _ => response.into_response(),
        }
    }
}

/// Converts every error of the framework: an unknown path or method.
pub(super) async fn framework_error(error: poem::Error) -> Response {
    let mut response = Refusal::invalid_request("there is nothing here, or not with this method").into_response();
    response.set_status(error.status());
    response
}
