//! Limits on the rate of requests: how many, in which time, and which requests count together.

use std::{fmt, sync::Arc, time::Duration};

use crate::domain::gateway::models::values::digest::Sha256Digest;

/// How many requests of one key (an address, an account, …) a route accepts.
///
/// A key has a bucket of `burst` requests, which is refilled evenly with `requests` in the time of `per`. So a client
/// that was silent may send `burst` requests at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// How many requests are accepted in the time of `per`; at least 1.
    pub requests: u32,
    /// The time: whole seconds, at least one.
    pub per: Duration,
    /// How many requests are accepted at once; at least 1.
    pub burst: u32,
    /// Which requests count together.
    pub by: LimitBy,
    /// Which methods count.
    pub methods: CountedMethods,
    /// Whether all replicas count together.
    pub shared: bool,
}

/// The size of a bucket, and how fast it is refilled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketRate {
    /// The time in which one request is refilled, in nanoseconds; at least 1.
    pub interval: u64,
    /// How many requests a full bucket has; at least 1.
    pub burst: u32,
}

impl BucketRate {
    /// The time in which an empty bucket becomes full, in nanoseconds.
    pub fn filling(self) -> u64 {
        self.interval.saturating_mul(self.burst.into())
    }
}

/// A request for one request out of a bucket that all replicas share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketDemand {
    /// Names the bucket: its limit, and which requests count together.
    pub bucket: Sha256Digest,
    /// Its rate.
    pub rate: BucketRate,
}

/// What came of demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BucketOutcome {
    /// Every bucket had a request: the times until each is full again, in the order of the demands.
    Taken(Vec<Duration>),
    /// A bucket was empty, and nothing was taken from any.
    Exhausted {
        /// The number of its demand.
        number: usize,
        /// The time until it has a request.
        wait: Duration,
    },
}

/// Which requests count together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LimitBy {
    /// Those of one client address; of an IPv6 network (/64).
    Address,
    /// Those of one subject. Without a caller: of one address.
    Account,
    /// Those of one client (`client_id`). If the credential names none: of one subject, else of one address.
    Client,
    /// Those with the same value of this header (its name in lower case). Without the header: of one address.
    Header(Arc<str>),
}

/// Which methods a limit counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CountedMethods {
    /// All.
    #[default]
    All,
    /// All but GET, HEAD and OPTIONS, which change nothing.
    Unsafe,
}

impl RateLimit {
    /// The rate of its buckets.
    pub fn rate(&self) -> BucketRate {
        let per = u64::try_from(self.per.as_nanos()).unwrap_or(u64::MAX);
        BucketRate { interval: (per / u64::from(self.requests.max(1))).max(1), burst: self.burst }
    }

    /// Whether it is checked before the caller is authenticated, so that it also limits the guessing of credentials.
    pub fn is_by_address(&self) -> bool {
        self.by == LimitBy::Address
    }
}

impl fmt::Display for LimitBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("address"),
            Self::Account => f.write_str("account"),
            Self::Client => f.write_str("client"),
            Self::Header(name) => write!(f, "header:{name}"),
        }
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.methods {
            CountedMethods::All => "requests",
            CountedMethods::Unsafe => "unsafe requests",
        };
        let (time, unit) = match self.per.as_secs() {
            seconds if seconds % 3600 == 0 => (seconds / 3600, 'h'),
            seconds if seconds % 60 == 0 => (seconds / 60, 'm'),
            seconds => (seconds, 's'),
        };
        write!(f, "{} {kind} in {time}{unit} by {}", self.requests, self.by)?;
        if self.shared { f.write_str(", at all replicas together") } else { Ok(()) }
    }
}

/// The limits of a route. A request must meet all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RateLimits {
    limits: Vec<RateLimit>,
    /// The names of the limits in headers.
    names: Vec<String>,
    policy: String,
}

impl RateLimits {
    /// These limits, in the order in which they are checked.
    pub fn new(limits: Vec<RateLimit>) -> Self {
        let mut names: Vec<String> = Vec::new();
        for limit in &limits {
            let kind = match &limit.by {
                LimitBy::Address => "address",
                LimitBy::Account => "account",
                LimitBy::Client => "client",
                LimitBy::Header(_) => "header",
            };
            let alike = names.iter().filter(|name| name.split('-').next() == Some(kind)).count();
            names.push(if alike == 0 { kind.to_owned() } else { format!("{kind}-{}", alike + 1) });
        }
        let policies = limits.iter().zip(&names);
        let policies =
            policies.map(|(limit, name)| format!("\"{name}\";q={};w={}", limit.requests, limit.per.as_secs()));
        let policy = policies.collect::<Vec<_>>().join(", ");
        Self { limits, names, policy }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.limits.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.limits.len()
    }

    /// All limits.
    pub fn iter(&self) -> impl Iterator<Item = &RateLimit> {
        self.limits.iter()
    }

    /// The name of a limit in headers, by its number.
    pub fn name(&self, number: usize) -> Option<&str> {
        self.names.get(number).map(String::as_str)
    }

    /// The value of `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers).
    pub fn policy(&self) -> &str {
        &self.policy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(requests: u32, seconds: u64, by: LimitBy) -> RateLimit {
        let per = Duration::from_secs(seconds);
        RateLimit { requests, per, burst: requests, by, methods: CountedMethods::All, shared: false }
    }

    #[test]
    fn each_limit_has_a_name_of_its_own_in_headers() {
        let header = LimitBy::Header("x-api-key".into());
        let limits = RateLimits::new(vec![
            limit(10, 60, LimitBy::Address),
            limit(100, 3600, LimitBy::Address),
            limit(5, 1, header),
            limit(6, 1, LimitBy::Account),
        ]);
        let policy = "\"address\";q=10;w=60, \"address-2\";q=100;w=3600, \"header\";q=5;w=1, \"account\";q=6;w=1";
        assert_eq!(limits.policy(), policy);
        assert_eq!((limits.len(), limits.is_empty(), RateLimits::default().is_empty()), (4, false, true));
    }

    #[test]
    fn a_request_is_refilled_in_its_part_of_the_time() {
        let minute = limit(60, 60, LimitBy::Client);
        assert_eq!(minute.rate(), BucketRate { interval: 1_000_000_000, burst: 60 });
        assert_eq!(minute.rate().filling(), 60_000_000_000);
        assert_eq!(limit(1_000_000, 1, LimitBy::Client).rate().interval, 1000);
        assert_eq!(minute.to_string(), "60 requests in 1m by client");
        let shared = RateLimit { shared: true, ..minute };
        assert_eq!(shared.to_string(), "60 requests in 1m by client, at all replicas together");
    }
}
