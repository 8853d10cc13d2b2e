//! Parses the rate limits of a route.

use std::{ops::RangeInclusive, time::Duration};

use toml::Spanned;

use super::{MOST_REQUESTS, tables::RateLimitEntry};
use crate::{
    config::routes::{Parser, shapes::TableOrTables, units},
    domain::gateway::models::{
        http::header_rules::{Change, Direction, RuledHeader},
        rate_limit::{CountedMethods, LimitBy, RateLimit},
    },
};

/// The times of limits. Longer ones would keep their counts for longer than a process usually lives.
const TIMES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);

/// How many times `requests` a burst may be: a bucket then takes as many times `per` to fill.
const MOST_BURSTS: i64 = 10;

/// The most limits of a route: each costs every request a look-up.
const MOST_LIMITS: usize = 8;

impl Parser<'_, '_> {
    /// One limit, or a list of limits.
    pub(super) fn rate_limits(
        &mut self,
        given: Option<&Spanned<TableOrTables<RateLimitEntry>>>,
    ) -> Option<Vec<RateLimit>> {
        let Some(given) = given else { return Some(Vec::new()) };
        let TableOrTables(limits) = given.get_ref();
        if !(1..=MOST_LIMITS).contains(&limits.len()) {
            let example = "[{ requests = 100, per = \"1m\", by = \"address\" }]";
            self.note(given, format!("rate_limit must have 1 to {MOST_LIMITS} limits, such as {example}"));
            return None;
        }
        let limits: Vec<Option<RateLimit>> = limits.iter().map(|one| self.rate_limit(one)).collect();
        limits.into_iter().collect()
    }

    fn rate_limit(&mut self, entry: &RateLimitEntry) -> Option<RateLimit> {
        let requests =
            entry.requests.as_ref().and_then(|given| self.count("rate_limit.requests", given, MOST_REQUESTS));
        let per = entry.per.as_ref().and_then(|given| {
            self.field("rate_limit.per", given, |text| {
                let whole = |time: &Duration| time.subsec_nanos() == 0 && TIMES.contains(time);
                units::duration(text).filter(whole).ok_or_else(|| {
                    let (least, most) = (units::show(*TIMES.start()), units::show(*TIMES.end()));
                    format!("must be a duration from {least} to {most} in whole seconds, such as 1m")
                })
            })
        });
        let by = match &entry.by {
            None => Some(LimitBy::Address),
            Some(given) => self.field("rate_limit.by", given, |text| {
                limit_by(text).ok_or_else(|| {
                    "must be address, account, client, or header: and a header's name, such as header:X-Api-Key"
                        .to_owned()
                })
            }),
        };
        let requests = requests?;
        let burst = match &entry.burst {
            None => Some(requests),
            Some(given) => self.count("rate_limit.burst", given, i64::from(requests) * MOST_BURSTS),
        };
        let shared = self.shared(entry.shared.as_ref());
        Some(RateLimit { requests, per: per?, burst: burst?, by: by?, methods: CountedMethods::All, shared: shared? })
    }

    fn shared(&mut self, given: Option<&Spanned<bool>>) -> Option<bool> {
        match given {
            Some(given) if *given.get_ref() && self.known.redis == Some(false) => {
                self.note(
                    given,
                    "rate_limit.shared must be false without REDIS_URL; the replicas count together in a Redis",
                );
                None
            }
            given => Some(given.is_some_and(|given| *given.get_ref())),
        }
    }

    fn count(&mut self, name: &str, given: &Spanned<i64>, most: i64) -> Option<u32> {
        self.field(name, given, |&number| {
            let count = u32::try_from(number).ok().filter(|_| (1..=most).contains(&number));
            count.ok_or_else(|| format!("must be 1 to {most}"))
        })
    }
}

fn limit_by(text: &str) -> Option<LimitBy> {
    match text {
        "address" => Some(LimitBy::Address),
        "account" => Some(LimitBy::Account),
        "client" => Some(LimitBy::Client),
        _ => {
            // A header that the gateway removes from requests would never be there; credentials are checked, and count
            // by account.
            let header = RuledHeader::new(text.strip_prefix("header:")?, Direction::Request, Change::Remove).ok()?;
            Some(LimitBy::Header(header.as_str().into()))
        }
    }
}
