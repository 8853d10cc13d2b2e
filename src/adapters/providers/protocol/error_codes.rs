//! Error codes of providers: finds the code in a response, and classifies it. Each provider lists its own codes. An
//! unlisted code is a refusal, and ends no grant.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use reqwest::StatusCode;
use serde_json::Value;
use url::form_urlencoded;

use super::response::text;
use crate::domain::gateway::services::ports::ProviderError;

/// The maximum length of an error code that is passed on.
const LONGEST_CODE: usize = 64;

/// The cause of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::adapters::providers) enum Fault {
    /// The code, the refresh token or the access token is invalid, and stays so.
    Grant,
    /// Our client id, its secret, or the app's settings at the provider.
    Client,
    /// The provider is down, or its rate limit is reached.
    Provider,
    /// Unknown.
    Unknown,
}

/// An error in a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::adapters::providers) struct ErrorResponse {
    /// The provider's own code.
    pub(in crate::adapters::providers) code: String,
    pub(in crate::adapters::providers) fault: Fault,
}

/// Finds the error in a response. Some errors come with status 200, some only as a status.
pub(in crate::adapters::providers) type ErrorReader = fn(StatusCode, &Value) -> Option<ErrorResponse>;

impl ErrorResponse {
    pub(in crate::adapters::providers) fn new(code: impl Into<String>, fault: Fault) -> Self {
        Self { code: code.into(), fault }
    }

    /// The code in a printable form. `secrets` are the secrets in the request.
    pub(in crate::adapters::providers) fn clean(&self, secrets: &[&str]) -> String {
        clean_code(&self.code, secrets)
    }

    /// Converts the error for the services. `secrets` are the secrets in the request.
    pub(in crate::adapters::providers) fn into_provider_error(self, secrets: &[&str]) -> ProviderError {
        let code = self.clean(secrets);
        match self.fault {
            Fault::Grant => ProviderError::InvalidGrant { code },
            Fault::Client => ProviderError::Misconfigured { code },
            Fault::Provider => ProviderError::Unavailable(code),
            Fault::Unknown => ProviderError::Refused { code },
        }
    }
}

/// The codes that a provider documents, by cause.
#[derive(Debug, Clone, Copy)]
pub(in crate::adapters::providers) struct ErrorCodes {
    pub(in crate::adapters::providers) grant: &'static [&'static str],
    pub(in crate::adapters::providers) client: &'static [&'static str],
    pub(in crate::adapters::providers) provider: &'static [&'static str],
}

/// The registered codes (RFC 6749 §4.1.2.1 and §5.2, RFC 8628 §3.5). `unauthorized_client` is not among them: some
/// providers also use it for an invalid code.
const REGISTERED: ErrorCodes = ErrorCodes {
    grant: &["invalid_grant"],
    client: &["invalid_client"],
    provider: &["temporarily_unavailable", "server_error", "slow_down"],
};

impl ErrorCodes {
    /// The cause of a code: as this provider lists it, else as it is registered.
    pub(in crate::adapters::providers) fn fault(&self, code: &str) -> Fault {
        let listed = |codes: &Self| {
            let lists = [(codes.grant, Fault::Grant), (codes.client, Fault::Client), (codes.provider, Fault::Provider)];
            lists.into_iter().find(|(list, _)| list.contains(&code)).map(|(_, fault)| fault)
        };
        listed(self).or_else(|| listed(&REGISTERED)).unwrap_or(Fault::Unknown)
    }

    /// `{"error": "invalid_grant"}` (RFC 6749 §5.2).
    pub(in crate::adapters::providers) fn error(&self, body: &Value) -> Option<ErrorResponse> {
        text(body, "error").map(|code| {
            let fault = self.fault(&code);
            ErrorResponse { code, fault }
        })
    }
}

/// Error descriptions, for providers whose codes are ambiguous. In lower case, without a full stop at the end.
#[derive(Debug, Clone, Copy)]
pub(in crate::adapters::providers) struct Described {
    pub(in crate::adapters::providers) grant: &'static [&'static str],
    pub(in crate::adapters::providers) client: &'static [&'static str],
}

impl Described {
    /// `{"error": "invalid_request", "error_description": "…"}`
    pub(in crate::adapters::providers) fn error(&self, status: StatusCode, body: &Value) -> Option<ErrorResponse> {
        let error = registered_error(status, body)?;
        let description = text(body, "error_description").unwrap_or_default().to_ascii_lowercase();
        let description = description.trim_end_matches('.');
        let fault = if self.grant.contains(&description) {
            Fault::Grant
        } else if self.client.contains(&description) {
            Fault::Client
        } else {
            error.fault
        };
        Some(ErrorResponse { fault, ..error })
    }
}

/// For a provider that has no codes of its own.
pub(in crate::adapters::providers) fn registered_error(_: StatusCode, body: &Value) -> Option<ErrorResponse> {
    REGISTERED.error(body)
}

/// For a document that belongs to no grant: only its status counts.
pub(in crate::adapters::providers) fn no_error(_: StatusCode, _: &Value) -> Option<ErrorResponse> {
    None
}

/// An error code for the log and the caller: of the characters of codes, short, and without our secrets. Some providers
/// write words, so blanks become underscores.
fn clean_code(code: &str, secrets: &[&str]) -> String {
    let is_usual = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-' | ' ');
    let is_good = !code.is_empty() && code.chars().all(is_usual);
    if !is_good || secrets.iter().any(|secret| !secret.is_empty() && echoes(code, secret)) {
        return "unnamed_error".to_owned();
    }
    code.chars().take(LONGEST_CODE).map(|c| if c == ' ' { '_' } else { c }).collect()
}

/// Whether a text contains a secret, in a form in which it may have been sent: verbatim, percent-encoded as in a form
/// or a URL, or in base64 as in a header.
fn echoes(text: &str, secret: &str) -> bool {
    // `&` and `=` have no special meaning here.
    let field = text.replace('&', "%26").replace('=', "%3D");
    let decoded = form_urlencoded::parse(field.as_bytes()).next();
    text.contains(secret)
        || decoded.is_some_and(|(decoded, _)| decoded.contains(secret))
        || [STANDARD_NO_PAD.encode(secret), URL_SAFE_NO_PAD.encode(secret)].iter().any(|encoded| text.contains(encoded))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_code_is_short_plain_and_no_echo() {
        assert_eq!(clean_code("invalid_grant", &["s3cret"]), "invalid_grant");
        assert_eq!(clean_code("bad s3cret", &["s3cret"]), "unnamed_error");
        assert_eq!(clean_code("Wrong client id: KOE-101.x", &[""]), "Wrong_client_id:_KOE-101.x");
        for odd in ["a\nb", "a\"b", "a\\b", "a\u{1b}b", "가", "a%2Fb", "a/b", "a=", "a+b", "<b>"] {
            assert_eq!(clean_code(odd, &[]), "unnamed_error", "{odd}");
        }
        assert_eq!(clean_code(&"x".repeat(100), &[]).len(), 64);
        assert_eq!(clean_code("", &[]), "unnamed_error");
    }

    #[test]
    fn no_form_of_a_secret_is_passed_on() {
        let secret = "s3cret/client ~한";
        for echo in [
            secret.to_owned(),
            "s3cret%2fclient+%7e%ED%95%9C".to_owned(),
            "a=1&b=s3cret%2Fclient%20~%ED%95%9C&c".to_owned(),
            format!("Basic {}", STANDARD_NO_PAD.encode(secret)),
            format!("Basic {}==", URL_SAFE_NO_PAD.encode(secret)),
        ] {
            assert!(echoes(&echo, secret), "{echo}");
            assert_eq!(clean_code(&echo, &["", secret]), "unnamed_error", "{echo}");
        }
        // Base64 may look like a code.
        assert_eq!(clean_code("aWQ6czNjcmV0", &["id:s3cret"]), "unnamed_error");
        assert_eq!(clean_code("aWQ6czNjcmV0", &["another"]), "aWQ6czNjcmV0");
    }

    #[test]
    fn an_unlisted_code_has_an_unknown_cause() {
        for (code, fault) in [
            ("invalid_grant", Fault::Grant),
            ("invalid_client", Fault::Client),
            ("unauthorized_client", Fault::Unknown),
            ("temporarily_unavailable", Fault::Provider),
            ("invalid_request", Fault::Unknown),
            ("invalid_token", Fault::Unknown),
            ("unsupported_grant_type", Fault::Unknown),
            ("Invalid_Grant", Fault::Unknown),
        ] {
            let read = registered_error(StatusCode::OK, &json!({ "error": code }));
            assert_eq!(read, Some(ErrorResponse::new(code, fault)), "{code}");
        }
        for body in [json!({"error": null}), json!({"error": ""}), json!({"error": {}}), json!(null), json!([])] {
            assert_eq!(registered_error(StatusCode::BAD_REQUEST, &body), None, "{body}");
        }
    }

    #[test]
    fn a_provider_may_mean_something_else_by_a_registered_code() {
        let own = ErrorCodes { grant: &["server_error"], client: &[], provider: &["busy"] };
        assert_eq!(own.fault("server_error"), Fault::Grant);
        assert_eq!((own.fault("busy"), own.fault("invalid_grant")), (Fault::Provider, Fault::Grant));
    }
}
