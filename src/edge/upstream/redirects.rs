//! Rewrites addresses in a service's response that point to the service itself, so that a client can use them, like
//! nginx's `proxy_redirect default`. A bare path is not changed: it is unknown whether the service means its own or the
//! one outside.

use http::{
    HeaderName,
    header::{CONTENT_LOCATION, LOCATION, REFRESH},
};
use url::{Position, Url};

use super::{cluster::endpoint::Endpoint, request_facts::RequestFacts};
use crate::{domain::gateway::models::service::HostSent, edge::http::header_list::HeaderList};

/// The facts of a request and the endpoint to which it went, to compute addresses outside.
pub(crate) struct Outside<'r> {
    facts: &'r RequestFacts<'r>,
    endpoint: &'r Endpoint,
}

impl<'r> Outside<'r> {
    pub(crate) fn new(facts: &'r RequestFacts<'r>, endpoint: &'r Endpoint) -> Self {
        Self { facts, endpoint }
    }

    /// Rewrites these headers of a response.
    pub(crate) fn put_into(&self, headers: &mut HeaderList) {
        for name in [LOCATION, CONTENT_LOCATION] {
            change(headers, &name, |address| self.of(address));
        }
        change(headers, &REFRESH, |value| {
            let (before, address, after) = refreshed(value)?;
            Some(format!("{before}{}{after}", self.of(address)?))
        });
    }

    /// The path outside for an address that points to the service.
    fn of(&self, address: &str) -> Option<String> {
        let scheme = match (address.starts_with("//"), self.endpoint.instance.tls) {
            (true, true) => "https:",
            (true, false) => "http:",
            (false, _) => "",
        };
        let url = Url::parse(&format!("{scheme}{address}")).ok()?;
        let is_plain =
            matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
        if !is_plain || !self.is_the_service(&url) {
            return None;
        }
        let (path, behind) = (url.path(), &url[Position::AfterPath..]);
        let route = self.facts.route;
        let of_service = path.strip_prefix(self.endpoint.instance.base_path.as_str())?;
        // A service that uses X-Forwarded-Prefix has written the path outside already.
        let outside = match route.upstream_prefix.rest(of_service) {
            _ if self.knows_its_prefix(path) => path.to_owned(),
            Some(rest) => format!("{}{}{rest}", self.facts.api_prefix, route.prefix.as_str()),
            None => return None,
        };
        let outside = if outside.is_empty() { "/" } else { &outside };
        Some(format!("{outside}{behind}"))
    }

    /// Whether an address is that of the endpoint, or of the `Host` that was sent to it.
    fn is_the_service(&self, url: &Url) -> bool {
        let is_at = |authority: &str| {
            // A service that was told that the client uses https writes that scheme, with the port that it knows.
            Url::parse(&format!("{}://{authority}/", url.scheme()))
                .is_ok_and(|at| at.host() == url.host() && at.port_or_known_default() == url.port_or_known_default())
        };
        is_at(&self.endpoint.authority)
            || (self.facts.route.host_sent == HostSent::Client && is_at(self.facts.host_at(self.endpoint)))
    }

    fn knows_its_prefix(&self, path: &str) -> bool {
        let outside = format!("{}{}", self.facts.api_prefix, self.facts.route.prefix.as_str());
        path.strip_prefix(&outside).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

fn change(headers: &mut HeaderList, name: &HeaderName, changed: impl Fn(&str) -> Option<String>) {
    // Two of them are ambiguous, and are left unchanged.
    if headers.all(name.clone()).nth(1).is_none()
        && let Some(changed) = headers.text(name).and_then(changed)
    {
        headers.insert(name.clone(), changed);
    }
}

/// The parts of a `Refresh`: the text up to its address, the address, and the text after it.
fn refreshed(value: &str) -> Option<(&str, &str, &str)> {
    let at = value
        .find(['u', 'U'])
        .filter(|&at| value[at..].get(..3).is_some_and(|word| word.eq_ignore_ascii_case("url")))?;
    let equals = at + 3 + value[at + 3..].find('=')?;
    if !value[at + 3..equals].trim().is_empty() {
        return None;
    }
    let begin = equals + 1 + value[equals + 1..].len() - value[equals + 1..].trim_start().len();
    let quote = value[begin..].chars().next().filter(|first| matches!(first, '"' | '\''));
    let begin = begin + quote.map_or(0, char::len_utf8);
    let end = quote.map_or(Some(value.len()), |quote| value[begin..].find(quote).map(|at| begin + at))?;
    Some((&value[..begin], value[begin..end].trim_end(), &value[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_refresh_is_found() {
        for (value, expected) in [
            ("5; url=http://a/b", Some(("5; url=", "http://a/b", ""))),
            ("0;URL = 'http://a/b' ", Some(("0;URL = '", "http://a/b", "' "))),
            ("0; Url=\"http://a\"", Some(("0; Url=\"", "http://a", "\""))),
            ("5", None),
            ("5; up=1", None),
            ("5; url", None),
            ("5; url x=1", None),
            ("0; url='http://a", None),
            ("u", None),
            ("5; ü", None),
        ] {
            assert_eq!(refreshed(value), expected, "{value}");
        }
    }
}
