//! Reads responses leniently: numbers may be text, and text may be numbers.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::domain::gateway::{
    models::{oauth::ProviderTokens, values::secret::Secret},
    services::ports::ProviderError,
};

const LONGEST_NAME: usize = 200;
const LONGEST_SUBJECT: usize = 255;
/// The largest integer below which a double skips none (RFC 8259 §6). Beyond it, a provider or a proxy that reads
/// numbers as doubles could give two people the same one.
const LARGEST_EXACT_NUMBER: u64 = (1 << 53) - 1;
const LONGEST_TOKEN_TYPE: usize = 64;
const LONGEST_SCOPE: usize = 4096;
/// No access token lives longer than ten years: larger values are nonsense.
const LONGEST_LIFE: i64 = 10 * 365 * 24 * 60 * 60;

/// A field that is text, or a number as text. An empty text counts as missing.
pub(in crate::adapters::providers) fn text(body: &Value, field: &str) -> Option<String> {
    match body.get(field)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A field that is true, or the text "true".
pub(in crate::adapters::providers) fn is_true(body: &Value, field: &str) -> bool {
    match body.get(field) {
        Some(Value::Bool(it)) => *it,
        Some(Value::String(text)) => text == "true",
        _ => false,
    }
}

/// A field that is a whole number, also as text or with a fraction.
pub(in crate::adapters::providers) fn number(body: &Value, field: &str) -> Option<i64> {
    match body.get(field)? {
        Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => text.trim().parse().ok().or_else(|| whole(text.trim().parse().ok()?)),
        _ => None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the range was checked, the fraction is dropped on purpose")]
fn whole(number: f64) -> Option<i64> {
    (number.abs() < 9e15).then_some(number as i64)
}

/// The provider's id of the person: text, or a number where the provider counts its people (GitHub, Kakao). Accounts
/// are found by this text, so it must be unique: a number that a reader on the way may have rounded is refused.
pub(in crate::adapters::providers) fn subject(body: &Value, field: &str) -> Result<String, ProviderError> {
    let Some(Value::Number(number)) = body.get(field) else { return text_subject(body, field) };
    let exact = number.as_i64().filter(|number| number.unsigned_abs() <= LARGEST_EXACT_NUMBER);
    let exact = exact
        .ok_or_else(|| ProviderError::BadResponse(format!("it identifies the person by an inexact number ({field})")));
    exact.map(|number| number.to_string())
}

/// An id that must be text: `sub` is a string (OpenID Connect Core §2, §5.3.2).
pub(in crate::adapters::providers) fn text_subject(body: &Value, field: &str) -> Result<String, ProviderError> {
    let flaw = match body.get(field) {
        Some(Value::String(subject)) if is_subject(subject) => return Ok(subject.clone()),
        Some(Value::Number(_)) => "it identifies the person by a number instead of text",
        _ => "it does not identify the person",
    };
    Err(ProviderError::BadResponse(format!("{flaw} ({field})")))
}

fn is_subject(text: &str) -> bool {
    (1..=LONGEST_SUBJECT).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// Text for callers and the store: without control characters (a database refuses one of them, a header all), and
/// truncated to a useful length.
fn plain(text: &str, longest: usize) -> Option<String> {
    let plain: String = text.chars().filter(|c| !c.is_control()).take(longest).collect();
    let plain = plain.trim();
    (!plain.is_empty()).then(|| plain.to_owned())
}

/// A display name.
pub(in crate::adapters::providers) fn name(body: &Value, field: &str) -> Option<String> {
    plain(&text(body, field)?, LONGEST_NAME)
}

/// An e-mail address; the caller must know whether it is proven.
pub(in crate::adapters::providers) fn email(body: &Value, field: &str) -> Option<String> {
    let good = |email: &String| {
        let (local, domain) = email.rsplit_once('@').unwrap_or_default();
        let plain = !email.chars().any(|c| c.is_control() || c.is_whitespace());
        email.len() <= 254 && plain && !local.is_empty() && !domain.is_empty()
    };
    text(body, field).filter(good)
}

/// Reads the response of a token endpoint. `asked_at` is the time of the request: the token's life began no earlier, so
/// the gateway never overestimates it.
pub(in crate::adapters::providers) fn tokens(
    body: &Value,
    asked_at: DateTime<Utc>,
) -> Result<ProviderTokens, ProviderError> {
    let secret = |field: &str| match text(body, field) {
        Some(token) if token.chars().any(char::is_control) => {
            Err(ProviderError::BadResponse(format!("its {field} contains control characters")))
        }
        token => Ok(token.map(Secret::new)),
    };
    let access_token =
        secret("access_token")?.ok_or_else(|| ProviderError::BadResponse("it contains no access token".to_owned()))?;
    let token_type = text(body, "token_type").and_then(|kind| plain(&kind, LONGEST_TOKEN_TYPE));
    let token_type = token_type.filter(|kind| !kind.eq_ignore_ascii_case("bearer"));
    let expires_in = number(body, "expires_in").map(|seconds| seconds.clamp(0, LONGEST_LIFE));
    let scope = match body.get("scope") {
        Some(Value::Array(words)) => Some(words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")),
        _ => text(body, "scope"),
    };
    Ok(ProviderTokens {
        access_token,
        token_type: token_type.unwrap_or_else(|| "Bearer".to_owned()),
        expires_at: expires_in.map(|seconds| asked_at + TimeDelta::seconds(seconds)),
        refresh_token: secret("refresh_token")?,
        scope: scope.and_then(|scope| plain(&scope, LONGEST_SCOPE)),
        id_token: secret("id_token")?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn life(expires_in: &Value) -> Option<i64> {
        let read = tokens(&json!({"access_token": "a", "expires_in": expires_in}), now()).unwrap();
        read.expires_at.map(|at| (at - now()).num_seconds())
    }

    #[test]
    fn a_life_may_be_written_in_many_ways() {
        for (written, seconds) in [
            (json!(3600), Some(3600)),
            (json!("3600"), Some(3600)),
            (json!(" 3600 "), Some(3600)),
            (json!(3600.7), Some(3600)),
            (json!("3600.0"), Some(3600)),
            (json!(-5), Some(0)),
            (json!(i64::MAX), Some(LONGEST_LIFE)),
            (json!(u64::MAX), None),
            (json!("NaN"), None),
            (json!(null), None),
            (json!("soon"), None),
        ] {
            assert_eq!(life(&written), seconds, "{written}");
        }
    }

    #[test]
    fn empty_tokens_are_none() {
        let body =
            json!({"access_token": "a", "refresh_token": "", "scope": "", "id_token": "", "token_type": "bearer"});
        let read = tokens(&body, now()).unwrap();
        assert_eq!((read.refresh_token, read.scope, read.id_token), (None, None, None));
        assert_eq!(read.token_type, "Bearer");
        for body in [json!({}), json!({"access_token": ""}), json!({"access_token": null}), json!([]), json!(null)] {
            assert!(tokens(&body, now()).is_err(), "{body}");
        }
    }

    #[test]
    fn a_scope_may_be_a_list() {
        let body = json!({"access_token": "a", "scope": ["email", "name"]});
        assert_eq!(tokens(&body, now()).unwrap().scope.as_deref(), Some("email name"));
    }

    #[test]
    fn fields_beside_tokens_are_cleaned_and_tokens_must_be_clean() {
        let body = json!({"access_token": "a", "token_type": "M\u{0}AC\n", "scope": "e\u{0}mail\r\n name"});
        let read = tokens(&body, now()).unwrap();
        assert_eq!((read.token_type.as_str(), read.scope.as_deref()), ("MAC", Some("email name")));
        let body = json!({"access_token": "a", "token_type": "x".repeat(1000), "scope": ["y".repeat(9000), "z"]});
        let read = tokens(&body, now()).unwrap();
        assert_eq!((read.token_type.len(), read.scope.unwrap().len()), (64, 4096));
        let nothing = json!({"access_token": "a", "token_type": "\u{0}", "scope": ["\u{0}"]});
        let read = tokens(&nothing, now()).unwrap();
        assert_eq!((read.token_type.as_str(), read.scope), ("Bearer", None));
        for field in ["access_token", "refresh_token", "id_token"] {
            let mut body = json!({"access_token": "a"});
            body[field] = json!("s3cret\u{0}");
            let flaw = format!("its {field} contains control characters");
            assert_eq!(tokens(&body, now()), Err(ProviderError::BadResponse(flaw)));
        }
    }

    #[test]
    fn names_and_addresses_are_plain() {
        let body = json!({"a": " Mi\u{0}na\n", "b": "", "c": "mina@example.com", "d": "mi na@x", "e": "@x", "f": 12});
        assert_eq!(name(&body, "a").as_deref(), Some("Mina"));
        assert_eq!(name(&body, "b"), None);
        assert_eq!(email(&body, "c").as_deref(), Some("mina@example.com"));
        assert_eq!((email(&body, "d"), email(&body, "e"), email(&body, "a")), (None, None, None));
        assert_eq!(subject(&body, "f").unwrap(), "12");
        assert!(subject(&body, "a").is_err() && subject(&body, "b").is_err() && subject(&body, "z").is_err());
    }

    #[test]
    fn no_two_people_have_the_same_subject() {
        for (written, is) in [
            ("0", Some("0")),
            ("583231", Some("583231")),
            ("9007199254740991", Some("9007199254740991")),
            ("9007199254740992", None),
            ("9007199254740993", None),
            ("-9007199254740993", None),
            ("18446744073709551615", None),
            ("12345678901234567890123", None),
            ("12345678901234567890124", None),
            ("1.0", None),
            ("1e3", None),
            (r#""00583231""#, Some("00583231")),
            (r#"" a ""#, Some(" a ")),
            (r#""12345678901234567890124""#, Some("12345678901234567890124")),
            ("true", None),
            (r#"["1"]"#, None),
            ("null", None),
        ] {
            let body: Value = serde_json::from_str(&format!(r#"{{"id": {written}}}"#)).unwrap();
            assert_eq!(subject(&body, "id").ok().as_deref(), is, "{written}");
            let is_text = is.filter(|_| written.starts_with('"'));
            assert_eq!(text_subject(&body, "id").ok().as_deref(), is_text, "{written}");
        }
    }
}
