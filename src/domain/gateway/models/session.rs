//! Sessions, which browsers hold instead of tokens: an opaque cookie, stored as SHA-256. A session ends when it is idle
//! for too long, when it is too old, or when it is ended.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};

use super::{
    token::{CLOCKS_APART, Revocable, Revocation},
    values::{
        digest::Sha256Digest,
        id::{AccountId, FamilyId, SessionId, TokenId},
        identity::Identity,
        scope::Scope,
    },
};

mod visitor;

pub use visitor::Visitor;

/// The content of a session cookie: 256 random bits. Only [`SessionSecret::expose`] returns the text.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionSecret(String);

impl SessionSecret {
    /// Makes a secret of 256 random bits.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Whether the text has the form of a session secret. Other texts need no look-up.
    pub fn has_form_of(text: &[u8]) -> bool {
        text.len() == 43 && text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    }

    /// The text, for the cookie and for nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The digest that a store may hold.
    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::of(self.0.as_bytes())
    }
}

impl fmt::Debug for SessionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionSecret(…)")
    }
}

/// The time limits of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// Since its last use.
    pub idle: TimeDelta,
    /// In total.
    pub total: TimeDelta,
}

/// The maximum number of sessions of an account: all of them are shown. A further sign-in ends the least recently used
/// one.
pub const MAX_SESSIONS: u64 = 100;

/// How long a looked-up session is remembered. Its use is recorded when it is looked up, so this is far shorter than
/// any idle limit.
pub const REMEMBERED_FOR: TimeDelta = TimeDelta::seconds(10);

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id. It is not secret.
    pub id: SessionId,
    /// The digest of its cookie.
    pub digest: Sha256Digest,
    /// The account that is signed in.
    pub account: AccountId,
    /// When they signed in.
    pub created_at: DateTime<Utc>,
    /// When it was last known to be used, or a little later.
    pub used_at: DateTime<Utc>,
    /// When it expires unless it is used before; never after `expires_at`.
    pub idle_until: DateTime<Utc>,
    /// When it expires in any case.
    pub expires_at: DateTime<Utc>,
    /// The browser and network of the sign-in.
    pub visitor: Visitor,
}

impl Session {
    /// A session that begins now.
    pub fn begin(
        id: SessionId,
        digest: Sha256Digest,
        account: AccountId,
        visitor: Visitor,
        limits: SessionLimits,
        now: DateTime<Utc>,
    ) -> Self {
        let expires_at = now + limits.total;
        let idle_until = expires_at.min(now + limits.idle);
        Self { id, digest, account, created_at: now, used_at: now, idle_until, expires_at, visitor }
    }

    /// Deny-list entry for this session. Kept as long as a cached caller or an open stream could still rely on it:
    /// requests for as long as a session is remembered, streams for as long as it could have been idle after its latest
    /// use until `now` on any replica.
    pub fn revocation(&self, limits: SessionLimits, now: DateTime<Utc>) -> Revocation {
        let expires_at = self.expires_at.min(now + limits.idle + CLOCKS_APART);
        Revocation { id: self.revocable(), expires_at }
    }

    /// Its id on the deny-list.
    pub fn revocable(&self) -> Revocable {
        TokenId::from(self.id.as_uuid()).into()
    }

    /// Whether it has not expired.
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        now < self.idle_until
    }

    /// The session after a use at `now`, if that is worth a write: a sixtieth of the idle time has passed.
    pub fn used(&self, limits: SessionLimits, now: DateTime<Utc>) -> Option<Self> {
        let idle_until = self.expires_at.min(now + limits.idle);
        let worth_it = now - self.used_at >= limits.idle / 60 && idle_until > self.idle_until;
        worth_it.then(|| Self { used_at: now, idle_until, ..self.clone() })
    }

    /// The caller: the person, without any scope.
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
    fn it_ends_when_it_is_idle_for_too_long() {
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
    fn its_entry_on_the_deny_list_outlives_every_cached_caller() {
        for minutes in [0, 30, 59, 100, 170] {
            // Ended on another replica at the moment of its latest use, with an earlier stored state.
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
