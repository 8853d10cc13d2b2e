//! Grants: the access that a person allowed us at a provider, and its tokens.

use std::{fmt, str::FromStr, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use imbl::HashMap;
use thiserror::Error;

use super::values::{
    id::{AccountId, GrantId, LeaseId},
    paging::PageSize,
    secret::Secret,
};

/// How long before its expiry an access token counts as expired: it must still be valid when the service that asked for
/// it uses it. A short-lived token cannot spare that much: see [`SHARE_OF_LIFE`].
const FRESHNESS_MARGIN: TimeDelta = TimeDelta::seconds(60);

/// The margin or window is at most this share of a short lifetime: otherwise a token of one minute would be refreshed
/// at every call.
const SHARE_OF_LIFE: i32 = 4;

/// How long the data plane may use a provider's token without asking again. This replica learns of its own changes at
/// once ([`GrantChanges`]), but not of those on another replica: there, a token may be used for this long after its
/// grant was deleted or refreshed. One look-up per person, core and ten seconds costs next to nothing.
pub const REMEMBERED_FOR: TimeDelta = TimeDelta::seconds(10);

/// The longest code that is exchanged.
pub const MAX_CODE_CHARS: usize = 4096;

/// The text is not a provider's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a provider's name must have 1 to 32 lower-case letters, digits and hyphens, and must begin with a letter")]
pub struct InvalidProviderName;

/// The name of a provider: `google`, `github`, … or the `<NAME>` of `OIDC_<NAME>_ISSUER` in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProviderName(Arc<str>);

impl ProviderName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProviderName {
    type Err = InvalidProviderName;

    fn from_str(text: &str) -> Result<Self, InvalidProviderName> {
        let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let good = (1..=32).contains(&text.len())
            && text.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
            && text.bytes().all(letters);
        good.then(|| Self(text.into())).ok_or(InvalidProviderName)
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The tokens that a provider issued, in clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderTokens {
    /// For the provider's API.
    pub access_token: Secret,
    /// Usually `Bearer`.
    pub token_type: String,
    /// When the access token expires; `None` if it never does, or the provider did not say.
    pub expires_at: Option<DateTime<Utc>>,
    /// Gives the next access token, if the provider issues one.
    pub refresh_token: Option<Secret>,
    /// Its scope, as the provider writes it.
    pub scope: Option<String>,
    /// The person's identity, signed by the provider (OIDC); not stored.
    pub id_token: Option<Secret>,
}

impl ProviderTokens {
    /// These tokens after a refresh. A response without a refresh token, or without a scope, keeps the old one (RFC
    /// 6749 §6).
    #[must_use]
    pub fn refreshed(self, response: Self) -> Self {
        Self {
            refresh_token: response.refresh_token.or(self.refresh_token),
            scope: response.scope.or(self.scope),
            ..response
        }
    }

    /// These tokens, from a sign-in. If it brought no refresh token, the stored one is kept: some providers issue one
    /// only after the person was asked for consent.
    #[must_use]
    pub fn or_refresh_token_of(self, held: Self) -> Self {
        Self { refresh_token: self.refresh_token.or(held.refresh_token), ..self }
    }
}

/// Whether a grant can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GrantStatus {
    /// It can.
    Active,
    /// The provider no longer accepts it: the person has to sign in there again.
    NeedsReauthorization,
    /// The person revoked it at the provider.
    Revoked,
}

/// A stored grant: its tokens are sealed.
#[derive(Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// The account that it belongs to.
    pub account: AccountId,
    /// The provider that it is valid at.
    pub provider: ProviderName,
    /// The provider's identifier of the person.
    pub provider_subject: String,
    /// Whether it can be used.
    pub status: GrantStatus,
    /// The tokens, sealed for this grant.
    pub sealed_tokens: Vec<u8>,
    /// When the access token expires, in clear so that it can be queried.
    pub expires_at: Option<DateTime<Utc>>,
    /// Whether the provider can renew it, in clear so that it can be queried.
    pub refreshable: bool,
    /// When the person first allowed it.
    pub created_at: DateTime<Utc>,
    /// When the person last allowed it: by a sign-in, or by a code that was exchanged. A refresh does not move it.
    pub allowed_at: DateTime<Utc>,
    /// When its tokens last changed.
    pub updated_at: DateTime<Utc>,
}

impl Grant {
    /// Whether its access token is valid for a while yet. A token that cannot be renewed may be used up to its expiry.
    pub fn is_fresh(&self, now: DateTime<Utc>) -> bool {
        self.fresh_until().is_none_or(|fresh_until| now < fresh_until)
    }

    /// Until when it counts as fresh; `None` if it does not expire.
    pub fn fresh_until(&self) -> Option<DateTime<Utc>> {
        let margin = if self.refreshable { self.last_part(FRESHNESS_MARGIN) } else { TimeDelta::zero() };
        Some(self.expires_at? - margin)
    }

    /// The last part of the tokens' lifetime: `at_most`, or a share of the lifetime.
    fn last_part(&self, at_most: TimeDelta) -> TimeDelta {
        let life = self.expires_at.map_or(TimeDelta::zero(), |expires_at| expires_at - self.updated_at);
        at_most.min(life / SHARE_OF_LIFE).max(TimeDelta::zero())
    }

    /// When it should be refreshed without being asked for: in the first half of a window before its expiry, so that
    /// the second half is left for further attempts. The window is `ahead`, but at most a share of the tokens'
    /// lifetime. Each grant has its own moment in it, so that grants made together are not refreshed together.
    pub fn refresh_at(&self, ahead: TimeDelta) -> Option<DateTime<Utc>> {
        let expires_at = self.expires_at?;
        let window = self.last_part(ahead);
        let [.., high, low] = self.id.as_uuid().into_bytes();
        let share = i64::from(u16::from_be_bytes([high, low]));
        let into_it = TimeDelta::milliseconds(window.num_milliseconds() / 2 * share / i64::from(u16::MAX));
        Some(expires_at - window + into_it)
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("id", &self.id)
            .field("account", &self.account)
            .field("provider", &self.provider)
            .field("status", &self.status)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Filters grants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrantFilter {
    /// Of this account only.
    pub account: Option<AccountId>,
    /// At this provider only.
    pub provider: Option<ProviderName>,
}

/// The last grant of the previous page: the next page begins after it. Newest first; of two created at the same time,
/// the greater id first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrantCursor {
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// Its id.
    pub id: GrantId,
}

/// A caller's question for their grants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrantQuery {
    /// At this provider only.
    pub provider: Option<ProviderName>,
    /// The end of the page before.
    pub after: Option<GrantCursor>,
    /// The size of the page.
    pub size: PageSize,
}

/// A page of grants, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantPage {
    /// The grants.
    pub grants: Vec<Grant>,
    /// Where the next page begins; `None` if this is the last one.
    pub next: Option<GrantCursor>,
}

/// Accounts whose grants changed on this replica, and when: earlier look-ups must not be used any more. A copy shares
/// its parts with the original.
#[derive(Debug, Clone, Default)]
pub struct GrantChanges(HashMap<AccountId, DateTime<Utc>>);

impl GrantChanges {
    /// Records that a grant of this account changed. Changes are forgotten once no earlier look-up is remembered any
    /// more.
    pub fn insert(&mut self, account: AccountId, now: DateTime<Utc>) {
        self.0.retain(|_, changed_at| now <= *changed_at + REMEMBERED_FOR);
        // Of two concurrent changes, the later may be recorded first.
        let changed_at = self.0.get(&account).copied().map_or(now, |known| known.max(now));
        self.0.insert(account, changed_at);
    }

    /// Whether a look-up for an account at `asked_at` is out of date.
    pub fn concern(&self, account: AccountId, asked_at: DateTime<Utc>) -> bool {
        !self.0.is_empty() && self.0.get(&account).is_some_and(|changed_at| asked_at <= *changed_at)
    }
}

/// The last grant of the previous page, for grants that expire soonest first; of two that expire at the same time, the
/// lesser id first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpiryCursor {
    /// When its access token expires.
    pub expires_at: DateTime<Utc>,
    /// Its id.
    pub id: GrantId,
}

/// How long a lease lasts unless it is renewed: a killed holder blocks a refresh for that long at most.
pub const LEASE_TIME: TimeDelta = TimeDelta::seconds(6);

/// The exclusive right to refresh a grant for a while: of all replicas, one refreshes and the others wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshLease {
    /// The grant.
    pub grant: GrantId,
    /// The holder.
    pub holder: LeaseId,
    /// When it ends by itself, in case the holder vanishes.
    pub until: DateTime<Utc>,
}

/// The outcome of storing a grant that cannot be renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutOutcome {
    /// The grant is stored; this is its stored form.
    Stored(Grant),
    /// There is a renewable, active grant for the same identity. It is unchanged.
    Renewable(Grant),
}

/// The outcome of a request for a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseOutcome {
    /// The lease is ours. The grant is as of now: another replica may have refreshed it just before.
    Acquired(Grant),
    /// Another replica holds it.
    Held {
        /// When that lease ends by itself.
        until: DateTime<Utc>,
    },
    /// There is no such grant.
    Gone,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(access: &str, refresh: Option<&str>, scope: Option<&str>) -> ProviderTokens {
        ProviderTokens {
            access_token: Secret::new(access),
            token_type: "Bearer".into(),
            expires_at: None,
            refresh_token: refresh.map(Secret::new),
            scope: scope.map(str::to_owned),
            id_token: None,
        }
    }

    #[test]
    fn a_refresh_without_a_refresh_token_keeps_the_old_one() {
        let old = tokens("a", Some("r"), Some("email"));
        assert_eq!(old.clone().refreshed(tokens("b", None, None)), tokens("b", Some("r"), Some("email")));
        assert_eq!(old.refreshed(tokens("b", Some("s"), Some("x"))), tokens("b", Some("s"), Some("x")));
    }

    #[test]
    fn a_sign_in_without_a_refresh_token_keeps_only_the_stored_one() {
        let held = tokens("a", Some("r"), Some("email calendar"));
        let came = tokens("b", None, Some("email"));
        assert_eq!(came.or_refresh_token_of(held.clone()), tokens("b", Some("r"), Some("email")));
        assert_eq!(tokens("b", None, None).or_refresh_token_of(held.clone()).scope, None);
        assert_eq!(tokens("b", Some("s"), None).or_refresh_token_of(held), tokens("b", Some("s"), None));
    }

    #[test]
    fn a_change_concerns_earlier_look_ups_for_as_long_as_they_are_remembered() {
        let (at, alice, bob) = (|n| DateTime::from_timestamp(n, 0).unwrap(), [1; 16], [2; 16]);
        let (alice, bob) = (AccountId::from_random(alice), AccountId::from_random(bob));
        let mut changes = GrantChanges::default();
        changes.insert(alice, at(100));
        assert!(changes.concern(alice, at(99)) && changes.concern(alice, at(100)));
        assert!(!changes.concern(alice, at(101)) && !changes.concern(bob, at(99)));
        changes.insert(bob, at(110));
        assert!(changes.concern(alice, at(100)), "it was remembered until now");
        changes.insert(bob, at(111));
        assert!(!changes.concern(alice, at(100)) && changes.concern(bob, at(111)));
    }

    #[test]
    fn a_secret_does_not_print() {
        assert_eq!(format!("{:?}", Secret::new("s3cret")), "Secret(…)");
    }

    fn grant(id: u16, life: TimeDelta) -> Grant {
        let made = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let mut bytes = [7; 16];
        bytes[14..].copy_from_slice(&id.to_be_bytes());
        Grant {
            id: GrantId::from_random(bytes),
            account: AccountId::from_random([1; 16]),
            provider: "google".parse().unwrap(),
            provider_subject: "jane".into(),
            status: GrantStatus::Active,
            sealed_tokens: vec![],
            expires_at: Some(made + life),
            refreshable: true,
            created_at: made,
            allowed_at: made,
            updated_at: made,
        }
    }

    #[test]
    fn each_grant_is_refreshed_at_its_own_moment_in_the_first_half_of_the_window() {
        let ahead = TimeDelta::minutes(10);
        for (life, window) in [
            (TimeDelta::hours(1), ahead),
            (TimeDelta::days(60), ahead),
            (TimeDelta::seconds(60), TimeDelta::seconds(15)),
            (TimeDelta::zero(), TimeDelta::zero()),
            (TimeDelta::seconds(-9), TimeDelta::zero()),
        ] {
            let moments = [0, 1 << 14, 1 << 15, u16::MAX].map(|id| grant(id, life).refresh_at(ahead).unwrap());
            let expires_at = grant(0, life).expires_at.unwrap();
            assert_eq!((moments[0], moments[3]), (expires_at - window, expires_at - window / 2), "{life}");
            assert!(moments.is_sorted_by(|a, b| a < b || window.is_zero()), "{life}: {moments:?}");
        }
        assert_eq!(Grant { expires_at: None, ..grant(0, ahead) }.refresh_at(ahead), None);
    }

    #[test]
    fn the_last_token_is_used_up_and_a_renewable_one_is_not() {
        let (moment, hour) = (TimeDelta::microseconds(1), TimeDelta::hours(1));
        let (renewable, last) = (grant(0, hour), Grant { refreshable: false, ..grant(0, hour) });
        let not_fresh_any_more = renewable.created_at + hour - FRESHNESS_MARGIN;
        assert!(renewable.is_fresh(not_fresh_any_more - moment) && !renewable.is_fresh(not_fresh_any_more));
        assert!(last.is_fresh(last.created_at + hour - moment) && !last.is_fresh(last.created_at + hour));
    }

    #[test]
    fn a_token_of_a_minute_serves_for_three_quarters_of_it() {
        let short = grant(0, TimeDelta::minutes(1));
        assert!(short.is_fresh(short.created_at + TimeDelta::seconds(44)));
        assert!(!short.is_fresh(short.created_at + TimeDelta::seconds(45)));
        let void = grant(0, TimeDelta::seconds(-9));
        assert!(!void.is_fresh(void.created_at));
    }

    #[test]
    fn provider_names_fit_into_paths_and_variables() {
        assert!("google".parse::<ProviderName>().is_ok() && "my-idp2".parse::<ProviderName>().is_ok());
        for text in ["", "Google", "2a", "a/b", "a_b", &"a".repeat(33)] {
            assert_eq!(text.parse::<ProviderName>(), Err(InvalidProviderName), "{text}");
        }
    }
}
