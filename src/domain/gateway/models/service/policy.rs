//! How the instances of a service are chosen, checked and protected.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use super::super::http::path::PathPrefix;

/// How the instances of a service are chosen, checked and protected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServicePolicy {
    /// How an instance is chosen for a request.
    pub balancing: Balancing,
    /// How long a new instance, or one that returns, gets fewer requests than the others. Zero: not at all.
    pub slow_start: Duration,
    /// The active check, if there is one.
    pub check: Option<HealthCheck>,
    /// When an instance is ejected because of its responses.
    pub ejection: Ejection,
    /// When the service gets no requests at all for a while; `None` for never.
    pub breaker: Option<Breaker>,
    /// The most requests in flight; `None` if `MAX_REQUESTS_PER_SERVICE` is the limit.
    pub max_requests: Option<usize>,
    /// The most requests that wait for the head of a response; `None` for no limit of its own.
    pub max_pending: Option<usize>,
    /// How long a connection is used before it is replaced, so that a name that has moved is left.
    pub connection_age: Option<Duration>,
    /// How its certificate is verified, and ours is shown.
    pub tls: ServiceTls,
}

/// How an instance is chosen for a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Balancing {
    /// Of two random instances, the one with fewer requests in flight.
    #[default]
    LeastOfTwo,
    /// One after another, by their weights.
    RoundRobin,
    /// The instance with the fewest requests in flight.
    LeastRequests,
    /// The same instance for the same key, by consistent hashing.
    Hash(HashKey),
    /// The instance that a cookie of the gateway names. The first response sets it.
    StickyCookie(String),
}

/// The property of a request that is hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashKey {
    /// The value of a header.
    Header(String),
    /// The value of a cookie.
    Cookie(String),
    /// The client's address.
    Client,
}

/// A range of status codes.
pub type StatusRange = RangeInclusive<u16>;

/// An active check: a request that an instance must answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// The path, below the base path of the instance.
    pub path: PathPrefix,
    /// The time between two checks of an instance.
    pub interval: Duration,
    /// The time in which it must answer.
    pub timeout: Duration,
    /// The expected status codes.
    pub status: StatusRange,
    /// After this many failed checks in a row it gets no more requests.
    pub unhealthy_after: u32,
    /// After this many successful checks in a row it gets requests again.
    pub healthy_after: u32,
}

/// The path of a check that names none.
const USUAL_CHECK_PATH: &str = "/health";

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            path: USUAL_CHECK_PATH.parse().unwrap_or_default(),
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
            status: 200..=299,
            unhealthy_after: 3,
            healthy_after: 1,
        }
    }
}

/// When an instance is ejected because of its responses, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ejection {
    /// After this many failures in a row; 0 for never.
    pub after: u32,
    /// For how long the first time. The time doubles with each ejection in a row.
    pub time: Duration,
    /// The longest such time.
    pub max_time: Duration,
}

impl Default for Ejection {
    fn default() -> Self {
        Self { after: 5, time: Duration::from_secs(5), max_time: Duration::from_mins(2) }
    }
}

/// When a service gets no requests at all for a while, because too many have failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    /// The share of requests that fail, in percent.
    pub failures: u32,
    /// The least number of requests in the window: a few failures say nothing.
    pub requests: u32,
    /// The time in which requests are counted.
    pub window: Duration,
    /// For how long it gets none. Then one request shows whether it works again.
    pub open: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 50, requests: 20, window: Duration::from_secs(10), open: Duration::from_secs(5) }
    }
}

/// TLS to a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ServiceTls {
    /// A PEM file with the certificates that its certificate must lead to; `None` for those of the system.
    pub ca: Option<PathBuf>,
    /// The PEM files of the client certificate and its key, if one is shown.
    pub client: Option<(PathBuf, PathBuf)>,
    /// The name in its certificate, if that is not the host of the URL.
    pub server_name: Option<String>,
}
