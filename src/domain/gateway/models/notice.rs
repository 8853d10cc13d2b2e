//! Notices: what a provider tells us unasked about a person.

use chrono::{DateTime, TimeDelta, Utc};

use super::{id::ConfirmationCode, oauth::ProviderName, token::TokenDigest};

/// How far a provider's clock may be behind ours. A notice is about what was allowed before it was sent: delivered again
/// later, it does not end what the person allowed anew.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// The same for a wish that data be deleted. What a person made afterwards must not go, so it is no more than the second to which a
/// time is rounded, and what clocks that are kept right differ by.
const DELETION_SKEW: TimeDelta = TimeDelta::seconds(5);

/// How old such a wish may be when it comes: Facebook sends it at once. An older one may have been carried out before.
const DELETION_LATEST: TimeDelta = TimeDelta::days(1);

/// How long a notice is known after it was applied, so that the same one, delivered again, is not applied again.
const KNOWN_FOR: TimeDelta = TimeDelta::days(30);

/// How long it is known that a person's data were deleted: the person may look for that long.
const DELETION_KNOWN_FOR: TimeDelta = TimeDelta::days(365);

/// How long an applied notice waits before it is tried again after a first failure; twice as long after each further one.
const FIRST_PAUSE: TimeDelta = TimeDelta::seconds(5);
/// How long it waits at most.
const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(1);

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NoticeKind {
    /// The person took back at the provider what they allowed us: their grants are marked.
    GrantsRevoked,
    /// The provider ended the person's sessions: so do we, with their tokens.
    SessionsRevoked,
    /// Both: the person's account there is disabled, for instance.
    EverythingRevoked,
    /// The person wants us to delete what we have of them from the provider.
    DataDeletion,
}

impl NoticeKind {
    /// Every kind.
    pub const ALL: [Self; 4] =
        [Self::GrantsRevoked, Self::SessionsRevoked, Self::EverythingRevoked, Self::DataDeletion];

    /// Its name in a store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GrantsRevoked => "grants_revoked",
            Self::SessionsRevoked => "sessions_revoked",
            Self::EverythingRevoked => "everything_revoked",
            Self::DataDeletion => "data_deletion",
        }
    }

    /// Whether the person's grants are marked.
    pub fn revokes_grants(self) -> bool {
        match self {
            Self::GrantsRevoked | Self::EverythingRevoked => true,
            Self::SessionsRevoked | Self::DataDeletion => false,
        }
    }

    /// Whether the sessions and tokens of the person's account end.
    pub fn ends_sessions(self) -> bool {
        match self {
            Self::SessionsRevoked | Self::EverythingRevoked => true,
            Self::GrantsRevoked | Self::DataDeletion => false,
        }
    }
}

/// A verified notice about one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Tells it from others: a repeated delivery has the same.
    pub digest: TokenDigest,
    /// Who sent it.
    pub provider: ProviderName,
    /// What the provider calls the person.
    pub subject: String,
    /// What happened.
    pub kind: NoticeKind,
    /// When it happened or was sent, if the provider vouches for that.
    pub sent_at: Option<DateTime<Utc>>,
    /// When it came in.
    pub received_at: DateTime<Utc>,
}

impl Notice {
    /// A notice that came in at `received_at`. `id` is the provider's name for the delivery; without one each delivery is a notice of
    /// its own.
    pub fn new(
        provider: ProviderName,
        subject: String,
        kind: NoticeKind,
        id: Option<&str>,
        sent_at: Option<DateTime<Utc>>,
        received_at: DateTime<Utc>,
    ) -> Self {
        let by_time = || format!("at:{}", received_at.timestamp_micros());
        let id = id.map_or_else(by_time, |id| format!("id:{id}"));
        // No part can end early: each is told with its length.
        let parts = [provider.as_str(), kind.as_str(), &subject, &id].map(|part| format!("{}:{part}", part.len()));
        let digest = TokenDigest::of(parts.concat().as_bytes());
        Self { digest, provider, subject, kind, sent_at, received_at }
    }

    /// The wish of a person that we delete what we have of them. It is found by its code.
    pub fn deletion(
        provider: ProviderName,
        subject: String,
        code: ConfirmationCode,
        sent_at: Option<DateTime<Utc>>,
        received_at: DateTime<Utc>,
    ) -> Self {
        let (digest, kind) = (Self::deletion_digest(code), NoticeKind::DataDeletion);
        Self { digest, provider, subject, kind, sent_at, received_at }
    }

    /// The code of a wish that the provider names so: the same one, delivered again, has the same. The name holds the provider's
    /// signature, so nobody else can find the code.
    pub fn deletion_code(id: &str) -> ConfirmationCode {
        let digest = TokenDigest::of(format!("code:{id}").as_bytes());
        let (bytes, _) = digest.as_bytes().split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
        ConfirmationCode::from_random(*bytes)
    }

    /// The digest of the wish with this code.
    pub fn deletion_digest(code: ConfirmationCode) -> TokenDigest {
        TokenDigest::of(format!("deletion:{code}").as_bytes())
    }

    /// What changed later than this is not meant.
    pub fn concerns_until(&self) -> DateTime<Utc> {
        let skew = if self.kind == NoticeKind::DataDeletion { DELETION_SKEW } else { SKEW };
        self.sent_at.map_or(self.received_at, |sent_at| sent_at.min(self.received_at)) + skew
    }

    /// Whether it is too old to tell a first delivery from one that is sent again after it was forgotten. Its age is counted from
    /// when the provider wrote it, which may be long after what happened. What ends sessions must not end those that the person
    /// opened since, and what deletes not what they made since.
    pub fn is_stale(&self, issued_at: Option<DateTime<Utc>>) -> bool {
        let latest = match self.kind {
            NoticeKind::GrantsRevoked => return false,
            NoticeKind::SessionsRevoked | NoticeKind::EverythingRevoked => KNOWN_FOR,
            NoticeKind::DataDeletion => DELETION_LATEST,
        };
        issued_at.is_some_and(|issued_at| self.received_at - issued_at > latest)
    }

    /// Until when it is known, once it was applied at `now`.
    pub fn known_until(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self.kind {
            NoticeKind::DataDeletion => now + DELETION_KNOWN_FOR,
            NoticeKind::GrantsRevoked | NoticeKind::SessionsRevoked | NoticeKind::EverythingRevoked => now + KNOWN_FOR,
        }
    }
}

/// How far a notice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoticeProgress {
    /// When it came in.
    pub received_at: DateTime<Utc>,
    /// When it was applied, if it was.
    pub applied_at: Option<DateTime<Utc>>,
}

/// A notice that somebody claimed to apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedNotice {
    /// The notice.
    pub notice: Notice,
    /// How often it was claimed, this time included.
    pub attempts: u32,
}

impl ClaimedNotice {
    /// When to try again if this attempt failed at `now`.
    pub fn retry_at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let doublings = self.attempts.saturating_sub(1).min(16);
        now + (FIRST_PAUSE * (1 << doublings)).min(LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn notice(subject: &str, id: Option<&str>, sent_at: Option<i64>, received_at: i64) -> Notice {
        let provider = "kakao".parse().unwrap();
        Notice::new(provider, subject.into(), NoticeKind::GrantsRevoked, id, sent_at.map(at), at(received_at))
    }

    #[test]
    fn the_same_delivery_is_the_same_notice() {
        let one = notice("7", Some("jti"), Some(0), 1);
        assert_eq!(one.digest, notice("7", Some("jti"), Some(0), 99).digest);
        for other in
            [notice("8", Some("jti"), Some(0), 1), notice("7", Some("itj"), Some(0), 1), notice("7", None, None, 1)]
        {
            assert_ne!(one.digest, other.digest, "{other:?}");
        }
        // Without a name of the provider's, a person who unlinks twice is told of twice.
        assert_ne!(notice("7", None, None, 1).digest, notice("7", None, None, 2).digest);
        assert_ne!(notice("7", Some("at:1800000001000000"), None, 1).digest, notice("7", None, None, 1).digest);
        assert_ne!(notice("7", Some("1"), None, 1).digest, notice("7id:1", Some(""), None, 1).digest);
    }

    #[test]
    fn a_notice_is_about_what_was_before_it_was_sent() {
        assert_eq!(notice("7", None, None, 60).concerns_until(), at(360));
        assert_eq!(notice("7", None, Some(0), 60).concerns_until(), at(300));
        assert_eq!(notice("7", None, Some(9999), 60).concerns_until(), at(360), "one from the future is one of now");
    }

    #[test]
    fn a_wish_is_found_by_its_code_for_a_year() {
        let code = |n: u8| ConfirmationCode::from_random([n; 16]);
        let wish = |n| Notice::deletion("facebook".parse().unwrap(), "7".into(), code(n), Some(at(0)), at(9));
        assert_eq!(wish(1).digest, Notice::deletion_digest(code(1)));
        assert_ne!(wish(1).digest, wish(2).digest);
        assert_eq!(wish(1).known_until(at(0)), at(365 * 24 * 60 * 60));
        assert!(!wish(1).kind.ends_sessions() && !wish(1).kind.revokes_grants());
        assert_eq!(wish(1).concerns_until(), at(5), "what the person made since is not meant");
        let late = |received_at| {
            let wish = Notice::deletion("facebook".parse().unwrap(), "7".into(), code(1), Some(at(0)), at(received_at));
            wish.is_stale(wish.sent_at)
        };
        assert!(!late(24 * 60 * 60) && late(24 * 60 * 60 + 1));
        let at_the_end_of_time = Notice { sent_at: Some(DateTime::<Utc>::MAX_UTC), ..wish(1) };
        assert!(!at_the_end_of_time.is_stale(at_the_end_of_time.sent_at));
        assert_eq!(at_the_end_of_time.concerns_until(), at(9 + 5));
        assert_eq!(Notice::deletion_code("a"), Notice::deletion_code("a"));
        assert_ne!(Notice::deletion_code("a"), Notice::deletion_code("b"));
    }

    #[test]
    fn what_would_end_sessions_after_it_was_forgotten_is_stale() {
        let month = 30 * 24 * 60 * 60;
        let told = |kind, received_at, issued_at| {
            let sent_at = Some(at(0));
            let notice =
                Notice::new("google".parse().unwrap(), "7".into(), kind, Some("jti"), sent_at, at(received_at));
            notice.is_stale(Some(at(issued_at)))
        };
        let of = |kind, received_at| told(kind, received_at, 0);
        for kind in [NoticeKind::SessionsRevoked, NoticeKind::EverythingRevoked] {
            assert!(!of(kind, month) && of(kind, month + 1), "{kind:?}");
            assert!(!told(kind, month + 1, month), "{kind:?}: what happened long ago is told for the first time");
        }
        assert!(!of(NoticeKind::GrantsRevoked, 9 * month));
        let applied = notice("7", Some("jti"), Some(0), 0);
        assert_eq!(applied.known_until(at(5)), at(5 + month), "longer than it is new");
    }

    #[test]
    fn each_failure_doubles_the_pause_up_to_an_hour() {
        let pause = |attempts| {
            let claimed = ClaimedNotice { notice: notice("7", None, None, 0), attempts };
            (claimed.retry_at(at(0)) - at(0)).num_seconds()
        };
        assert_eq!([0, 1, 2, 3, 10, 11, u32::MAX].map(pause), [5, 5, 10, 20, 2560, 3600, 3600]);
    }
}
