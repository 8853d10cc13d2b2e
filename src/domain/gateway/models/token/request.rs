//! What a caller asks for when it wants a token, and what it gets.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use super::{AccessClaims, DummyToken, RefreshToken, Rejection, TokenFamily};
use crate::domain::gateway::models::{id::ClientId, scope::Scope};

/// The wish for a pair of tokens. What is left out is filled in by the service.
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
    /// The life of each access token; default: a setting.
    pub access_ttl: Option<TimeDelta>,
    /// The machine client that asks, and that they are issued to; default: none, they are for whoever holds them.
    pub client: Option<ClientId>,
}

/// A pair of tokens, fresh from the press.
#[derive(Debug, Clone)]
pub struct IssuedTokens {
    /// The signed access token.
    pub access_token: AccessToken,
    /// How long it lives.
    pub access_ttl: TimeDelta,
    /// The refresh token.
    pub refresh_token: RefreshToken,
    /// How long that one may lie unused.
    pub refresh_ttl: TimeDelta,
    /// What they allow.
    pub scope: Scope,
    /// When they were made.
    pub created_at: DateTime<Utc>,
}

/// What a machine client gets at the token endpoint.
#[derive(Debug, Clone)]
pub struct IssuedToClient {
    /// The signed access token.
    pub access_token: AccessToken,
    /// How long it lives.
    pub access_ttl: TimeDelta,
    /// What it allows.
    pub scope: Scope,
    /// Gives the next one. A client that asked for itself gets none: it can always ask again (RFC 6749 §4.4.3).
    pub refresh_token: Option<RefreshToken>,
}

/// A signed access token in clear. It has no `Display`, and its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(String);

impl AccessToken {
    /// Takes a token that was just signed.
    pub fn new(signed: String) -> Self {
        Self(signed)
    }

    /// The text, for the answer to its owner and for nothing else.
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
    /// What was registered.
    pub dummy: DummyToken,
    /// Gives a real pair for the same test identity.
    pub refresh_token: RefreshToken,
}

/// What there is to say of a token that was looked at.
#[derive(Debug, Clone, PartialEq)]
pub enum Verification {
    /// A good access token.
    Access(AccessClaims),
    /// A good refresh token: unused, unexpired, of a family that is not revoked.
    Refresh {
        /// What it is a token of.
        family: TokenFamily,
        /// When it was issued.
        issued_at: DateTime<Utc>,
        /// From when on it is refused.
        expires_at: DateTime<Utc>,
    },
    /// A good dummy token.
    Dummy(DummyToken),
    /// Not good, and why.
    Inactive(Rejection),
}
