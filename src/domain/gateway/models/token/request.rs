//! A caller's request for tokens, and the issued tokens.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use super::{AccessClaims, DummyToken, RefreshToken, Rejection, TokenFamily};
use crate::domain::gateway::models::values::scope::Scope;

/// A request for a pair of tokens. The service fills in what is left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TokenRequest {
    /// `sub`; default: the caller's own, else `developer`.
    pub subject: Option<String>,
    /// `scope`; default: none.
    pub scope: Scope,
    /// `aud`; default: this gateway.
    pub audience: Option<String>,
    /// The caller's own claims.
    pub claims: Map<String, Value>,
    /// The lifetime of each access token; default: a setting.
    pub access_ttl: Option<TimeDelta>,
}

/// A newly issued pair of tokens.
#[derive(Debug, Clone)]
pub struct IssuedTokens {
    /// The signed access token.
    pub access_token: AccessToken,
    /// Its lifetime.
    pub access_ttl: TimeDelta,
    /// The refresh token.
    pub refresh_token: RefreshToken,
    /// How long the refresh token may stay unused.
    pub refresh_ttl: TimeDelta,
    /// Their scope.
    pub scope: Scope,
    /// When they were issued.
    pub created_at: DateTime<Utc>,
}

/// The tokens that a machine client gets at the token endpoint.
#[derive(Debug, Clone)]
pub struct IssuedToClient {
    /// The signed access token.
    pub access_token: AccessToken,
    /// Its lifetime.
    pub access_ttl: TimeDelta,
    /// Its scope.
    pub scope: Scope,
    /// Gives the next access token. A client that acts for itself gets none: it can always ask again (RFC 6749 §4.4.3).
    pub refresh_token: Option<RefreshToken>,
}

/// A signed access token in clear. It has no `Display`, and its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(String);

impl AccessToken {
    /// Takes a newly signed token.
    pub fn new(signed: String) -> Self {
        Self(signed)
    }

    /// The text, for the response to its owner and for nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccessToken(…)")
    }
}

/// A registered dummy token and the refresh token that comes with it.
#[derive(Debug, Clone)]
pub struct IssuedDummy {
    /// The registered token.
    pub dummy: DummyToken,
    /// Gives a real pair for the same test identity.
    pub refresh_token: RefreshToken,
}

/// The result of verifying a token.
#[derive(Debug, Clone, PartialEq)]
pub enum Verification {
    /// A valid access token.
    Access(AccessClaims),
    /// A valid refresh token: unused, unexpired, of a family that is not revoked.
    Refresh {
        /// The family that it belongs to.
        family: TokenFamily,
        /// When it was issued.
        issued_at: DateTime<Utc>,
        /// When it expires.
        expires_at: DateTime<Utc>,
    },
    /// A valid dummy token.
    Dummy(DummyToken),
    /// Invalid, and the reason.
    Inactive(Rejection),
}
