//! Dummy tokens (development only): any text, registered as a token, so that a beginner sees that the text typed into
//! Swagger arrived. They are the one exception to "a token is never printed".

use chrono::{DateTime, Utc};
use thiserror::Error;

use super::RefreshToken;
use crate::domain::gateway::models::values::{
    digest::Sha256Digest,
    id::{FamilyId, TokenId},
    identity::Identity,
    scope::Scope,
};

/// The longest text, in bytes: it must fit into an `Authorization` header beside the other headers (the head is limited
/// to 16 KiB).
pub const MAX_DUMMY_TEXT_BYTES: usize = 4096;

/// The text cannot be a dummy token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidDummyText {
    /// Empty, or only blanks.
    #[error("must contain at least one character that is not a blank")]
    Blank,
    /// Longer than a header may be.
    #[error("must be at most {MAX_DUMMY_TEXT_BYTES} bytes")]
    TooLong,
    /// It could not be sent in an `Authorization` header.
    #[error(
        "must not contain control characters or begin or end with a blank, because a token is sent in an HTTP header"
    )]
    Unsendable,
    /// It would be two things at once: printed although it may be a real secret, and not revocable.
    #[error("must not have the form of a refresh token, which is a secret")]
    RefreshToken,
}

/// A text that was typed to serve as a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DummyText(String);

impl DummyText {
    /// Accepts any text that an `Authorization` header can carry, except refresh tokens.
    pub fn parse(text: &str) -> Result<Self, InvalidDummyText> {
        if text.trim().is_empty() {
            Err(InvalidDummyText::Blank)
        } else if text.len() > MAX_DUMMY_TEXT_BYTES {
            Err(InvalidDummyText::TooLong)
        } else if text.chars().any(char::is_control) || text.trim() != text {
            Err(InvalidDummyText::Unsendable)
        } else if RefreshToken::parse(text).is_ok() {
            Err(InvalidDummyText::RefreshToken)
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digest that it is found by.
    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::of(self.0.as_bytes())
    }
}

/// A registered dummy token. The same text registered again is a new token under the same digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DummyToken {
    /// The id of this registration.
    pub id: TokenId,
    /// The digest that it is found by.
    pub digest: Sha256Digest,
    /// The family of the refresh token that was issued with it.
    pub family: FamilyId,
    /// The test identity.
    pub subject: String,
    /// The scope of the test identity.
    pub scope: Scope,
    /// When it was registered.
    pub created_at: DateTime<Utc>,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
}

impl DummyToken {
    /// The caller that it stands for.
    pub fn identity(&self) -> Identity {
        Identity {
            subject: self.subject.clone(),
            scope: self.scope.clone(),
            token_id: self.id,
            family: self.family,
            expires_at: self.expires_at,
            claims: serde_json::Map::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_that_a_header_can_carry_is_accepted_unchanged() {
        for text in [
            "a",
            "hello world",
            "gwr_hello",
            "안녕하세요 토큰",
            "eyJhbGciOiJub25lIn0.e30.",
            &"x".repeat(MAX_DUMMY_TEXT_BYTES),
        ] {
            assert_eq!(DummyText::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn texts_that_a_header_cannot_carry_are_refused_with_the_reason() {
        for (text, why) in [
            ("", InvalidDummyText::Blank),
            (" \t\n", InvalidDummyText::Blank),
            (" a", InvalidDummyText::Unsendable),
            ("a\nb", InvalidDummyText::Unsendable),
            ("a\u{1b}[31mb", InvalidDummyText::Unsendable),
            (&"x".repeat(MAX_DUMMY_TEXT_BYTES + 1), InvalidDummyText::TooLong),
            (RefreshToken::from_random([1; 32]).expose(), InvalidDummyText::RefreshToken),
        ] {
            assert_eq!(DummyText::parse(text), Err(why), "{text:?}");
        }
    }
}
