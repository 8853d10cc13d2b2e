//! Requests and responses about tokens.

use std::{borrow::Cow, collections::HashMap};

use chrono::{DateTime, FixedOffset, TimeDelta};
use chrono_tz::Tz;
use poem_openapi::{Object, types::Example};
use serde::Deserialize;
use serde_json::Value;
use validator::{Validate, ValidationError};

use super::local;
use crate::{
    domain::gateway::models::{
        token::{
            AccessClaims, DummyText, InvalidDummyText, IssuedDummy, IssuedTokens, MAX_DUMMY_TEXT_BYTES,
            RESERVED_CLAIMS, TokenRequest, Verification, is_reserved_claim,
        },
        values::scope::{InvalidScope, Scope},
    },
    problem::FieldError,
};

/// The maximum length of a dummy token, in bytes. ASCII text may have as many characters.
pub const MAX_DUMMY_TEXT: usize = MAX_DUMMY_TEXT_BYTES;

/// The names that custom claims must not have.
pub fn reserved_claims() -> &'static [&'static str] {
    &RESERVED_CLAIMS
}

/// The maximum size of `claims` as JSON: a token that contains them must still fit into a request head.
const MAX_CLAIMS_BYTES: usize = 4096;

/// The contents of the new tokens. Every field is optional.
#[derive(Debug, Default, Deserialize, Object, Validate)]
#[serde(deny_unknown_fields)]
#[oai(example, skip_serializing_if_is_none)]
pub struct CreateToken {
    /// Subject of the tokens: the `sub` claim. Default: the caller's subject, or `developer` without a caller.
    #[validate(length(min = 1, max = 255, message = "must be 1 to 255 characters"), custom(function = "is_printable"))]
    #[oai(validator(min_length = 1, max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$"))]
    pub subject: Option<String>,
    /// Scope of the tokens: words separated by a space (RFC 6749 §3.3). Default: none.
    #[validate(length(max = 1024, message = "must be at most 1024 characters"), custom(function = "is_scope"))]
    #[oai(validator(max_length = 1024, pattern = r"^(?:[!#-\[\]-~]+(?: [!#-\[\]-~]+)*)?$"))]
    pub scope: Option<String>,
    /// Audience of the tokens: the `aud` claim. Default: this gateway, which accepts no other audience.
    #[validate(length(min = 1, max = 255, message = "must be 1 to 255 characters"), custom(function = "is_printable"))]
    #[oai(validator(min_length = 1, max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$"))]
    pub audience: Option<String>,
    /// Custom claims. The names that RFC 9068 uses are reserved.
    #[validate(custom(function = "are_own_claims"))]
    pub claims: Option<HashMap<String, Value>>,
    /// Lifetime of the access token, in seconds. The gateway's settings define the default and the maximum.
    #[validate(range(min = 1, message = "must be 1 second or more"))]
    #[oai(validator(minimum(value = "1")))]
    #[serde(default, deserialize_with = "super::whole_number")]
    pub expires_in: Option<i64>,
}

impl Example for CreateToken {
    fn example() -> Self {
        Self {
            subject: Some("alice".into()),
            scope: Some("users:read".into()),
            claims: Some(HashMap::from([("team".into(), "blue".into())])),
            ..Self::default()
        }
    }
}

impl TryFrom<CreateToken> for TokenRequest {
    type Error = FieldError;

    fn try_from(wire: CreateToken) -> Result<Self, FieldError> {
        let scope = wire.scope.unwrap_or_default().parse();
        Ok(Self {
            subject: wire.subject,
            scope: scope.map_err(|invalid: InvalidScope| FieldError::new("scope", "scope", invalid.to_string()))?,
            audience: wire.audience,
            claims: wire.claims.unwrap_or_default().into_iter().collect(),
            access_ttl: wire.expires_in.map(|seconds| TimeDelta::try_seconds(seconds).unwrap_or(TimeDelta::MAX)),
        })
    }
}

/// A token to verify.
#[derive(Debug, Deserialize, Object, Validate)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct VerifyToken {
    /// Access token, refresh token or dummy token.
    #[validate(length(min = 1, message = "must not be empty"))]
    #[oai(validator(min_length = 1))]
    pub token: String,
}

impl Example for VerifyToken {
    fn example() -> Self {
        Self { token: "paste an access token, a refresh token or a dummy token".into() }
    }
}

/// A refresh token to exchange.
#[derive(Debug, Deserialize, Object, Validate)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct RefreshTokens {
    /// Refresh token that was issued with the last access token.
    #[validate(length(min = 1, message = "must not be empty"))]
    #[oai(validator(min_length = 1))]
    pub refresh_token: String,
}

impl Example for RefreshTokens {
    fn example() -> Self {
        Self { refresh_token: "gwr_paste_the_refresh_token".into() }
    }
}

/// A token to revoke.
#[derive(Debug, Deserialize, Object, Validate)]
#[serde(deny_unknown_fields)]
#[oai(example, skip_serializing_if_is_none)]
pub struct RevokeToken {
    /// Access token, refresh token or dummy token.
    #[validate(length(min = 1, message = "must not be empty"))]
    #[oai(validator(min_length = 1))]
    pub token: String,
    /// Type of the token: `access_token` or `refresh_token` (RFC 7009 §2.1). Optional: the gateway recognises the type
    /// itself.
    pub token_type_hint: Option<String>,
}

impl Example for RevokeToken {
    fn example() -> Self {
        Self { token: "paste an access token or a refresh token".into(), token_type_hint: None }
    }
}

/// A text to register as a token.
#[derive(Debug, Deserialize, Object, Validate)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct CreateDummyToken {
    /// Any text. The gateway prints it on its console and registers it as a token.
    #[validate(custom(function = "is_dummy_text"))]
    #[oai(validator(min_length = 1, max_length = 4096))]
    pub token: String,
}

impl Example for CreateDummyToken {
    fn example() -> Self {
        Self { token: "hello from Swagger".into() }
    }
}

impl TryFrom<CreateDummyToken> for DummyText {
    type Error = FieldError;

    fn try_from(wire: CreateDummyToken) -> Result<Self, FieldError> {
        Self::parse(&wire.token).map_err(|why| FieldError::new("token", dummy_text_code(why), why.to_string()))
    }
}

/// An access token and a refresh token (RFC 6749 §5.1).
#[derive(Debug, Object)]
pub struct TokenPair {
    /// Access token, to send as `Authorization: Bearer …`. It is a JWT (RFC 9068) that any service can verify with
    /// `/.well-known/jwks.json`.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// Lifetime of the access token, in seconds.
    pub expires_in: i64,
    /// Refresh token, to exchange once at `/tokens/refresh` for a new pair.
    pub refresh_token: String,
    /// Lifetime of the refresh token while it is unused, in seconds.
    pub refresh_expires_in: i64,
    /// Scope of the tokens: words separated by a space.
    pub scope: String,
    /// Time when the tokens were created.
    pub created_at: DateTime<FixedOffset>,
}

impl TokenPair {
    /// Writes times with the offset of `timezone`.
    pub fn from_model(tokens: &IssuedTokens, timezone: Tz) -> Self {
        Self {
            access_token: tokens.access_token.expose().to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: tokens.access_ttl.num_seconds(),
            refresh_token: tokens.refresh_token.expose().to_owned(),
            refresh_expires_in: tokens.refresh_ttl.num_seconds(),
            scope: tokens.scope.to_string(),
            created_at: local(tokens.created_at, timezone),
        }
    }
}

/// The result of verifying a token. For an inactive token it contains only the reason.
#[derive(Debug, Default, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct TokenVerification {
    /// Whether the token is valid.
    pub active: bool,
    /// Reason why the token is invalid: `malformed`, `bad_signature`, `unknown_key`, `expired`, `not_yet_valid`,
    /// `wrong_issuer`, `wrong_audience`, `revoked` or `unknown`.
    pub reason: Option<String>,
    /// Type of the token: `access_token`, `refresh_token` or `dummy_token`.
    pub token_type: Option<String>,
    /// Subject of the token.
    pub subject: Option<String>,
    /// Scope of the token: words separated by a space.
    pub scope: Option<String>,
    /// Issuer of the token.
    pub issuer: Option<String>,
    /// Audience of the token.
    pub audience: Option<Vec<String>>,
    /// Time when the token was issued.
    pub issued_at: Option<DateTime<FixedOffset>>,
    /// Time when the token expires.
    pub expires_at: Option<DateTime<FixedOffset>>,
    /// Id of the token: the `jti` claim of an access token.
    pub token_id: Option<String>,
    /// Custom claims of the token.
    pub claims: Option<HashMap<String, Value>>,
}

impl TokenVerification {
    /// `issuer` is the issuer of tokens that do not name one. Writes times with the offset of `timezone`.
    pub fn from_model(verification: Verification, issuer: &str, timezone: Tz) -> Self {
        match verification {
            Verification::Inactive(reason) => Self { reason: Some(reason.code().to_owned()), ..Self::default() },
            Verification::Access(claims) => Self::of_access_token(claims, timezone),
            Verification::Refresh { family, issued_at, expires_at } => Self {
                active: true,
                token_type: Some("refresh_token".into()),
                subject: Some(family.subject),
                scope: Some(family.scope.to_string()),
                issuer: Some(issuer.to_owned()),
                audience: Some(family.audience),
                issued_at: Some(local(issued_at, timezone)),
                expires_at: Some(local(expires_at, timezone)),
                claims: Some(family.claims.into_iter().collect()),
                ..Self::default()
            },
            Verification::Dummy(dummy) => Self {
                active: true,
                token_type: Some("dummy_token".into()),
                subject: Some(dummy.subject),
                scope: Some(dummy.scope.to_string()),
                issuer: Some(issuer.to_owned()),
                issued_at: Some(local(dummy.created_at, timezone)),
                expires_at: Some(local(dummy.expires_at, timezone)),
                token_id: Some(dummy.id.to_string()),
                ..Self::default()
            },
        }
    }

    fn of_access_token(claims: AccessClaims, timezone: Tz) -> Self {
        Self {
            active: true,
            reason: None,
            token_type: Some("access_token".into()),
            subject: Some(claims.subject),
            scope: Some(claims.scope.to_string()),
            issuer: Some(claims.issuer),
            audience: Some(claims.audience),
            issued_at: Some(local(claims.issued_at, timezone)),
            expires_at: Some(local(claims.expires_at, timezone)),
            token_id: Some(claims.token_id.to_string()),
            claims: Some(claims.extra.into_iter().collect()),
        }
    }
}

/// The token was revoked, or there was nothing to revoke.
#[derive(Debug, Object)]
pub struct TokenRevoked {
    /// Result, for people.
    pub message: String,
}

impl Default for TokenRevoked {
    fn default() -> Self {
        Self { message: "If this was a token of this gateway, it is no longer valid.".into() }
    }
}

/// A dummy token: the text is registered as a token.
#[derive(Debug, Object)]
pub struct DummyTokenPair {
    /// Result, for people.
    pub message: String,
    /// The text, unchanged.
    pub access_token: String,
    /// Refresh token, to exchange at `/tokens/refresh` for a real pair with the same test identity.
    pub refresh_token: String,
    /// Always `Bearer`.
    pub token_type: String,
}

impl DummyTokenPair {
    /// Returns `typed` unchanged.
    pub fn from_model(typed: &DummyText, issued: &IssuedDummy) -> Self {
        Self {
            message: format!(
                "Your token arrived: look at the gateway's console. It is valid for {} seconds.",
                (issued.dummy.expires_at - issued.dummy.created_at).num_seconds()
            ),
            access_token: typed.as_str().to_owned(),
            refresh_token: issued.refresh_token.expose().to_owned(),
            token_type: "Bearer".to_owned(),
        }
    }
}

fn mistake(code: &'static str, message: impl Into<Cow<'static, str>>) -> ValidationError {
    ValidationError::new(code).with_message(message.into())
}

fn is_printable(text: &str) -> Result<(), ValidationError> {
    if text.chars().any(char::is_control) {
        return Err(mistake("control_character", "must not contain control characters"));
    }
    Ok(())
}

fn is_scope(text: &str) -> Result<(), ValidationError> {
    text.parse::<Scope>().map(|_| ()).map_err(|invalid| mistake("scope", invalid.to_string()))
}

fn are_own_claims(claims: &HashMap<String, Value>) -> Result<(), ValidationError> {
    if let Some(name) = claims.keys().find(|name| is_reserved_claim(name)) {
        return Err(mistake("reserved_claim", format!("must not contain `{name}`, which the gateway sets itself")));
    }
    let bytes = serde_json::to_vec(claims).map_or(usize::MAX, |json| json.len());
    if bytes > MAX_CLAIMS_BYTES {
        return Err(mistake("length", format!("must be at most {MAX_CLAIMS_BYTES} bytes of JSON")));
    }
    Ok(())
}

fn is_dummy_text(text: &str) -> Result<(), ValidationError> {
    DummyText::parse(text).map(|_| ()).map_err(|why| mistake(dummy_text_code(why), why.to_string()))
}

fn dummy_text_code(why: InvalidDummyText) -> &'static str {
    match why {
        InvalidDummyText::Blank => "blank",
        InvalidDummyText::TooLong => "length",
        InvalidDummyText::Unsendable => "control_character",
        InvalidDummyText::RefreshToken => "refresh_token",
    }
}

#[cfg(test)]
mod tests;
