//! Counts a request against the rate limits of its route, and tells its client what is left: `RateLimit-Policy` and
//! `RateLimit` (draft-ietf-httpapi-ratelimit-headers).

use std::{
    fmt::Write,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderName, Method};

use crate::{
    domain::gateway::models::{
        http::network::client_network,
        rate_limit::{BucketDemand, BucketOutcome, BucketRate, CountedMethods, LimitBy, RateLimit},
        service::{Route, TrafficPolicy},
        values::{digest::Sha256Digest, identity::Identity},
    },
    edge::{
        error::Failure,
        http::{
            header_list::HeaderList,
            message::{BodyLength, RequestHead},
            sanitize::is_method_override,
        },
        limits::buckets::{Buckets, Key},
    },
    problem::whole_seconds,
};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The sender of a request, as far as it is known.
pub(crate) struct Requester<'r> {
    pub(crate) address: IpAddr,
    /// The caller, once they are authorised.
    pub(crate) identity: Option<&'r Identity>,
    pub(crate) head: &'r RequestHead,
}

/// The requests that count together. A subject is never mistaken for one of another kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Subject<'r> {
    Address(IpAddr),
    Account(&'r str),
    Client(&'r str),
    Header(&'r [u8]),
}

impl<'r> Subject<'r> {
    fn of(limit: &RateLimit, requester: &'r Requester<'_>) -> Self {
        let identity = requester.identity;
        let account = || identity.map(|identity| Self::Account(&identity.subject));
        let found = match &limit.by {
            LimitBy::Address => None,
            LimitBy::Account => account(),
            LimitBy::Client => identity.and_then(Identity::client_id).map(Self::Client).or_else(account),
            LimitBy::Header(name) => {
                let name = HeaderName::from_bytes(name.as_bytes()).ok();
                name.and_then(|name| requester.head.headers.get(&name)).map(Self::Header)
            }
        };
        found.unwrap_or_else(|| Self::Address(client_network(requester.address)))
    }

    /// The bucket of these requests, as all replicas name it. A digest, as a store of counts has no use for addresses,
    /// names and keys.
    fn bucket(self, route: &Route, number: usize, limit: &RateLimit) -> Sha256Digest {
        let RateLimit { requests, per, burst, by, .. } = limit;
        let mut text =
            format!("{}\n{}\n{number} {requests} {} {burst} {by}\n", route.prefix, route.methods, per.as_secs())
                .into_bytes();
        match self {
            Self::Address(address) => text.extend(format!("address {address}").bytes()),
            Self::Account(subject) => text.extend(format!("account {subject}").bytes()),
            Self::Client(client) => text.extend(format!("client {client}").bytes()),
            Self::Header(value) => text.extend([b"header ", value].concat()),
        }
        Sha256Digest::of(&text)
    }
}

/// The limits of a request's route, and what is left of them.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    /// The route, if it has limits.
    route: Option<Arc<Route>>,
    left: Vec<Left>,
    /// What was taken here, if it may have to be put back: another limit, or another replica, may refuse the request.
    taken: Vec<(Key, BucketRate)>,
    /// What was taken here, and the other replicas do not know yet.
    shared: Vec<Shared>,
}

/// What is left of a limit.
#[derive(Debug, Clone, Copy)]
struct Left {
    /// The number of the limit.
    number: usize,
    remaining: u32,
    /// The time until one more request is accepted, in seconds.
    next: u64,
}

#[derive(Debug)]
struct Shared {
    /// The number of the limit.
    number: usize,
    key: Key,
    demand: BucketDemand,
}

impl Quotas {
    /// The limits of this route; none is checked yet.
    pub(crate) fn on(route: &Arc<Route>) -> Self {
        Self { route: Some(Arc::clone(route)), ..Self::default() }
    }

    fn policy(&self) -> Option<&TrafficPolicy> {
        self.route.as_deref()?.traffic.as_deref()
    }

    /// Counts the request against the chosen limits. If one refuses it, it counts against none, not even those that
    /// were checked before.
    pub(crate) fn take(
        &mut self,
        buckets: &Buckets,
        requester: &Requester<'_>,
        is_chosen: impl Fn(&RateLimit) -> bool,
    ) -> Result<(), Failure> {
        let Some(route) = self.route.clone() else { return Ok(()) };
        let Some(policy) = route.traffic.as_deref() else { return Ok(()) };
        let has_several = policy.rate_limits.len() > 1;
        let counts = |limit: &RateLimit| is_chosen(limit) && counts(limit.methods, requester.head);
        // Read once for all limits.
        let now = Instant::now();
        for (number, limit) in policy.rate_limits.iter().enumerate().filter(|(_, limit)| counts(limit)) {
            let rate = limit.rate();
            let subject = Subject::of(limit, requester);
            // A reload keeps the counts of limits that it does not change.
            let of_limit = (route.prefix.as_str(), &route.methods, number, rate.interval, rate.burst, &limit.by);
            let key = buckets.key((of_limit, subject));
            match buckets.take(key, rate, now) {
                Ok(taken) => {
                    if has_several || limit.shared {
                        self.taken.push((key, rate));
                    }
                    if limit.shared {
                        let bucket = subject.bucket(&route, number, limit);
                        self.shared.push(Shared { number, key, demand: BucketDemand { bucket, rate } });
                    }
                    self.left.push(Left { number, remaining: taken.remaining, next: whole_seconds(taken.next) });
                }
                Err(exhausted) => return Err(self.refuse(buckets, number, exhausted.wait)),
            }
        }
        Ok(())
    }

    /// Whether the other replicas have to be told of the request.
    pub(crate) fn has_shared(&self) -> bool {
        !self.shared.is_empty()
    }

    /// What the request takes out of the buckets that all replicas share.
    pub(crate) fn demands(&self) -> Vec<BucketDemand> {
        self.shared.iter().map(|shared| shared.demand).collect()
    }

    /// Takes over what all replicas have counted together; `None` if nobody could tell: then our own count stands.
    pub(crate) fn settle(&mut self, buckets: &Buckets, outcome: Option<BucketOutcome>) -> Result<(), Failure> {
        let shared = std::mem::take(&mut self.shared);
        let now = Instant::now();
        match outcome {
            None => Ok(()),
            Some(BucketOutcome::Taken(times)) => {
                for (Shared { number, key, demand }, full_in) in shared.iter().zip(times) {
                    let taken = buckets.learn(*key, demand.rate, full_in, now);
                    for left in self.left.iter_mut().filter(|left| left.number == *number) {
                        (left.remaining, left.next) = (taken.remaining, whole_seconds(taken.next));
                    }
                }
                Ok(())
            }
            Some(BucketOutcome::Exhausted { number, wait }) => {
                let Some(Shared { number, key, demand }) = shared.get(number) else { return Ok(()) };
                let failure = self.refuse(buckets, *number, wait);
                // With one request more the bucket would be full again after `wait` and the time in which an empty one
                // becomes full.
                let interval = Duration::from_nanos(demand.rate.interval);
                let full_in = (Duration::from_nanos(demand.rate.filling()) + wait).saturating_sub(interval);
                buckets.learn(*key, demand.rate, full_in, now);
                Err(failure)
            }
        }
    }

    /// The refusal by a limit. What the request has taken is put back.
    fn refuse(&mut self, buckets: &Buckets, number: usize, wait: Duration) -> Failure {
        for (key, rate) in self.taken.drain(..) {
            buckets.put_back(key, rate);
        }
        let retry_after = whole_seconds(wait);
        // What was noted of the other limits is not true any more.
        self.left = vec![Left { number, remaining: 0, next: retry_after }];
        Failure::RateLimited { retry_after }
    }

    /// Tells the client, if the request was counted. Limits of the service itself would contradict ours under the same
    /// names, and are replaced.
    pub(crate) fn apply(&self, headers: &mut HeaderList) {
        let Some(policy) = self.policy().filter(|_| !self.left.is_empty()) else { return };
        let mut left = String::new();
        for Left { number, remaining, next } in &self.left {
            let Some(name) = policy.rate_limits.name(*number) else { continue };
            let comma = if left.is_empty() { "" } else { ", " };
            // Writing to a `String` cannot fail.
            let _ = write!(left, "{comma}\"{name}\";r={remaining};t={next}");
        }
        headers.insert(RATE_LIMIT_POLICY, policy.rate_limits.policy());
        headers.insert(RATE_LIMIT, &left);
    }
}

/// Whether a limit counts a request. With a body, or as another method in disguise, a safe one may change something.
fn counts(methods: CountedMethods, head: &RequestHead) -> bool {
    match methods {
        CountedMethods::All => true,
        CountedMethods::Unsafe => {
            !matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS)
                || !matches!(head.length, BodyLength::None | BodyLength::Known(0))
                || head.headers.iter().any(|(name, _)| is_method_override(name.as_str()))
        }
    }
}

#[cfg(test)]
mod tests;
