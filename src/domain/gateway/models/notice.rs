//! Notices: unrequested messages of a provider about a person.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    oauth::ProviderName,
    values::{digest::Sha256Digest, id::ConfirmationCode},
};

/// How far a provider's clock may be behind ours. A notice concerns what was allowed before it was sent: delivered
/// again later, it does not end what the person has allowed anew.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// The same tolerance for requests to delete data. What a person made afterwards must not be deleted, so it only covers
/// rounding a time to seconds and the difference between well-kept clocks.
const DELETION_SKEW: TimeDelta = TimeDelta::seconds(5);

/// The greatest age of such a request when it arrives: Facebook sends it at once. An older one may have been carried
/// out before.
const DELETION_LATEST: TimeDelta = TimeDelta::days(1);

/// How long an applied notice is remembered, so that a repeated delivery is not applied again.
const KNOWN_FOR: TimeDelta = TimeDelta::days(30);

/// How long the deletion of a person's data is remembered: the person may check it for that long.
const DELETION_KNOWN_FOR: TimeDelta = TimeDelta::days(365);

/// The pause before a notice is retried after a first failure; doubled with each further one.
const FIRST_PAUSE: TimeDelta = TimeDelta::seconds(5);
/// The longest pause.
const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(1);

/// The subject of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NoticeKind {
    /// The person revoked our access at the provider: their grants are marked.
    GrantsRevoked,
    /// The provider ended the person's sessions: so do we, with their tokens.
    SessionsRevoked,
    /// Both, for instance because the person's account there is disabled.
    EverythingRevoked,
    /// The person wants us to delete the data that we have of them from the provider.
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
    /// Identifies the notice: a repeated delivery has the same digest.
    pub digest: Sha256Digest,
    /// The provider that sent it.
    pub provider: ProviderName,
    /// The provider's identifier of the person.
    pub subject: String,
    /// The kind of event.
    pub kind: NoticeKind,
    /// When it happened or was sent, if the provider vouches for that.
    pub sent_at: Option<DateTime<Utc>>,
    /// When it was received.
    pub received_at: DateTime<Utc>,
}

impl Notice {
    /// A notice received at `received_at`. `id` is the provider's id of the delivery; without one each delivery is a
    /// separate notice.
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
        // Each part is prefixed with its length, so no part can run into the next.
        let parts = [provider.as_str(), kind.as_str(), &subject, &id].map(|part| format!("{}:{part}", part.len()));
        let digest = Sha256Digest::of(parts.concat().as_bytes());
        Self { digest, provider, subject, kind, sent_at, received_at }
    }

    /// A person's request to delete their data. It is found by its code.
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

    /// The confirmation code of a request with this id: a repeated delivery has the same code. The id contains the
    /// provider's signature, so no third party can find the code.
    pub fn deletion_code(id: &str) -> ConfirmationCode {
        let digest = Sha256Digest::of(format!("code:{id}").as_bytes());
        let (bytes, _) = digest.as_bytes().split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
        ConfirmationCode::from_random(*bytes)
    }

    /// The digest of the request with this code.
    pub fn deletion_digest(code: ConfirmationCode) -> Sha256Digest {
        Sha256Digest::of(format!("deletion:{code}").as_bytes())
    }

    /// The latest time of the changes that the notice concerns.
    pub fn concerns_until(&self) -> DateTime<Utc> {
        let skew = if self.kind == NoticeKind::DataDeletion { DELETION_SKEW } else { SKEW };
        self.sent_at.map_or(self.received_at, |sent_at| sent_at.min(self.received_at)) + skew
    }

    /// Whether the notice is too old to distinguish a first delivery from one that is repeated after it was forgotten.
    /// Its age is counted from when the provider wrote it, which may be long after the event. A notice that ends
    /// sessions must not end those that the person has opened since, and one that deletes data must not delete data
    /// made since.
    pub fn is_stale(&self, issued_at: Option<DateTime<Utc>>) -> bool {
        let latest = match self.kind {
            NoticeKind::GrantsRevoked => return false,
            NoticeKind::SessionsRevoked | NoticeKind::EverythingRevoked => KNOWN_FOR,
            NoticeKind::DataDeletion => DELETION_LATEST,
        };
        issued_at.is_some_and(|issued_at| self.received_at - issued_at > latest)
    }

    /// Until when it is remembered if it was applied at `now`.
    pub fn known_until(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self.kind {
            NoticeKind::DataDeletion => now + DELETION_KNOWN_FOR,
            NoticeKind::GrantsRevoked | NoticeKind::SessionsRevoked | NoticeKind::EverythingRevoked => now + KNOWN_FOR,
        }
    }
}

/// The progress of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoticeProgress {
    /// When it was received.
    pub received_at: DateTime<Utc>,
    /// When it was applied, if it was.
    pub applied_at: Option<DateTime<Utc>>,
}

/// A notice claimed by a worker that applies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedNotice {
    /// The notice.
    pub notice: Notice,
    /// How often it was claimed, including this time.
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
    fn a_repeated_delivery_is_the_same_notice() {
        let one = notice("7", Some("jti"), Some(0), 1);
        assert_eq!(one.digest, notice("7", Some("jti"), Some(0), 99).digest);
        for other in
            [notice("8", Some("jti"), Some(0), 1), notice("7", Some("itj"), Some(0), 1), notice("7", None, None, 1)]
        {
            assert_ne!(one.digest, other.digest, "{other:?}");
        }
        // Without an id from the provider, a person who unlinks twice gives two notices.
        assert_ne!(notice("7", None, None, 1).digest, notice("7", None, None, 2).digest);
        assert_ne!(notice("7", Some("at:1800000001000000"), None, 1).digest, notice("7", None, None, 1).digest);
        assert_ne!(notice("7", Some("1"), None, 1).digest, notice("7id:1", Some(""), None, 1).digest);
    }

    #[test]
    fn a_notice_concerns_what_happened_before_it_was_sent() {
        assert_eq!(notice("7", None, None, 60).concerns_until(), at(360));
        assert_eq!(notice("7", None, Some(0), 60).concerns_until(), at(300));
        assert_eq!(notice("7", None, Some(9999), 60).concerns_until(), at(360), "one from the future is one of now");
    }

    #[test]
    fn a_deletion_request_is_found_by_its_code_for_a_year() {
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
    fn a_forgotten_notice_that_would_end_sessions_is_stale() {
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
