//! Parses the traffic policy of a route: addresses, presets, and the parts in the files beside this one.

use std::{net::IpAddr, ops::RangeInclusive, sync::Arc, time::Duration};

use ipnet::IpNet;
use toml::Spanned;

use super::{Parser, RouteEntry, fields::words, reader::one_of};
use crate::domain::gateway::models::{
    rate_limit::{CountedMethods, LimitBy, RateLimit, RateLimits},
    service::{AddressRule, TrafficPolicy, canonical_network},
};

mod answers;
mod header_rules;
mod rate_limits;
pub(super) mod tables;

/// The most requests in the time of a limit: more than a gateway can serve in a second.
const MOST_REQUESTS: i64 = 1_000_000;

/// The statuses of fixed responses, but for those that say more than a fixed response can.
const STATUSES: RangeInclusive<i64> = 200..=599;

/// `protect = "login"`: 10 attempts at once, 10 more in each minute, and 100 in an hour, per address. That is the limit
/// of OWASP ASVS 2.2.1 for one account, and leaves room for a household or a small office. GET, HEAD and OPTIONS do not
/// count: to open the form is no attempt. All replicas count together, if there is a Redis.
fn login_limits(shared: bool) -> [RateLimit; 2] {
    [(10, Duration::from_mins(1)), (100, Duration::from_hours(1))].map(|(requests, per)| RateLimit {
        requests,
        per,
        burst: requests,
        by: LimitBy::Address,
        methods: CountedMethods::Unsafe,
        shared,
    })
}

/// The presets of `protect`.
#[derive(Clone, Copy)]
enum Preset {
    Login,
}

const PRESETS: [(&str, Preset); 1] = [("login", Preset::Login)];

pub(super) fn preset_words() -> Vec<&'static str> {
    words(&PRESETS)
}

impl Parser<'_, '_> {
    /// The policy, if the route has one; the outer `None` means that a mistake was noted.
    #[expect(clippy::option_option, reason = "the outer one means that a mistake was noted")]
    pub(super) fn traffic(&mut self, entry: &RouteEntry) -> Option<Option<Arc<TrafficPolicy>>> {
        let allow = entry.allow_ips.as_ref().map(|given| self.networks("allow_ips", given));
        let deny = entry.deny_ips.as_ref().map(|given| self.networks("deny_ips", given));
        let preset = entry.protect.as_ref().map(|given| self.field("protect", given, |text| one_of(text, &PRESETS)));
        let own_limits = self.rate_limits(entry.rate_limit.as_ref());
        let request_headers = self.request_headers(entry.request_headers.as_ref());
        let response_headers = self.response_headers(entry.response_headers.as_ref());
        let answer = self.answer(entry);
        let mut limits = match preset {
            None => Vec::new(),
            Some(Some(Preset::Login)) => login_limits(self.known.redis == Some(true)).to_vec(),
            Some(None) => return None,
        };
        limits.extend(own_limits?);
        let policy = TrafficPolicy {
            addresses: AddressRule {
                allow: match allow {
                    None => None,
                    Some(networks) => Some(networks?),
                },
                deny: deny.unwrap_or_else(|| Some(Vec::new()))?,
            },
            rate_limits: RateLimits::new(limits),
            request_headers: request_headers?,
            response_headers: response_headers?,
            answer: answer?,
            compress: entry.compress.as_ref().is_some_and(|given| *given.get_ref()),
        };
        Some((policy != TrafficPolicy::default()).then(|| Arc::new(policy)))
    }

    fn networks(&mut self, name: &str, given: &Spanned<Vec<String>>) -> Option<Vec<IpNet>> {
        self.field(name, given, |texts| {
            let wrong = texts.iter().find(|text| network(text).is_none());
            let rule = "must be a list of addresses and CIDRs, such as [\"10.0.0.0/8\", \"192.0.2.7\"]";
            match wrong {
                Some(wrong) => Err(format!("{rule}; {wrong:?} is neither")),
                // An empty list is a mistake: it would allow nobody, or deny nobody.
                None if texts.is_empty() => Err(rule.to_owned()),
                None => Ok(texts.iter().filter_map(|text| network(text)).collect()),
            }
        })
    }
}

fn network(text: &str) -> Option<IpNet> {
    let single = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(single).map(canonical_network)
}

#[cfg(test)]
mod tests;
