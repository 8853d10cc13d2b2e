//! Sessions: what a browser holds instead of tokens. An opaque cookie, kept as SHA-256; it ends when it lies idle, when it
//! is old, or when it is ended.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};

use super::{
    id::{AccountId, FamilyId, SessionId, TokenId},
    identity::Identity,
    scope::Scope,
    token::{CLOCKS_APART, Revocable, Revocation, TokenDigest},
};

mod visitor;

pub use visitor::Visitor;

/// What the cookie of a session holds: 256 random bits. Only [`SessionSecret::expose`] gives the text.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionSecret(String);

impl SessionSecret {
    /// Makes one of 256 random bits.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Whether this may be the text of one. What is not need not be looked up.
    pub fn has_form_of(text: &[u8]) -> bool {
        text.len() == 43 && text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    }

    /// The text, for the cookie and for nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What a store may hold of it.
    pub fn digest(&self) -> TokenDigest {
        TokenDigest::of(self.0.as_bytes())
    }
}

impl fmt::Debug for SessionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionSecret(…)")
    }
}

/// How long a session may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// From its last use.
    pub idle: TimeDelta,
    /// In all.
    pub total: TimeDelta,
}

/// How long what was looked up of a session is remembered. Its use is noted when it is looked up, so this is far shorter than
/// any session may lie idle.
pub const REMEMBERED_FOR: TimeDelta = TimeDelta::seconds(10);

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Names it. It is no secret.
    pub id: SessionId,
    /// Of its cookie.
    pub digest: TokenDigest,
    /// Who is signed in.
    pub account: AccountId,
    /// When they signed in.
    pub created_at: DateTime<Utc>,
    /// When it was last seen to be used, or a little later.
    pub used_at: DateTime<Utc>,
    /// From when on it is over unless it is used before; never behind `expires_at`.
    pub idle_until: DateTime<Utc>,
    /// From when on it is over in any case.
    pub expires_at: DateTime<Utc>,
    /// Where they signed in.
    pub visitor: Visitor,
}

impl Session {
    /// A session that begins now.
    pub fn begin(
        id: SessionId,
        digest: TokenDigest,
        account: AccountId,
        visitor: Visitor,
        limits: SessionLimits,
        now: DateTime<Utc>,
    ) -> Self {
        let expires_at = now + limits.total;
        let idle_until = expires_at.min(now + limits.idle);
        Self { id, digest, account, created_at: now, used_at: now, idle_until, expires_at, visitor }
    }

    /// The deny-list entry that makes everybody refuse it who knows it as a caller's: requests for as long as it is remembered,
    /// streams that began with it for as long as it could have lain idle, by its latest use until `now` on any
    /// replica.
    pub fn revocation(&self, limits: SessionLimits, now: DateTime<Utc>) -> Revocation {
        let expires_at = self.expires_at.min(now + limits.idle + CLOCKS_APART);
        Revocation { id: self.revocable(), expires_at }
    }

    /// What the deny-list calls it.
    pub fn revocable(&self) -> Revocable {
        TokenId::from(self.id.as_uuid()).into()
    }

    /// Whether it is not over.
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        now < self.idle_until
    }

    /// The session after it was used now, if that is worth a write: a sixtieth of the idle time has passed.
    pub fn used(&self, limits: SessionLimits, now: DateTime<Utc>) -> Option<Self> {
        let idle_until = self.expires_at.min(now + limits.idle);
        let worth_it = now - self.used_at >= limits.idle / 60 && idle_until > self.idle_until;
        worth_it.then(|| Self { used_at: now, idle_until, ..self.clone() })
    }

    /// Who calls with it: the person, with no scope beyond what is theirs.
    pub fn identity(&self) -> Identity {
        Identity {
            subject: self.account.to_string(),
            scope: Scope::default(),
            token_id: TokenId::from(self.id.as_uuid()),
            family: FamilyId::from(self.id.as_uuid()),
            expires_at: self.idle_until,
            claims: serde_json::Map::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SessionLimits = SessionLimits { idle: TimeDelta::hours(1), total: TimeDelta::hours(3) };

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    fn session() -> Session {
        let (id, account) = (SessionId::from_random([1; 16]), AccountId::from_random([2; 16]));
        Session::begin(id, SessionSecret::from_random([3; 32]).digest(), account, Visitor::default(), LIMITS, at(0))
    }

    #[test]
    fn it_ends_when_it_lies_idle() {
        assert!(session().is_live(at(59)));
        assert!(!session().is_live(at(60)));
    }

    #[test]
    fn use_prolongs_it_but_not_beyond_its_end() {
        let mut session = session();
        for minutes in (30..=120).step_by(30) {
            session = session.used(LIMITS, at(minutes)).unwrap();
        }
        assert_eq!((session.idle_until, session.expires_at), (at(180), at(180)));
        assert!(session.is_live(at(179)) && !session.is_live(at(180)));
        assert_eq!(session.used(LIMITS, at(150)), None);
    }

    #[test]
    fn its_entry_on_the_deny_list_outlives_whoever_is_known_by_it() {
        for minutes in [0, 30, 59, 100, 170] {
            // Ended elsewhere at the very moment of its latest use, with what was written of it before.
            let mut used = session();
            for minutes in (0..=minutes).step_by(30) {
                used = used.used(LIMITS, at(minutes)).unwrap_or(used);
            }
            let known = used.used(LIMITS, at(minutes)).unwrap_or_else(|| used.clone()).identity();
            for written in [session(), used] {
                let entry = written.revocation(LIMITS, at(minutes));
                assert!(entry.expires_at >= known.expires_at, "after {minutes} minutes");
                assert!(known.revocable().contains(&entry.id));
                assert!(entry.expires_at <= at(180));
            }
        }
    }

    #[test]
    fn not_every_use_is_a_write() {
        assert_eq!(session().used(LIMITS, at(0) + TimeDelta::seconds(59)), None);
        assert!(session().used(LIMITS, at(1)).is_some());
    }

    #[test]
    fn the_secret_does_not_print() {
        let secret = SessionSecret::from_random([3; 32]);
        assert_eq!(format!("{secret:?}"), "SessionSecret(…)");
        assert!(SessionSecret::has_form_of(secret.expose().as_bytes()));
        for text in ["", "x", &"x".repeat(42), &"x".repeat(44), &"=".repeat(43)] {
            assert!(!SessionSecret::has_form_of(text.as_bytes()), "{text}");
        }
    }
}
