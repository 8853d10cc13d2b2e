//! The traffic policy of a route: what it limits, refuses, changes and answers by itself, beyond its access rule.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use ipnet::{IpNet, Ipv4Net};

use crate::domain::gateway::models::{http::header_rules::HeaderRules, rate_limit::RateLimits};

/// The traffic policy of a route. A route without any has none of these rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrafficPolicy {
    /// The clients that may send requests, by their addresses.
    pub addresses: AddressRule,
    /// How many requests are accepted.
    pub rate_limits: RateLimits,
    /// Changes to the headers of requests for the service.
    pub request_headers: HeaderRules,
    /// Changes to the headers of responses.
    pub response_headers: HeaderRules,
    /// The gateway's own answer to all requests, instead of the service's.
    pub answer: Option<FixedAnswer>,
    /// Whether plain responses of the service are compressed.
    pub compress: bool,
}

impl TrafficPolicy {
    /// Whether every request that passes `one` also passes `other`, as far as these rules can tell.
    pub(super) fn implies(one: Option<&Self>, other: Option<&Self>) -> bool {
        let Some(other) = other else { return true };
        let same = one.is_some_and(|one| {
            one.addresses == other.addresses && one.rate_limits == other.rate_limits && one.answer == other.answer
        });
        same || !other.restricts()
    }

    /// Whether any request is refused, or answered without the service.
    fn restricts(&self) -> bool {
        self.addresses != AddressRule::default() || !self.rate_limits.is_empty() || self.answer.is_some()
    }

    /// The restrictions in words, for people.
    pub fn restrictions(&self) -> Vec<String> {
        let addresses = (self.addresses != AddressRule::default()).then(|| "only from some addresses".to_owned());
        let limits = self.rate_limits.iter().map(|limit| format!("at most {limit}"));
        addresses.into_iter().chain(limits).chain(self.answer.as_ref().map(FixedAnswer::to_string)).collect()
    }
}

/// The clients that may send requests, by their addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressRule {
    /// Only these, unless they are denied; `None`: all.
    pub allow: Option<Vec<IpNet>>,
    /// These not.
    pub deny: Vec<IpNet>,
}

impl AddressRule {
    /// Whether a client with this address may send requests.
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let is_in = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&address));
        !is_in(&self.deny) && self.allow.as_deref().is_none_or(is_in)
    }
}

/// The IPv4 network that a network of IPv4-mapped IPv6 addresses stands for; every other network itself. Addresses of
/// clients are compared in that form.
pub fn canonical_network(network: IpNet) -> IpNet {
    /// The length of `::ffff:0:0`, after which the IPv4 address follows.
    const MAPPED_BITS: u8 = 96;
    let IpNet::V6(v6) = network else { return network };
    let v4 = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(MAPPED_BITS));
    v4.and_then(|(address, bits)| Ipv4Net::new(address, bits).ok()).map_or(network, IpNet::V4)
}

/// The gateway's own answer to all requests of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FixedAnswer {
    /// Another address has what the client wants.
    Redirect(Redirect),
    /// Always the same response.
    Respond(Respond),
    /// 503, until the operator says otherwise.
    Maintenance(Maintenance),
}

impl fmt::Display for FixedAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redirect(redirect) => write!(f, "redirected to {}", redirect.to),
            Self::Respond(respond) => write!(f, "answered with {}", respond.status),
            Self::Maintenance(_) => f.write_str("closed for maintenance"),
        }
    }
}

/// A redirect to an address that the configuration fixes, at least up to its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// The status: 301, 302, 307 or 308.
    pub status: u16,
    /// The address: an `http` or `https` URL, or a path. It ends with `/` if the rest of the path is appended.
    pub to: String,
    /// Whether the rest of the request's path, after the route's prefix, and its query are appended.
    pub with_rest: bool,
}

impl Redirect {
    /// The address for a request: `rest` is the canonical path after the route's prefix. A path among the services is
    /// the one with the same `api_prefix` as the request's.
    pub fn address(&self, api_prefix: &str, rest: &str, query: Option<&str>) -> String {
        let is_service_path = super::Route::is_service_path(&self.to);
        let mut address = if is_service_path { api_prefix.to_owned() } else { String::new() };
        address.push_str(&self.to);
        if self.with_rest {
            // A second slash at the beginning of a path would make the next segment a host.
            address.push_str(rest.trim_start_matches('/'));
            if let Some(query) = query {
                address.push('?');
                address.push_str(query);
            }
        }
        address
    }
}

/// Always the same response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Respond {
    /// The status.
    pub status: u16,
    /// The value of `Content-Type`, if there is a body.
    pub content_type: Option<String>,
    /// The body.
    pub body: Arc<str>,
}

/// 503, until the operator says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintenance {
    /// When a client may try again.
    pub retry_after: Duration,
    /// What people are told; `None`: the usual words.
    pub message: Option<Arc<str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| canonical_network(text.parse().unwrap())).collect()
    }

    #[test]
    fn denied_addresses_are_refused_even_among_the_allowed() {
        let rule = AddressRule {
            allow: Some(networks(&["10.0.0.0/8", "2001:db8::/32", "::ffff:192.0.2.0/120"])),
            deny: networks(&["10.6.0.0/16", "::ffff:10.7.0.1/128"]),
        };
        for (address, is_allowed) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("10.6.0.1", false),
            ("::ffff:10.6.0.1", false),
            ("10.7.0.1", false),
            ("10.7.0.2", true),
            ("11.0.0.1", false),
            ("192.0.2.77", true),
            ("192.0.3.1", false),
            ("2001:db8::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(rule.allows(address.parse().unwrap()), is_allowed, "{address}");
        }
        let only_deny = AddressRule { allow: None, deny: networks(&["10.0.0.0/8"]) };
        assert!(only_deny.allows("192.0.2.1".parse().unwrap()) && !only_deny.allows("10.0.0.1".parse().unwrap()));
        let nobody = AddressRule { allow: Some(Vec::new()), deny: Vec::new() };
        assert!(!nobody.allows("192.0.2.1".parse().unwrap()));
        assert!(AddressRule::default().allows("::1".parse().unwrap()));
    }

    #[test]
    fn networks_of_mapped_addresses_are_ipv4_networks() {
        for (network, canonical) in [
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:0.0.0.0/96", "0.0.0.0/0"),
            ("::ffff:0.0.0.0/90", "::ffff:0.0.0.0/90"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("10.0.0.0/8", "10.0.0.0/8"),
        ] {
            assert_eq!(canonical_network(network.parse().unwrap()), canonical.parse::<IpNet>().unwrap(), "{network}");
        }
    }

    #[test]
    fn a_redirect_never_leaves_the_configured_host() {
        let redirect = |to: &str, with_rest| Redirect { status: 307, to: to.to_owned(), with_rest };
        let outside = redirect("https://new.example/v2/", true);
        assert_eq!(outside.address("", "/a/b", Some("c=d")), "https://new.example/v2/a/b?c=d");
        assert_eq!(outside.address("/e", "", None), "https://new.example/v2/");
        assert_eq!(redirect("https://new.example/", false).address("", "/a", Some("b")), "https://new.example/");
        // `//` may be allowed in paths.
        assert_eq!(redirect("/", true).address("", "//evil.example/x", None), "/evil.example/x");
        assert_eq!(redirect("/api/new/", true).address("/e", "/a", None), "/e/api/new/a");
        assert_eq!(redirect("/apis/", true).address("/e", "/a", None), "/apis/a");
    }

    #[test]
    fn a_policy_without_restrictions_is_implied_by_every_other() {
        let changes = TrafficPolicy { compress: true, ..TrafficPolicy::default() };
        let denies = |network: &str| TrafficPolicy {
            addresses: AddressRule { allow: None, deny: networks(&[network]) },
            ..TrafficPolicy::default()
        };
        let (one, other) = (denies("10.0.0.0/8"), denies("11.0.0.0/8"));
        let implies = |one: Option<&TrafficPolicy>, other: Option<&TrafficPolicy>| TrafficPolicy::implies(one, other);
        assert!(implies(None, None) && implies(None, Some(&changes)) && implies(Some(&one), Some(&changes)));
        assert!(implies(Some(&one), None) && implies(Some(&one), Some(&one.clone())));
        assert!(!implies(None, Some(&one)) && !implies(Some(&other), Some(&one)));
    }
}
