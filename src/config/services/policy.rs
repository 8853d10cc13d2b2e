//! Parses how the instances of a service are chosen, checked and protected. `None` means that a mistake was noted.

use std::{ops::RangeInclusive, time::Duration};

use toml::Spanned;

use super::{
    MANY,
    entry::{BreakerEntry, CheckEntry, EjectEntry, ServiceEntry},
    tls,
};
use crate::{
    config::reading::{fields::words, file::FileReader, reader::one_of, units},
    domain::gateway::models::{
        http::path::PathPrefix,
        service::{Balancing, Breaker, Ejection, HashKey, HealthCheck, ServicePolicy, ServiceTls, StatusRange},
    },
};

#[expect(clippy::cast_possible_wrap, reason = "it is a million")]
pub(super) const MOST_REQUESTS: i64 = MANY as i64;

/// The bounds of what happens "in a row".
pub(super) const COUNTS: RangeInclusive<i64> = 1..=100;
/// 0 is never.
pub(super) const EJECT_AFTER: RangeInclusive<i64> = 0..=1000;

pub(super) const PERCENT: RangeInclusive<i64> = 1..=100;
pub(super) const BREAKER_REQUESTS: RangeInclusive<i64> = 1..=MOST_REQUESTS;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const SLOW_START: RangeInclusive<Duration> = Duration::ZERO..=HOUR;
/// More often is load, not health.
const CHECK_INTERVAL: RangeInclusive<Duration> = Duration::from_millis(100)..=HOUR;
const CHECK_TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(1)..=HOUR;
const EJECTION_TIME: RangeInclusive<Duration> = Duration::from_millis(100)..=DAY;
const BREAKER_TIME: RangeInclusive<Duration> = Duration::from_millis(100)..=HOUR;
/// A connection that is younger is hardly worth its handshake.
const CONNECTION_AGE: RangeInclusive<Duration> = Duration::from_secs(1)..=DAY;

/// The words of `balance`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Balance {
    LeastOfTwo,
    RoundRobin,
    LeastRequests,
    Hash,
    Sticky,
}

const BALANCE: [(&str, Balance); 5] = [
    ("least-of-two", Balance::LeastOfTwo),
    ("round-robin", Balance::RoundRobin),
    ("least-requests", Balance::LeastRequests),
    ("hash", Balance::Hash),
    ("sticky", Balance::Sticky),
];

pub(super) fn balance_words() -> Vec<&'static str> {
    words(&BALANCE)
}

/// Reads the policy of a service.
pub(super) fn policy(file: &mut FileReader<'_>, entry: &ServiceEntry) -> Option<ServicePolicy> {
    let balancing = balancing(file, entry);
    let slow_start = duration(file, "slow_start", entry.slow_start.as_ref(), &SLOW_START);
    let check = match &entry.check {
        None => Some(None),
        Some(given) => check(file, given.get_ref()).map(Some),
    };
    let ejection = match &entry.eject {
        None => Some(Ejection::default()),
        Some(given) => ejection(file, given.get_ref()),
    };
    let breaker = match &entry.breaker {
        None => Some(None),
        Some(given) => breaker(file, given.get_ref()).map(Some),
    };
    let limit = 1..=MOST_REQUESTS;
    let max_requests = number(file, "max_requests", entry.max_requests.as_ref(), &limit);
    let max_pending = number(file, "max_pending", entry.max_pending.as_ref(), &limit);
    let connection_age = duration(file, "connection_age", entry.connection_age.as_ref(), &CONNECTION_AGE);
    let tls = match &entry.tls {
        None => Some(ServiceTls::default()),
        Some(given) => tls::read(file, given),
    };
    Some(ServicePolicy {
        balancing: balancing?,
        slow_start: slow_start?.unwrap_or_default(),
        check: check?,
        ejection: ejection?,
        breaker: breaker?,
        max_requests: max_requests?,
        max_pending: max_pending?,
        connection_age: connection_age?,
        tls: tls?,
    })
}

fn balancing(file: &mut FileReader<'_>, entry: &ServiceEntry) -> Option<Balancing> {
    let balance = match &entry.balance {
        None => Some(Balance::LeastOfTwo),
        Some(given) => file.field("balance", given, |text| one_of(text, &BALANCE)),
    };
    let key = entry.hash_on.as_ref().map(|given| file.field("hash_on", given, |text| hash_key(text)));
    let cookie = entry.cookie.as_ref().map(|given| file.field("cookie", given, |text| cookie_name(text)));
    // If `balance` is invalid, nothing says which of the others belong to it.
    let balance = balance?;
    if let Some(given) = entry.hash_on.as_ref().filter(|_| balance != Balance::Hash) {
        file.note(given, "hash_on needs balance = \"hash\"");
    }
    if let Some(given) = entry.cookie.as_ref().filter(|_| balance != Balance::Sticky) {
        file.note(given, "cookie needs balance = \"sticky\"");
    }
    let misplaced = (key.is_some() && balance != Balance::Hash) || (cookie.is_some() && balance != Balance::Sticky);
    match balance {
        _ if misplaced => None,
        Balance::LeastOfTwo => Some(Balancing::LeastOfTwo),
        Balance::RoundRobin => Some(Balancing::RoundRobin),
        Balance::LeastRequests => Some(Balancing::LeastRequests),
        Balance::Hash => {
            let rule = "balance needs hash_on with \"hash\"; it says which requests belong together, such as hash_on = \
                        \"header:X-Tenant\"";
            needed(file, entry, key, rule).map(Balancing::Hash)
        }
        Balance::Sticky => {
            let rule = "balance needs cookie with \"sticky\"; it names the cookie that the gateway sets, such as cookie = \
                        \"instance\"";
            needed(file, entry, cookie, rule).map(Balancing::StickyCookie)
        }
    }
}

/// A value without which `balance` means nothing.
#[expect(clippy::option_option, reason = "the inner one means that a mistake was noted")]
fn needed<T>(file: &mut FileReader<'_>, entry: &ServiceEntry, given: Option<Option<T>>, rule: &str) -> Option<T> {
    if let (None, Some(balance)) = (&given, &entry.balance) {
        file.note(balance, rule);
    }
    given?
}

fn hash_key(text: &str) -> Result<HashKey, String> {
    match text.split_once(':') {
        Some(("header", name)) if is_token(name) => Ok(HashKey::Header(name.to_ascii_lowercase())),
        Some(("cookie", name)) if is_token(name) => Ok(HashKey::Cookie(name.to_owned())),
        None if text == "client" => Ok(HashKey::Client),
        Some(_) | None => Err("must be \"header:NAME\", \"cookie:NAME\" or \"client\"".to_owned()),
    }
}

/// The gateway sets this cookie itself, so it must be none of those that it has.
fn cookie_name(text: &str) -> Result<String, String> {
    const OURS: &str = "gateway_";
    let is_ours = text.to_ascii_lowercase().starts_with(OURS) || text.starts_with("__");
    let good = is_token(text) && !is_ours;
    good.then(|| text.to_owned()).ok_or_else(|| {
        format!("must be the name of a cookie; letters, digits, - and _, and at the beginning neither {OURS} nor __")
    })
}

/// A token of RFC 9110 §5.6.2: the name of a header or of a cookie.
fn is_token(text: &str) -> bool {
    const SIGNS: &[u8] = b"!#$%&'*+-.^_`|~";
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || SIGNS.contains(&byte))
}

fn check(file: &mut FileReader<'_>, entry: &CheckEntry) -> Option<HealthCheck> {
    let usual = HealthCheck::default();
    let path = match &entry.path {
        None => Some(usual.path),
        Some(given) => file.field("check.path", given, |text| {
            text.parse::<PathPrefix>().map_err(|hint| format!("must be a path, such as /health; {hint}"))
        }),
    };
    let interval = duration(file, "check.interval", entry.interval.as_ref(), &CHECK_INTERVAL);
    let timeout = duration(file, "check.timeout", entry.timeout.as_ref(), &CHECK_TIMEOUT);
    let status = match &entry.status {
        None => Some(usual.status),
        Some(given) => file.field("check.status", given, |text| {
            status(text).ok_or_else(|| "must be a status or a range, such as 204 or 200-299".to_owned())
        }),
    };
    let unhealthy_after = count(file, "check.unhealthy_after", entry.unhealthy_after.as_ref(), &COUNTS);
    let healthy_after = count(file, "check.healthy_after", entry.healthy_after.as_ref(), &COUNTS);
    let interval = interval?.unwrap_or(usual.interval);
    let given_timeout = timeout?;
    if let (Some(given), Some(timeout)) = (&entry.timeout, given_timeout)
        && timeout > interval
    {
        let interval = units::show(interval);
        file.field("check.timeout", given, |_| {
            Err::<(), _>(format!(
                "must be at most check.interval ({interval}); two checks of an instance never overlap"
            ))
        });
        return None;
    }
    Some(HealthCheck {
        path: path?,
        interval,
        timeout: given_timeout.unwrap_or(usual.timeout.min(interval)),
        status: status?,
        unhealthy_after: unhealthy_after?.unwrap_or(usual.unhealthy_after),
        healthy_after: healthy_after?.unwrap_or(usual.healthy_after),
    })
}

fn status(text: &str) -> Option<StatusRange> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let code = |text: &str| {
        let is_code = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|code| is_code && (100..=599).contains(code))
    };
    let range = code(from)?..=code(to)?;
    (!range.is_empty()).then_some(range)
}

fn ejection(file: &mut FileReader<'_>, entry: &EjectEntry) -> Option<Ejection> {
    let usual = Ejection::default();
    let after = count(file, "eject.after", entry.after.as_ref(), &EJECT_AFTER);
    let time = duration(file, "eject.time", entry.time.as_ref(), &EJECTION_TIME);
    let max_time = duration(file, "eject.max_time", entry.max_time.as_ref(), &EJECTION_TIME);
    let (time, given_max) = (time?.unwrap_or(usual.time), max_time?);
    if let (Some(given), Some(max_time)) = (&entry.max_time, given_max)
        && max_time < time
    {
        let time = units::show(time);
        file.field("eject.max_time", given, |_| Err::<(), _>(format!("must be at least eject.time ({time})")));
        return None;
    }
    let max_time = given_max.unwrap_or(usual.max_time.max(time));
    Some(Ejection { after: after?.unwrap_or(usual.after), time, max_time })
}

fn breaker(file: &mut FileReader<'_>, entry: &BreakerEntry) -> Option<Breaker> {
    let usual = Breaker::default();
    let failures = number(file, "breaker.failures", entry.failures.as_ref(), &PERCENT);
    let requests = number(file, "breaker.requests", entry.requests.as_ref(), &BREAKER_REQUESTS);
    let window = duration(file, "breaker.window", entry.window.as_ref(), &BREAKER_TIME);
    let open = duration(file, "breaker.open", entry.open.as_ref(), &BREAKER_TIME);
    Some(Breaker {
        failures: failures?.unwrap_or(usual.failures),
        requests: requests?.unwrap_or(usual.requests),
        window: window?.unwrap_or(usual.window),
        open: open?.unwrap_or(usual.open),
    })
}

/// The outer `None` means that a mistake was noted.
#[expect(clippy::option_option, reason = "the outer one means that a mistake was noted")]
fn duration(
    file: &mut FileReader<'_>,
    name: &str,
    given: Option<&Spanned<String>>,
    bounds: &RangeInclusive<Duration>,
) -> Option<Option<Duration>> {
    let Some(given) = given else { return Some(None) };
    let duration = file.field(name, given, |text| {
        units::duration(text).filter(|duration| bounds.contains(duration)).ok_or_else(|| {
            let (least, most) = (units::show(*bounds.start()), units::show(*bounds.end()));
            format!("must be a duration from {least} to {most}, such as 500ms or 10s")
        })
    });
    duration.map(Some)
}

/// The outer `None` means that a mistake was noted.
#[expect(clippy::option_option, reason = "the outer one means that a mistake was noted")]
fn number<T: TryFrom<i64>>(
    file: &mut FileReader<'_>,
    name: &str,
    given: Option<&Spanned<i64>>,
    bounds: &RangeInclusive<i64>,
) -> Option<Option<T>> {
    let Some(given) = given else { return Some(None) };
    let number = file.field(name, given, |&number| {
        let number = bounds.contains(&number).then(|| T::try_from(number).ok()).flatten();
        number.ok_or_else(|| format!("must be {} to {}", bounds.start(), bounds.end()))
    });
    number.map(Some)
}

/// The outer `None` means that a mistake was noted.
#[expect(clippy::option_option, reason = "the outer one means that a mistake was noted")]
fn count(
    file: &mut FileReader<'_>,
    name: &str,
    given: Option<&Spanned<i64>>,
    bounds: &RangeInclusive<i64>,
) -> Option<Option<u32>> {
    number(file, name, given, bounds)
}
