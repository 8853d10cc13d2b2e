//! Refresh tokens: 256 random bits, stored as SHA-256, used once (RFC 9700 §4.14.2). All that descend from one creation
//! form a family, which is revoked as a whole when a used token is presented again.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use thiserror::Error;

use super::{CLOCKS_APART, LEEWAY, Revocation};
use crate::domain::gateway::models::values::{
    digest::Sha256Digest,
    id::{ClientId, FamilyId, SessionId},
    scope::Scope,
};

/// Marks our refresh tokens, so that a secret scanner can find a leaked one.
const PREFIX: &str = "gwr_";

/// The text is not a refresh token of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the text is not a refresh token of this gateway")]
pub struct MalformedRefreshToken;

/// A refresh token in clear. It has no `Debug` and no `Display`: only [`RefreshToken::expose`] returns the text.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken(String);

impl RefreshToken {
    /// Makes a token of 256 random (or pseudo-random) bits.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Checks the form, before any look-up.
    pub fn parse(text: &str) -> Result<Self, MalformedRefreshToken> {
        let secret = text.strip_prefix(PREFIX).ok_or(MalformedRefreshToken)?;
        match URL_SAFE_NO_PAD.decode(secret) {
            Ok(bytes) if bytes.len() == 32 => Ok(Self(text.to_owned())),
            Ok(_) | Err(_) => Err(MalformedRefreshToken),
        }
    }

    /// The digest that a store may hold.
    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::of(self.0.as_bytes())
    }

    /// The text, for the response to its owner and for nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken(…)")
    }
}

/// Every 32nd used refresh token of a family is kept until it expires. A token in between is recognised by its
/// successors: they can be derived (at most this many), and one of them is kept. So reuse is noticed however long ago
/// the token was used.
pub const KEPT_GENERATIONS: i32 = 32;

/// How often a family may rotate. It limits one family in a store to 2,048 used tokens; with one rotation per minute it
/// is reached after 45 days.
pub const MAX_GENERATION: i32 = 1 << 16;

/// The maximum number of live families of one session, or of one person who signs in without a browser. Each tab of a
/// browser has one at most.
pub const MAX_FAMILIES: u64 = 50;

/// All tokens that descend from one creation, and the content of its access tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenFamily {
    /// The `sid` of its access tokens.
    pub id: FamilyId,
    /// `client_id` of its access tokens.
    pub client_id: String,
    /// `sub` of its access tokens.
    pub subject: String,
    /// `scope` of its access tokens.
    pub scope: Scope,
    /// `aud` of its access tokens.
    pub audience: Vec<String>,
    /// The caller's own claims in its access tokens.
    pub claims: Map<String, Value>,
    /// How long each of its access tokens lives.
    pub access_ttl: TimeDelta,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When the newest of its access tokens expires: a revocation is kept until then.
    pub access_expires_at: DateTime<Utc>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<DateTime<Utc>>,
    /// The session whose browser asked for it: it ends with that session.
    pub session: Option<SessionId>,
}

impl TokenFamily {
    /// The family after an access token was issued at `now`.
    #[must_use]
    pub fn with_access_token_issued(mut self, now: DateTime<Utc>) -> Self {
        self.access_expires_at = self.access_expires_at.max(now + self.access_ttl);
        self
    }

    /// When an access token that is issued at `now` expires: after its lifetime, or so early that it is refused
    /// everywhere by `not_after`, leeway included.
    pub fn access_expiry(&self, not_after: Option<DateTime<Utc>>, now: DateTime<Utc>) -> DateTime<Utc> {
        let usual = now + self.access_ttl;
        not_after.map_or(usual, |not_after| usual.min(not_after - LEEWAY).max(now))
    }

    /// The machine client that it was issued to, if any.
    pub fn client(&self) -> Option<ClientId> {
        self.client_id.parse().ok()
    }

    /// Whether an access token of it may still be valid on any replica: only then is a deny-list entry needed.
    pub fn may_have_live_access_tokens(&self, now: DateTime<Utc>) -> bool {
        now < self.access_expires_at + LEEWAY + CLOCKS_APART
    }

    /// The deny-list entry that ends every access token of it.
    pub fn revocation(&self) -> Revocation {
        Revocation { id: self.id.into(), expires_at: self.access_expires_at + LEEWAY }
    }
}

/// A refresh token about to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewRefreshToken {
    /// Its digest.
    pub digest: Sha256Digest,
    /// When it is issued.
    pub issued_at: DateTime<Utc>,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
}

/// A stored refresh token and its family.
#[derive(Debug, Clone, PartialEq)]
pub struct RefreshRecord {
    /// The family.
    pub family: TokenFamily,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
    /// When it was exchanged for its successor, if it was.
    pub consumed_at: Option<DateTime<Utc>>,
}

/// The state of a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshState {
    /// It can be exchanged.
    Active,
    /// It was exchanged.
    Consumed,
    /// It was unused for too long.
    Expired,
    /// Its family was revoked.
    Revoked,
}

impl RefreshRecord {
    /// The state at `now`.
    pub fn state(&self, now: DateTime<Utc>) -> RefreshState {
        if self.family.revoked_at.is_some() {
            RefreshState::Revoked
        } else if self.consumed_at.is_some() {
            RefreshState::Consumed
        } else if self.expires_at <= now {
            RefreshState::Expired
        } else {
            RefreshState::Active
        }
    }
}

/// A request to exchange a refresh token for its successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// The token presented.
    pub presented: Sha256Digest,
    /// The token that replaces it.
    pub successor: NewRefreshToken,
    /// How long after its use the same token still gets the same successor (a lost response is not a theft).
    pub grace: TimeDelta,
    /// The time of the rotation.
    pub now: DateTime<Utc>,
}

/// The outcome of a [`Rotation`].
#[derive(Debug, Clone, PartialEq)]
pub enum RotationOutcome {
    /// The presented token is used up and the successor is stored.
    Rotated(TokenFamily),
    /// The presented token was used less than the grace period ago, and its successor is unused; nothing changed but
    /// the family's newest access expiry.
    Replayed {
        /// The family.
        family: TokenFamily,
        /// The successor that was stored when it was used.
        successor: Sha256Digest,
    },
    /// The presented token was used less than the grace period ago, and its successor was used, too: the request is
    /// late. It gets no tokens, and nothing changed.
    Superseded,
    /// The presented token was used before: a copy of it exists. The family is now revoked, and this is its revocation.
    Reused {
        /// The family, now revoked.
        family: TokenFamily,
    },
    /// The presented token was never used and has expired, or its family has rotated as often as allowed.
    Expired,
    /// Its family is revoked already.
    Revoked,
    /// No such token.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_token_has_one_state_at_a_time() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let family = TokenFamily {
            id: FamilyId::from_random([1; 16]),
            client_id: "gateway".to_owned(),
            subject: "alice".to_owned(),
            scope: Scope::default(),
            audience: Vec::new(),
            claims: Map::new(),
            access_ttl: TimeDelta::minutes(15),
            created_at: at(0),
            access_expires_at: at(900),
            revoked_at: None,
            session: None,
        };
        let fresh = RefreshRecord { family, issued_at: at(0), expires_at: at(60), consumed_at: None };
        assert_eq!([59, 60].map(|now| fresh.state(at(now))), [RefreshState::Active, RefreshState::Expired]);
        let used = RefreshRecord { consumed_at: Some(at(5)), ..fresh.clone() };
        assert_eq!([59, 60].map(|now| used.state(at(now))), [RefreshState::Consumed; 2]);
        let revoked_at = Some(at(7));
        for record in [fresh, used] {
            let revoked = RefreshRecord { family: TokenFamily { revoked_at, ..record.family.clone() }, ..record };
            assert_eq!([8, 60].map(|now| revoked.state(at(now))), [RefreshState::Revoked; 2]);
        }
    }

    #[test]
    fn a_token_is_parsed_back_whole_and_does_not_print() {
        let token = RefreshToken::from_random([7; 32]);
        assert_eq!(token.expose().len(), 4 + 43);
        assert!(RefreshToken::parse(token.expose()) == Ok(token.clone()));
        assert_eq!(format!("{token:?}"), "RefreshToken(…)");
        assert_eq!(token.digest(), Sha256Digest::of(token.expose().as_bytes()));
    }

    #[test]
    fn texts_of_another_form_are_refused() {
        let good = RefreshToken::from_random([7; 32]);
        let good = good.expose();
        for text in [
            "",
            "gwr_",
            &good[4..],
            &good[..46],
            &format!("{good}A"),
            &good.replace("gwr_", "gwx_"),
            &format!("{good} "),
        ] {
            assert_eq!(RefreshToken::parse(text), Err(MalformedRefreshToken), "{text}");
        }
    }
}
