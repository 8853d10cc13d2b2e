//! Password attempts, and the delay after failed ones. Every attempt counts as a failure from the moment it begins, so
//! a thousand concurrent attempts count as a thousand; a successful one is forgiven.
//!
//! Failures delay the clients that caused them, not the owner of the account (OWASP, "Device Cookies"): a browser that
//! has signed in to the account before is counted separately, and a client without failures does not wait because of
//! others' failures.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    account::Email,
    http::network::client_network,
    values::{
        digest::Sha256Digest,
        id::{DeviceId, SessionId},
    },
};

/// How long failures are remembered after the last one.
pub const REMEMBERED_FOR: TimeDelta = TimeDelta::hours(1);

/// How the delay grows: no delay up to `free` failures, then one second, doubled with each further failure up to
/// `longest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Schedule {
    free: u32,
    longest: TimeDelta,
}

impl Schedule {
    fn delay(self, failures: u32) -> TimeDelta {
        match failures.checked_sub(self.free + 1) {
            None => TimeDelta::zero(),
            // 2^20 seconds are longer than any delay.
            Some(beyond) => self.longest.min(TimeDelta::seconds(1 << beyond.min(20))),
        }
    }
}

/// What failures are counted by; those clients are delayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// An account, for clients that have failed before. It leaves 1,440 guesses a day in total, from any number of
    /// addresses.
    Account,
    /// An account, for clients that had not failed before. Many people may mistype once, so more failures are free. It
    /// bounds the free guesses of an attacker with many addresses.
    FirstAttempts,
    /// A client's address. Many people may share it, so more failures are free; the delay is longer after that, since
    /// it hits hardly anyone else.
    Client,
    /// A client's address that asks whether an e-mail is taken, as a sign-up does, or that exchanges codes. It is
    /// counted separately: a client that signed up has not failed.
    Enquiry,
    /// A browser that has signed in to the account before. Other clients cannot delay it.
    Device,
}

impl Kind {
    fn schedule(self) -> Schedule {
        match self {
            Self::Account | Self::Device => Schedule { free: 4, longest: TimeDelta::minutes(1) },
            Self::FirstAttempts => Schedule { free: 99, longest: TimeDelta::minutes(1) },
            Self::Client | Self::Enquiry => Schedule { free: 49, longest: TimeDelta::minutes(15) },
        }
    }
}

/// The subject that failures are counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThrottleKey {
    key: Sha256Digest,
    kind: Kind,
}

impl ThrottleKey {
    fn new(kind: Kind, name: impl AsRef<str>) -> Self {
        Self { key: Sha256Digest::of(name.as_ref().as_bytes()), kind }
    }

    /// An account, whether or not it exists: otherwise a delay would reveal which e-mails are registered.
    pub fn account(email: &Email) -> Self {
        Self::new(Kind::Account, format!("account:{}", email.key()))
    }

    /// The same account, for clients that had no failures.
    pub fn first_attempts(email: &Email) -> Self {
        Self::new(Kind::FirstAttempts, format!("first:{}", email.key()))
    }

    /// The code exchanges of a client's address, by `POST /oauth` or by the callback of a sign-in.
    pub fn exchanges_of(address: IpAddr) -> Self {
        Self::new(Kind::Enquiry, format!("exchange:{}", client_network(address)))
    }

    /// A client's address. IPv6 addresses are counted by their network (/64), since a client can have any number of
    /// addresses in it.
    pub fn client(address: IpAddr) -> Self {
        Self::new(Kind::Client, format!("client:{}", client_network(address)))
    }

    /// The same address, for asking whether an e-mail is taken. The response that it is free counts, too.
    pub fn enquiry(address: IpAddr) -> Self {
        Self::new(Kind::Enquiry, format!("enquiry:{}", client_network(address)))
    }

    /// A browser that has signed in to this account before.
    pub fn device(email: &Email, device: DeviceId) -> Self {
        Self::new(Kind::Device, format!("device:{device}:{}", email.key()))
    }

    /// A browser that is signed in to this account.
    pub fn session(email: &Email, session: SessionId) -> Self {
        Self::device(email, DeviceId::from(session.as_uuid()))
    }

    /// Whether it is a client's address, which many people may share.
    pub fn is_client(&self) -> bool {
        self.kind == Kind::Client
    }

    /// The key that a store counts by.
    pub fn key(&self) -> &Sha256Digest {
        &self.key
    }
}

/// The number of failures, and the time of the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failures {
    /// How many.
    pub count: u32,
    /// When the last attempt began.
    pub last_at: DateTime<Utc>,
}

impl Failures {
    /// Adds a failure. The clock of another replica may be ahead: `last_at` never moves back.
    fn record_failure(known: Option<Self>, now: DateTime<Utc>) -> Self {
        known.map_or(Self { count: 1, last_at: now }, |known| Self {
            count: known.count.saturating_add(1),
            last_at: known.last_at.max(now),
        })
    }

    /// When the delay ends, if there is one that has not ended by `now`.
    fn wait_until(self, kind: Kind, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let delay = kind.schedule().delay(self.count);
        let until = self.last_at + delay;
        // Without a delay nothing is refused, however far `last_at` is ahead of this clock.
        (!delay.is_zero() && now < until).then_some(until)
    }

    /// The failures without an attempt that turned out to be none.
    #[must_use]
    pub fn one_less(self) -> Self {
        Self { count: self.count.saturating_sub(1), ..self }
    }

    /// When the failures can be forgotten.
    pub fn forget_at(self) -> DateTime<Utc> {
        self.last_at + REMEMBERED_FOR
    }
}

/// Whether an attempt may proceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThrottleDecision {
    /// It may proceed, and counts as a failure until it is forgiven.
    Admitted,
    /// It may not. It counts for the client that sent it, if that client has failed before.
    NotBefore(DateTime<Utc>),
}

/// The decision about an attempt, and what a store has to remember of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the attempt may proceed.
    pub admission: ThrottleDecision,
    /// The failures that changed.
    pub changed: Vec<(Sha256Digest, Failures)>,
}

/// Judges an attempt by the stored failures of each subject that it counts for. `now` is read after the store has
/// locked them, so that concurrent attempts are judged one after the other.
pub fn decide(known: &[(ThrottleKey, Option<Failures>)], now: DateTime<Utc>) -> Verdict {
    let live = |failures: Option<Failures>| failures.filter(|known| known.count > 0 && now < known.forget_at());
    let known: Vec<_> = known.iter().map(|(of, failures)| (*of, live(*failures))).collect();
    let is_client = |(of, _): &&(ThrottleKey, Option<Failures>)| matches!(of.kind, Kind::Client | Kind::Enquiry);
    let client = known.iter().find(|(of, _)| of.kind == Kind::Client);
    let never_failed = client.is_some_and(|(_, failures)| failures.is_none());
    let delays = |kind| match kind {
        Kind::Client | Kind::Enquiry | Kind::Device => true,
        Kind::Account => !never_failed,
        Kind::FirstAttempts => never_failed,
    };
    let waits = |(of, failures): &(ThrottleKey, Option<Failures>)| {
        failures.filter(|_| delays(of.kind)).and_then(|failures| failures.wait_until(of.kind, now))
    };
    let record_failure =
        |(of, failures): &(ThrottleKey, Option<Failures>)| (of.key, Failures::record_failure(*failures, now));
    let Some(until) = known.iter().filter_map(waits).max() else {
        let counted = known.iter().filter(|(of, _)| of.kind != Kind::FirstAttempts || never_failed);
        return Verdict { admission: ThrottleDecision::Admitted, changed: counted.map(record_failure).collect() };
    };
    // A client without failures of its own that is delayed by those of others is not at fault.
    let at_fault: Vec<_> = known.iter().filter(is_client).filter(|(_, failures)| failures.is_some()).collect();
    let changed: Vec<_> = at_fault.iter().map(|of| record_failure(of)).collect();
    let longer = at_fault.iter().zip(&changed).filter_map(|((of, _), (_, more))| more.wait_until(of.kind, now)).max();
    Verdict { admission: ThrottleDecision::NotBefore(longer.map_or(until, |longer| longer.max(until))), changed }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn email() -> Email {
        Email::parse("jane@example.com").unwrap()
    }

    fn device(n: u8) -> ThrottleKey {
        ThrottleKey::device(&email(), DeviceId::from_random([n; 16]))
    }

    fn client(n: u8) -> ThrottleKey {
        ThrottleKey::client([192, 0, 2, n].into())
    }

    /// A store of failures.
    #[derive(Default)]
    struct Known(std::collections::HashMap<Sha256Digest, Failures>);

    impl Known {
        fn attempt(&mut self, counted: &[ThrottleKey], now: DateTime<Utc>) -> ThrottleDecision {
            let known: Vec<_> = counted.iter().map(|of| (*of, self.0.get(of.key()).copied())).collect();
            let Verdict { admission, changed } = decide(&known, now);
            self.0.extend(changed);
            admission
        }

        /// An attempt of a client at Jane's account.
        fn guess(&mut self, n: u8, now: DateTime<Utc>) -> ThrottleDecision {
            self.attempt(&[ThrottleKey::account(&email()), ThrottleKey::first_attempts(&email()), client(n)], now)
        }

        fn count(&self, of: &ThrottleKey) -> u32 {
            self.0.get(of.key()).map_or(0, |failures| failures.count)
        }
    }

    /// The delays after each of `failures` attempts that were made as early as possible.
    fn delays(of: &ThrottleKey, failures: u32) -> Vec<i64> {
        let (mut known, mut now) = (Known::default(), at(0));
        (0..failures)
            .map(|_| {
                assert_eq!(known.attempt(&[*of], now), ThrottleDecision::Admitted);
                let until = known.0[of.key()].wait_until(of.kind, now).unwrap_or(now);
                let delay = until - now;
                now = until;
                delay.num_seconds()
            })
            .collect()
    }

    #[test]
    fn the_delay_grows_up_to_a_cap() {
        for of in [ThrottleKey::account(&email()), device(1)] {
            assert_eq!(delays(&of, 13), [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        }
        let of_client = delays(&client(1), 62);
        assert!(of_client[..49].iter().all(|delay| *delay == 0));
        assert_eq!(of_client[49..], [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
        // However long a guesser goes on.
        let many = Failures { count: u32::MAX, last_at: at(0) };
        let known = [(device(1), Some(many))];
        assert_eq!(decide(&known, at(59)).admission, ThrottleDecision::NotBefore(at(60)));
        assert_eq!(decide(&known, at(60)).changed[0].1.count, u32::MAX);
    }

    #[test]
    fn failures_are_forgotten_an_hour_after_the_last() {
        let known = [(device(1), Some(Failures { count: 9, last_at: at(0) }))];
        assert_eq!(decide(&known, at(3599)).changed[0].1.count, 10);
        assert_eq!(decide(&known, at(3600)).changed[0].1.count, 1);
    }

    #[test]
    fn a_forgiven_attempt_leaves_no_delay() {
        let failures = Failures { count: 5, last_at: at(0) };
        assert!(failures.wait_until(Kind::Device, at(0)).is_some());
        assert_eq!(failures.one_less().wait_until(Kind::Device, at(0)), None);
        assert_eq!(Failures { count: 0, last_at: at(0) }.one_less().count, 0);
    }

    #[test]
    fn without_a_delay_nothing_is_refused_though_clocks_differ() {
        // Another replica, whose clock is ahead by a minute, counted before.
        let mut known = Known::default();
        for _ in 0..4 {
            assert_eq!(known.attempt(&[device(1), client(1)], at(60)), ThrottleDecision::Admitted);
        }
        assert_eq!(known.attempt(&[device(1), client(1)], at(0)), ThrottleDecision::Admitted);
        assert_eq!(known.0[device(1).key()].last_at, at(60), "time does not go back");
    }

    #[test]
    fn a_client_that_guesses_does_not_delay_the_others() {
        let mut known = Known::default();
        for second in 0..300 {
            known.guess(66, at(second));
        }
        assert!(matches!(known.guess(66, at(300)), ThrottleDecision::NotBefore(_)));
        assert_eq!(known.guess(1, at(300)), ThrottleDecision::Admitted, "a client that never failed");
        assert!(matches!(known.guess(1, at(300)), ThrottleDecision::NotBefore(_)), "now it has failed");
        assert_eq!(known.attempt(&[device(1)], at(300)), ThrottleDecision::Admitted, "a browser that signed in before");
        assert_eq!(
            known.attempt(&[ThrottleKey::account(&email())], at(300)),
            known.guess(1, at(300)),
            "no address is known"
        );
    }

    #[test]
    fn refused_attempts_count_for_their_client_only() {
        let mut known = Known::default();
        for _ in 0..49 {
            known.guess(66, at(0));
        }
        assert_eq!(known.count(&client(66)), 49);
        assert_eq!(known.count(&ThrottleKey::account(&email())), 5);
        assert_eq!(
            known.guess(66, at(0)),
            ThrottleDecision::NotBefore(at(1)),
            "of the account, and now of the client too"
        );
        assert_eq!(known.guess(66, at(0)), ThrottleDecision::NotBefore(at(2)), "it made the delay longer");
        assert_eq!(known.attempt(&[client(66)], at(0)), ThrottleDecision::NotBefore(at(4)), "whatever it tries");
    }

    #[test]
    fn a_client_that_signed_up_has_not_failed() {
        let (mut known, mary) = (Known::default(), ThrottleKey::enquiry([192, 0, 2, 1].into()));
        for _ in 0..50 {
            assert_eq!(known.attempt(&[mary], at(0)), ThrottleDecision::Admitted);
        }
        assert_eq!(known.attempt(&[client(1), mary], at(0)), ThrottleDecision::NotBefore(at(2)));
        for _ in 0..10 {
            known.guess(66, at(0));
        }
        assert_eq!(known.guess(1, at(0)), ThrottleDecision::Admitted);
    }

    #[test]
    fn a_client_whose_failures_were_forgiven_has_not_failed() {
        let mut known = Known::default();
        for _ in 0..10 {
            known.guess(66, at(0));
        }
        assert_eq!(known.guess(1, at(0)), ThrottleDecision::Admitted);
        // It was the right password.
        let forgiven = known.0[client(1).key()].one_less();
        known.0.insert(*client(1).key(), forgiven);
        assert_eq!((known.count(&client(1)), known.guess(1, at(0))), (0, ThrottleDecision::Admitted));
        assert_eq!(known.guess(1, at(0)), ThrottleDecision::NotBefore(at(4)), "that was not forgiven");
    }

    #[test]
    fn many_addresses_get_at_most_a_hundred_free_guesses() {
        let mut known = Known::default();
        for n in 0..100 {
            assert_eq!(known.guess(n, at(0)), ThrottleDecision::Admitted, "{n}");
        }
        assert_eq!(known.guess(100, at(0)), ThrottleDecision::NotBefore(at(1)));
        assert_eq!(known.count(&client(100)), 0, "others' failures are not its own");
        assert_eq!(known.attempt(&[device(1)], at(0)), ThrottleDecision::Admitted);
    }

    #[test]
    fn an_account_is_counted_by_email_and_a_client_by_network() {
        let account = |text: &str| *ThrottleKey::account(&Email::parse(text).unwrap()).key();
        assert_eq!(account("Jane@example.com"), account("jane@EXAMPLE.com"));
        assert_ne!(account("jane@example.com"), account("john@example.com"));
        let client = |text: &str| *ThrottleKey::client(text.parse().unwrap()).key();
        assert_eq!(client("2001:db8:1:2:3:4:5:6"), client("2001:db8:1:2::"));
        assert_ne!(client("2001:db8:1:2::"), client("2001:db8:1:3::"));
        assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
        assert_ne!(client("192.0.2.1"), *ThrottleKey::exchanges_of("192.0.2.1".parse().unwrap()).key());
    }

    #[test]
    fn only_an_address_that_signs_in_is_a_client() {
        let address = [192, 0, 2, 1].into();
        assert!(ThrottleKey::client(address).is_client());
        for other in [
            ThrottleKey::account(&email()),
            ThrottleKey::first_attempts(&email()),
            ThrottleKey::enquiry(address),
            ThrottleKey::exchanges_of(address),
            device(1),
        ] {
            assert!(!other.is_client(), "{other:?}");
        }
    }

    #[test]
    fn a_device_counts_for_one_account() {
        let other = ThrottleKey::device(&Email::parse("john@example.com").unwrap(), DeviceId::from_random([1; 16]));
        assert_ne!(device(1).key(), other.key());
        assert_ne!(device(1).key(), device(2).key());
    }
}
