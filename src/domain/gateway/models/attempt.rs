//! Attempts to sign in with a password, and how long one has to wait after those that failed. Every attempt counts as a
//! failure from the moment it begins, so that a thousand at once are a thousand; one that succeeds is forgiven.

use std::net::{IpAddr, Ipv6Addr};

use chrono::{DateTime, TimeDelta, Utc};

use super::{account::Email, token::TokenDigest};

/// How long a failure is remembered after the last one.
pub const REMEMBERED_FOR: TimeDelta = TimeDelta::hours(1);

/// How the delay grows: none up to `free` failures, then a second, then twice as long after each further one, up to
/// `longest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Schedule {
    free: u32,
    longest: TimeDelta,
}

/// The owner of an account waits with whoever guesses at it, so the delay is short: nobody can lock another out for more
/// than a minute at a time. It still leaves 1,440 guesses a day, from however many addresses.
const OF_ACCOUNT: Schedule = Schedule { free: 4, longest: TimeDelta::minutes(1) };
/// Many people may share an address, so more is free; then it takes longer, since it hits hardly anybody else.
const OF_CLIENT: Schedule = Schedule { free: 49, longest: TimeDelta::minutes(15) };

impl Schedule {
    fn delay(self, failures: u32) -> TimeDelta {
        match failures.checked_sub(self.free + 1) {
            None => TimeDelta::zero(),
            // 2^20 seconds are longer than any delay.
            Some(beyond) => self.longest.min(TimeDelta::seconds(1 << beyond.min(20))),
        }
    }
}

/// Whom failures are counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    key: TokenDigest,
    schedule: Schedule,
}

impl Counted {
    /// An account, whether or not there is one: else a delay would tell which e-mails are known.
    pub fn account(email: &Email) -> Self {
        Self { key: TokenDigest::of(format!("account:{}", email.key()).as_bytes()), schedule: OF_ACCOUNT }
    }

    /// The exchanges of codes of a client's address.
    pub fn exchanges_of(address: IpAddr) -> Self {
        Self::address("exchange", address)
    }

    /// A client's address. Of IPv6 it is the network that counts (/64), of which anybody has as many addresses as they like.
    pub fn client(address: IpAddr) -> Self {
        Self::address("client", address)
    }

    fn address(what: &str, address: IpAddr) -> Self {
        let counted = match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        };
        Self { key: TokenDigest::of(format!("{what}:{counted}").as_bytes()), schedule: OF_CLIENT }
    }

    /// Under what a store counts.
    pub fn key(&self) -> &TokenDigest {
        &self.key
    }
}

/// How often it failed, and when last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failures {
    /// How many.
    pub count: u32,
    /// When the last attempt began.
    pub last_at: DateTime<Utc>,
}

impl Failures {
    /// One more, if the delay is over; else when it will be. `known` is what a store has.
    pub fn one_more(known: Option<Self>, of: &Counted, now: DateTime<Utc>) -> Result<Self, DateTime<Utc>> {
        let count = match known.filter(|known| now < known.forget_at()) {
            None => 0,
            Some(known) => {
                let until = known.last_at + of.schedule.delay(known.count);
                if now < until {
                    return Err(until);
                }
                known.count
            }
        };
        Ok(Self { count: count.saturating_add(1), last_at: now })
    }

    /// The same without the one that turned out to be none.
    #[must_use]
    pub fn one_less(self) -> Self {
        Self { count: self.count.saturating_sub(1), ..self }
    }

    /// From when on it does not matter any more.
    pub fn forget_at(self) -> DateTime<Utc> {
        self.last_at + REMEMBERED_FOR
    }
}

/// Whether an attempt may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may, and counts as a failure until it is forgiven.
    Admitted,
    /// It may not, and does not count.
    NotBefore(DateTime<Utc>),
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

    /// How long one has to wait after each of so many failures that came as soon as they could.
    fn delays(of: &Counted, failures: u32) -> Vec<i64> {
        let (mut known, mut now) = (None, at(0));
        (0..failures)
            .map(|_| {
                let failed = Failures::one_more(known, of, now).unwrap();
                known = Some(failed);
                let until = Failures::one_more(known, of, now).err().unwrap_or(now);
                let delay = until - now;
                now = until;
                delay.num_seconds()
            })
            .collect()
    }

    #[test]
    fn the_delay_grows_up_to_a_cap() {
        assert_eq!(delays(&Counted::account(&email()), 13), [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        let of_client = delays(&Counted::client("192.0.2.1".parse().unwrap()), 62);
        assert!(of_client[..49].iter().all(|delay| *delay == 0));
        assert_eq!(of_client[49..], [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
        // However long somebody goes on.
        let many = Failures { count: u32::MAX, last_at: at(0) };
        assert_eq!(Failures::one_more(Some(many), &Counted::account(&email()), at(59)), Err(at(60)));
        assert_eq!(Failures::one_more(Some(many), &Counted::account(&email()), at(60)).unwrap().count, u32::MAX);
    }

    #[test]
    fn failures_are_forgotten_an_hour_after_the_last() {
        let (of, known) = (Counted::account(&email()), Failures { count: 9, last_at: at(0) });
        assert_eq!(Failures::one_more(Some(known), &of, at(3599)).unwrap().count, 10);
        assert_eq!(Failures::one_more(Some(known), &of, at(3600)).unwrap().count, 1);
    }

    #[test]
    fn what_was_none_leaves_no_delay() {
        let of = Counted::account(&email());
        let known = Failures { count: 5, last_at: at(0) };
        assert!(Failures::one_more(Some(known), &of, at(0)).is_err());
        assert_eq!(Failures::one_more(Some(known.one_less()), &of, at(0)).unwrap().count, 5);
        assert_eq!(Failures { count: 0, last_at: at(0) }.one_less().count, 0);
    }

    #[test]
    fn an_account_is_its_email_and_a_client_its_network() {
        let account = |text: &str| *Counted::account(&Email::parse(text).unwrap()).key();
        assert_eq!(account("Jane@example.com"), account("jane@EXAMPLE.com"));
        assert_ne!(account("jane@example.com"), account("john@example.com"));
        let client = |text: &str| *Counted::client(text.parse().unwrap()).key();
        assert_eq!(client("2001:db8:1:2:3:4:5:6"), client("2001:db8:1:2::"));
        assert_ne!(client("2001:db8:1:2::"), client("2001:db8:1:3::"));
        assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
        assert_ne!(client("192.0.2.1"), *Counted::exchanges_of("192.0.2.1".parse().unwrap()).key());
    }
}
