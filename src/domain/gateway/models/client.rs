//! Machine clients: programs that get tokens in their own name (RFC 6749 §1.1, §4.4). A client authenticates with a
//! secret or with a key of its own; the contents of its tokens are fixed when it is added.

mod assertion;
mod presented;

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use serde_json::Value;
use subtle::ConstantTimeEq;
use thiserror::Error;

pub use assertion::{AssertionClaims, AssertionFault, LONGEST_ASSERTION, MalformedAssertion};
pub use presented::{ClientPosted, ContradictoryClient, PresentedClient, PresentedClientError};

use super::values::{digest::Sha256Digest, id::ClientId, scope::Scope};

/// Marks our client secrets, so that a secret scanner can find a leaked one.
const PREFIX: &str = "gwc_";

/// The longest name, in characters.
const MAX_NAME_CHARS: usize = 64;

/// The text cannot be a client's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "a client's name must have 1 to {MAX_NAME_CHARS} characters, no control characters, and no space at either end"
)]
pub struct InvalidClientName;

/// The display name of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientName(String);

impl ClientName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClientName {
    type Err = InvalidClientName;

    fn from_str(text: &str) -> Result<Self, InvalidClientName> {
        let is_good = (1..=MAX_NAME_CHARS).contains(&text.chars().count())
            && !text.chars().any(char::is_control)
            && text.trim() == text;
        is_good.then(|| Self(text.to_owned())).ok_or(InvalidClientName)
    }
}

/// The secret of a client in clear: 256 random bits. It has no `Display`, and its `Debug` hides it.
///
/// It is stored as SHA-256, not as a slow hash such as Argon2: a slow hash makes it costly to guess texts that people
/// think up, and 256 random bits cannot be guessed. It would only make every token request slow, and the gateway easy
/// to overload.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientSecret(String);

impl ClientSecret {
    /// Makes a secret of 256 random bits.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// The digest that a store may hold.
    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::of(self.0.as_bytes())
    }

    /// The text, to be shown to the operator who adds the client and used for nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(…)")
    }
}

/// The algorithms that clients' keys may use (RFC 7518 §3.1, RFC 8037). None is symmetric: with such a key, verifying
/// would allow signing as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256, 2048 bits or more.
    Rs256,
    /// Ed25519.
    EdDsa,
}

impl ClientAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 3] = [Self::Es256, Self::Rs256, Self::EdDsa];

    /// Its name in a JOSE header.
    pub fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// All its names. RFC 9864 gave `EdDSA` with Ed25519 a name of its own; libraries write either.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Es256 => &["ES256"],
            Self::Rs256 => &["RS256"],
            Self::EdDsa => &["EdDSA", "Ed25519"],
        }
    }
}

/// A public key of a client, and the one algorithm that it may be used with (RFC 8725 §3.1).
#[derive(Debug, Clone, PartialEq)]
pub struct ClientKey {
    /// Its name, if it has one.
    pub kid: Option<String>,
    /// The algorithm that it signs with.
    pub algorithm: ClientAlgorithm,
    /// The key as a JWK (RFC 7517), public members only.
    pub jwk: Value,
}

/// How a client authenticates.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientCredential {
    /// By a secret; this is its digest.
    Secret(Sha256Digest),
    /// By assertions that it signs with one of these keys: `private_key_jwt`.
    Keys(Vec<ClientKey>),
}

/// A machine client.
#[derive(Debug, Clone, PartialEq)]
pub struct Client {
    /// Its `client_id`.
    pub id: ClientId,
    /// The display name. No two clients have the same name.
    pub name: ClientName,
    /// The largest scope of its tokens.
    pub scope: Scope,
    /// The `aud` of its tokens; `None`: this gateway's own.
    pub audience: Option<String>,
    /// How it authenticates.
    pub credential: ClientCredential,
    /// When it was added.
    pub created_at: DateTime<Utc>,
}

/// The client asks for a larger scope than it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the requested scope exceeds that of the client")]
pub struct ScopeExceeded;

impl Client {
    /// Whether `secret` is the client's. Takes the same time for every input.
    pub fn has_secret(&self, secret: &str) -> bool {
        match &self.credential {
            ClientCredential::Secret(digest) => {
                digest.as_bytes().ct_eq(Sha256Digest::of(secret.as_bytes()).as_bytes()).into()
            }
            ClientCredential::Keys(_) => false,
        }
    }

    /// The scope of a token: the requested one, or the client's whole scope if none was requested (RFC 6749 §3.3).
    pub fn narrowed(&self, asked: Option<Scope>) -> Result<Scope, ScopeExceeded> {
        match asked {
            None => Ok(self.scope.clone()),
            Some(asked) if self.scope.covers(&asked) => Ok(asked),
            Some(_) => Err(ScopeExceeded),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(credential: ClientCredential) -> Client {
        Client {
            id: ClientId::from_random([7; 16]),
            name: "reports".parse().unwrap(),
            scope: "read write".parse().unwrap(),
            audience: None,
            credential,
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_secret_is_256_bits_does_not_print_and_is_recognised_by_its_digest() {
        let secret = ClientSecret::from_random([7; 32]);
        assert_eq!(secret.expose().len(), 4 + 43);
        assert_eq!(format!("{secret:?}"), "ClientSecret(…)");
        let client = client(ClientCredential::Secret(secret.digest()));
        assert!(client.has_secret(secret.expose()));
        for wrong in ["", &secret.expose()[..46], &format!("{}A", secret.expose())] {
            assert!(!client.has_secret(wrong), "{wrong}");
        }
        assert!(!format!("{client:?}").contains(secret.expose()));
    }

    #[test]
    fn a_client_with_keys_has_no_secret() {
        assert!(!client(ClientCredential::Keys(Vec::new())).has_secret(""));
    }

    #[test]
    fn a_tokens_scope_lies_within_the_clients() {
        let client = client(ClientCredential::Keys(Vec::new()));
        let asked = |text: &str| Some(text.parse().unwrap());
        assert_eq!(client.narrowed(None), Ok("read write".parse().unwrap()));
        assert_eq!(client.narrowed(asked("read")), Ok("read".parse().unwrap()));
        assert_eq!(client.narrowed(asked("")), Ok(Scope::default()));
        assert_eq!(client.narrowed(asked("read admin")), Err(ScopeExceeded));
    }

    #[test]
    fn a_name_is_short_and_printable() {
        for good in ["a", "보고서 만들기", &"x".repeat(64)] {
            assert_eq!(good.parse::<ClientName>().unwrap().as_str(), good);
        }
        for bad in ["", " ", " a", "a ", "a\n", "a\tb", &"x".repeat(65)] {
            assert_eq!(bad.parse::<ClientName>(), Err(InvalidClientName), "{bad:?}");
        }
    }
}
