//! Requests and responses: their types, validation and examples in the OpenAPI document, and their conversion from and to
//! models. serde parses JSON and names the invalid field, then validator checks the values.

pub mod account;
pub mod client;
pub mod cookie;
pub mod health;
pub mod login;
pub mod notice;
pub mod oauth;
pub mod problem;
pub mod registration;
pub mod reload;
pub mod service;
pub mod session;
pub mod signing_key;
pub mod status;
pub mod token;
pub mod welcome;

use std::fmt;

use chrono::{DateTime, FixedOffset, SubsecRound, Utc};
use chrono_tz::Tz;
use serde::{
    Deserializer,
    de::{self, DeserializeOwned, Unexpected, Visitor},
};
use validator::{Validate, ValidationErrors, ValidationErrorsKind};

use crate::problem::{FieldError, Problem};

/// Validates a parsed request.
pub fn validated<T: Validate>(request: T) -> Result<T, Problem> {
    match request.validate() {
        Ok(()) => Ok(request),
        Err(errors) => Err(Problem::invalid_fields(field_errors(&errors))),
    }
}

/// Checks a request that was read, and converts it into what a service takes.
pub fn converted<W: Validate, M: TryFrom<W, Error = FieldError>>(request: W) -> Result<M, Problem> {
    M::try_from(validated(request)?).map_err(|error| Problem::invalid_fields(vec![error]))
}

fn field_errors(errors: &ValidationErrors) -> Vec<FieldError> {
    let mut found: Vec<FieldError> = errors
        .errors()
        .iter()
        .flat_map(|(field, kind)| match kind {
            // An empty text breaks several rules of a field; the first is enough.
            ValidationErrorsKind::Field(errors) => errors
                .iter()
                .take(1)
                .map(|error| FieldError {
                    field: field.to_string(),
                    code: error.code.to_string(),
                    message: error.message.as_deref().unwrap_or("must be valid").to_owned(),
                })
                .collect(),
            ValidationErrorsKind::Struct(nested) => field_errors(nested),
            ValidationErrorsKind::List(nested) => nested.values().flat_map(|nested| field_errors(nested)).collect(),
        })
        .collect();
    found.sort_by(|a, b| a.field.cmp(&b.field));
    found
}

/// Parses JSON. The problem names the field and its expected type. It never quotes the value, which may be a secret in the
/// wrong field.
pub fn parse_json<T: DeserializeOwned>(json: &[u8]) -> Result<T, Problem> {
    if json.is_empty() {
        return Err(malformed("the body must be a JSON object, and is empty".to_owned()));
    }
    // serde accepts `["a"]` for `{"token": "a"}`. The contract does not.
    if json.trim_ascii_start().starts_with(b"[") {
        return Err(malformed(format!("the body must be {OBJECT}")));
    }
    let mut reader = serde_json::Deserializer::from_slice(json);
    let parsed = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let field = error.path().to_string();
        malformed(explain(&field, error.inner()))
    })?;
    reader.end().map_err(|_| malformed("the body must end after the JSON object".to_owned()))?;
    Ok(parsed)
}

fn malformed(detail: String) -> Problem {
    Problem::new(http::StatusCode::BAD_REQUEST, "malformed_request", detail)
}

fn explain(field: &str, error: &serde_json::Error) -> String {
    let text = error.to_string();
    match error.classify() {
        serde_json::error::Category::Data => {
            let place = if field == "." { "the body ".to_owned() } else { format!("{field}: ") };
            // serde's texts are `unknown field …, expected …`, `missing field …` and `invalid type: <the value>, expected …`.
            let (what, wanted) = text.split_once(", expected ").unwrap_or((text.as_str(), ""));
            let wanted = in_words_of_json(wanted.split(" at line ").next().unwrap_or_default());
            if what.starts_with("unknown field") {
                format!("unknown field; must be {wanted}")
            } else if let Some(missing) = what.strip_prefix("missing field ") {
                format!("{} is required", missing.split(" at line ").next().unwrap_or_default())
            } else if what.starts_with("duplicate field") {
                what.split(" at line ").next().unwrap_or_default().to_owned()
            } else if wanted.is_empty() {
                format!("{place}must be valid")
            } else {
                format!("{place}must be {wanted}")
            }
        }
        serde_json::error::Category::Io | serde_json::error::Category::Syntax | serde_json::error::Category::Eof => {
            format!("the body must be valid JSON: error at line {}, column {}", error.line(), error.column())
        }
    }
}

const OBJECT: &str = "a JSON object";

/// The expected type in serde's text, without the names of Rust types.
fn in_words_of_json(wanted: &str) -> &str {
    match wanted {
        "a map" => OBJECT,
        "a sequence" => "a JSON array",
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number",
        "f32" | "f64" => "a number",
        _ if wanted.starts_with("struct ") => OBJECT,
        _ => wanted,
    }
}

/// Reads a whole number, or none. To JSON Schema `30.0` is one as well.
fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    deserializer.deserialize_option(WholeNumber)
}

struct WholeNumber;

impl<'de> Visitor<'de> for WholeNumber {
    type Value = Option<i64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("i64")
    }

    fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        i64::try_from(number).map(Some).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
        // Up to here a double is exact.
        const MOST: f64 = 9_007_199_254_740_992.0;
        if number.fract() != 0.0 || number.abs() > MOST {
            return Err(E::invalid_type(Unexpected::Float(number), &self));
        }
        #[expect(clippy::cast_possible_truncation, reason = "it is whole, and small enough")]
        Ok(Some(number as i64))
    }
}

/// A time as responses contain it: to the second, with the offset of `timezone`.
pub fn local(time: DateTime<Utc>, timezone: Tz) -> DateTime<FixedOffset> {
    time.trunc_subsecs(0).with_timezone(&timezone).fixed_offset()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Form {
        name: String,
        #[serde(default, deserialize_with = "whole_number")]
        age: Option<i64>,
    }

    fn detail(json: &str) -> String {
        parse_json::<Form>(json.as_bytes()).unwrap_err().detail.into_owned()
    }

    #[test]
    fn good_json_is_read() {
        for (age, read) in [("null", None), ("30", Some(30)), ("30.0", Some(30)), ("-3e1", Some(-30))] {
            let json = format!(r#"{{"name": "a", "age": {age}}}"#);
            assert_eq!(parse_json::<Form>(json.as_bytes()).unwrap(), Form { name: "a".into(), age: read }, "{age}");
        }
        assert_eq!(parse_json::<Form>(br#"{"name": "a"}"#).unwrap(), Form { name: "a".into(), age: None });
    }

    #[test]
    fn each_mistake_is_named_without_quoting_what_was_sent() {
        assert_eq!(detail(""), "the body must be a JSON object, and is empty");
        assert_eq!(detail("{"), "the body must be valid JSON: error at line 1, column 1");
        assert_eq!(detail("{}"), "`name` is required");
        assert_eq!(detail(r#"{"name": 5}"#), "name: must be a string");
        assert_eq!(detail(r#"{"name": "a", "age": "s3cret, expected"}"#), "age: must be a whole number");
        for age in ["1.5", "1e300", "9223372036854775808", "[1]"] {
            let json = format!(r#"{{"name": "a", "age": {age}}}"#);
            assert_eq!(detail(&json), "age: must be a whole number", "{age}");
        }
        assert_eq!(detail(r#"{"name": "a", "s3cret": 1}"#), "unknown field; must be `name` or `age`");
        assert_eq!(detail(r#"{"name": "a", "name": "b"}"#), "duplicate field `name`");
        assert_eq!(detail(r#"{"name": "a"} x"#), "the body must end after the JSON object");
    }

    #[test]
    fn only_an_object_is_taken() {
        for json in ["[]", "[1]", r#" ["a"]"#, r#"["a", 1]"#, "\"s3cret\"", "5", "null", "true"] {
            assert_eq!(detail(json), "the body must be a JSON object", "{json}");
        }
    }
}
