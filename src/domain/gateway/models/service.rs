//! Services, their instances, and the routes that lead to them.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use foldhash::HashMap;
use thiserror::Error;

use super::{access::Access, header::TokenHeader, oauth::ProviderName};

/// The path under which a service without a route of its own is served: `/api/<service>/…`.
pub const SERVICES_PREFIX: &str = "/api";

/// The text is not a service name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a service name has 1 to 63 lower-case letters, digits and hyphens, and begins with a letter")]
pub struct InvalidServiceName;

/// Names a service: in paths (`/api/<name>/…`), in routes and, in upper case, in `<NAME>_SERVICE_URL`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceName(Arc<str>);

impl ServiceName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServiceName {
    type Err = InvalidServiceName;

    fn from_str(text: &str) -> Result<Self, InvalidServiceName> {
        let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let good = (1..=63).contains(&text.len())
            && text.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
            && text.bytes().all(letters);
        good.then(|| Self(text.into())).ok_or(InvalidServiceName)
    }
}

impl std::borrow::Borrow<str> for ServiceName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not the address of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "an instance is written http://host, http://host:port or http://host:port/base (or h2c:// for HTTP/2), without user, query or fragment"
)]
pub struct InvalidInstance;

/// What an instance speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpstreamProtocol {
    /// HTTP/1.1: `http://…`
    Http1,
    /// HTTP/2 with prior knowledge (RFC 9113 §3.3): `h2c://…`
    Http2,
}

/// One place where a service answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Instance {
    /// What it speaks.
    pub protocol: UpstreamProtocol,
    /// Host name or address, without the brackets of an IPv6 address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Put before every path sent there: empty, or `/…` without a slash at its end.
    pub base_path: String,
}

impl Instance {
    /// `host:port`, as it is sent in `Host` and written in logs.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Instance {
    type Err = InvalidInstance;

    fn from_str(text: &str) -> Result<Self, InvalidInstance> {
        let (protocol, url) = match text.strip_prefix("h2c://") {
            // Read as the address of HTTP that it is: of a scheme it does not know, `url` checks less.
            Some(rest) => (UpstreamProtocol::Http2, url::Url::parse(&format!("http://{rest}"))),
            None => (UpstreamProtocol::Http1, url::Url::parse(text)),
        };
        let url = url.map_err(|_| InvalidInstance)?;
        let plain = url.scheme() == "http"
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        let host = url.host_str().filter(|_| plain).ok_or(InvalidInstance)?;
        Ok(Self {
            protocol,
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: url.port_or_known_default().ok_or(InvalidInstance)?,
            base_path: url.path().trim_end_matches('/').to_owned(),
        })
    }
}

/// A service and where it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// Its instances; it may have none for now.
    pub instances: Vec<Arc<Instance>>,
}

/// The text is not a path prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a path begins with /, has no empty segment, no dot segment, no %, no query, and no / at its end")]
pub struct InvalidPrefix;

/// A path prefix that ends at a segment's border: `/api/users` is one of `/api/users` and `/api/users/1`, not of
/// `/api/usersettings`. The root is the empty prefix.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathPrefix(String);

impl PathPrefix {
    /// The prefix: empty, or `/…` without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What of `path` follows this prefix (empty or beginning with `/`), if it is one of it.
    pub fn rest<'p>(&self, path: &'p str) -> Option<&'p str> {
        path.strip_prefix(self.0.as_str()).filter(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl FromStr for PathPrefix {
    type Err = InvalidPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidPrefix> {
        if text.is_empty() || text == "/" {
            return Ok(Self(String::new()));
        }
        let segments = text.strip_prefix('/').ok_or(InvalidPrefix)?;
        let good = |segment: &str| {
            !matches!(segment, "" | "." | "..")
                && segment.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'%' | b'?' | b'#' | b'\\' | b';'))
        };
        segments.split('/').all(good).then(|| Self(text.to_owned())).ok_or(InvalidPrefix)
    }
}

/// Whose token goes along to a service, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderToken {
    /// The provider at which the caller has a grant.
    pub provider: ProviderName,
    /// The header that the token is sent in.
    pub header: TokenHeader,
}

/// How long things may take. What is not said here is as the settings have it for all routes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeLimits {
    /// Until an instance takes a connection.
    pub connect: Option<Duration>,
    /// From the request's end to the answer's head.
    pub first_byte: Option<Duration>,
    /// Without a byte either way, while a body or an upgraded connection is under way.
    pub idle: Option<Duration>,
    /// From the request's head to the answer's end. Nothing limits it if this is not said, and nothing ever limits an event
    /// stream or an upgraded connection that way.
    pub total: Option<Duration>,
}

/// A rule that leads requests to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The requests it is for.
    pub prefix: PathPrefix,
    /// Where they go.
    pub service: ServiceName,
    /// What replaces the prefix on the way.
    pub upstream_prefix: PathPrefix,
    /// Who may use it.
    pub access: Access,
    /// Whether the caller's `Authorization` goes along to the service.
    pub forward_authorization: bool,
    /// Whether the caller's token at a provider goes along.
    pub provider_token: Option<ProviderToken>,
    /// The largest request body, in bytes.
    pub body_limit_bytes: u64,
    /// How many bytes of a request's body are read before the service is asked; 0 for none.
    pub buffer_bytes: u64,
    /// How many requests may be in flight; `None` if the service's limit is the only one.
    pub max_requests: Option<usize>,
    /// How long things may take.
    pub time_limits: TimeLimits,
    /// Whether event streams and upgraded connections end when the token or session that the route needs does.
    pub end_with_token: bool,
    /// Whether the service is told who calls by a signed assertion, too.
    pub assertion: bool,
}

/// The largest request body of a route that does not say otherwise.
pub const DEFAULT_BODY_LIMIT_BYTES: u64 = 10 * 1024 * 1024;

/// As much of a request's body is read before the service is asked, if a route does not say otherwise: nearly every form and
/// every JSON document, but no upload.
pub const DEFAULT_BUFFER_BYTES: u64 = 64 * 1024;

impl Route {
    /// The route of a service that has none of its own: `/api/<service>/…` → `/…`, for holders of a valid token.
    pub fn of_service(service: &ServiceName) -> Self {
        Self {
            prefix: PathPrefix(format!("{SERVICES_PREFIX}/{service}")),
            service: service.clone(),
            upstream_prefix: PathPrefix(String::new()),
            access: Access::default(),
            forward_authorization: false,
            provider_token: None,
            body_limit_bytes: DEFAULT_BODY_LIMIT_BYTES,
            buffer_bytes: DEFAULT_BUFFER_BYTES,
            max_requests: None,
            time_limits: TimeLimits::default(),
            end_with_token: true,
            assertion: false,
        }
    }

    /// Whether a normalised path is for this route.
    pub fn matches(&self, path: &str) -> bool {
        self.prefix.rest(path).is_some()
    }

    /// The path at the service for a normalised path that this route matches, in two pieces, which need not be put together to
    /// be sent.
    pub fn upstream_pieces<'p>(&'p self, path: &'p str) -> Option<[&'p str; 2]> {
        match (self.upstream_prefix.as_str(), self.prefix.rest(path)?) {
            ("", "") => Some(["/", ""]),
            (prefix, rest) => Some([prefix, rest]),
        }
    }
}

/// All routes, found by longest prefix in as many look-ups as the path has segments, however many routes there are.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    by_prefix: HashMap<String, Arc<Route>>,
    /// The most segments of any prefix: deeper borders of a path need not be tried.
    deepest: usize,
}

impl RouteTable {
    /// Of two routes with the same prefix the later one counts.
    pub fn new(routes: impl IntoIterator<Item = Route>) -> Self {
        let mut table = Self::default();
        for route in routes {
            let prefix = route.prefix.as_str().to_owned();
            table.deepest = table.deepest.max(prefix.matches('/').count());
            table.by_prefix.insert(prefix, Arc::new(route));
        }
        table
    }

    /// The route with the longest prefix that matches a normalised path.
    pub fn find(&self, path: &str) -> Option<&Arc<Route>> {
        // Bytes, as a search for a character costs more than all the rest.
        let mut borders = path.bytes().enumerate().skip(1).filter(|&(_, byte)| byte == b'/').map(|(at, _)| at);
        let mut candidate_end = borders.nth(self.deepest.saturating_sub(1)).unwrap_or(path.len());
        loop {
            let candidate = &path[..candidate_end];
            if let Some(route) = self.by_prefix.get(candidate) {
                return Some(route);
            }
            candidate_end = candidate.bytes().rposition(|byte| byte == b'/')?;
        }
    }

    /// Every route, by prefix.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        let mut routes: Vec<_> = self.by_prefix.values().collect();
        routes.sort_by(|a, b| a.prefix.cmp(&b.prefix));
        routes.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(prefix: &str, upstream: &str) -> Route {
        Route {
            prefix: prefix.parse().unwrap(),
            upstream_prefix: upstream.parse().unwrap(),
            ..Route::of_service(&"auth".parse().unwrap())
        }
    }

    #[test]
    fn service_names_are_those_of_a_dns_label() {
        assert!("auth".parse::<ServiceName>().is_ok() && "a-1".parse::<ServiceName>().is_ok());
        for text in ["", "Auth", "1a", "-a", "a_b", "a/b", "a.b", &"a".repeat(64)] {
            assert_eq!(text.parse::<ServiceName>(), Err(InvalidServiceName), "{text}");
        }
    }

    #[test]
    fn instances_are_plain_http_addresses() {
        let instance: Instance = "http://localhost:8001".parse().unwrap();
        assert_eq!((instance.authority().as_str(), instance.base_path.as_str()), ("localhost:8001", ""));
        let instance: Instance = "http://[::1]/base/".parse().unwrap();
        assert_eq!((instance.authority().as_str(), instance.base_path.as_str()), ("[::1]:80", "/base"));
        for text in [
            "",
            "localhost:8001",
            "https://a",
            "ftp://a",
            "http://u@a",
            "http://u:p@a",
            "http://a?q",
            "http://a#f",
            "http://",
        ] {
            assert_eq!(text.parse::<Instance>(), Err(InvalidInstance), "{text}");
        }
    }

    #[test]
    fn a_route_matches_at_segment_borders_and_rewrites_the_path() {
        let users = route("/api/users", "/users");
        assert!(users.matches("/api/users") && users.matches("/api/users/1") && users.matches("/api/users/"));
        assert!(!users.matches("/api/usersettings") && !users.matches("/api/user"));
        assert_eq!(users.upstream_pieces("/api/users/1").unwrap().concat(), "/users/1");
        assert_eq!(route("/api/x", "/").upstream_pieces("/api/x").unwrap().concat(), "/");
        assert_eq!(route("/", "/all").upstream_pieces("/a").unwrap().concat(), "/all/a");
        assert_eq!(users.upstream_pieces("/elsewhere"), None);
    }

    #[test]
    fn prefixes_that_could_be_read_in_two_ways_are_refused() {
        for text in ["api", "/a//b", "/a/", "/a/../b", "/a/./b", "/a%2fb", "/a?b", "/a#b", "/a\\b", "/a b", "/a;b"] {
            assert_eq!(text.parse::<PathPrefix>(), Err(InvalidPrefix), "{text}");
        }
    }

    #[test]
    fn the_longest_prefix_wins() {
        let table = RouteTable::new([route("/api/users", "/users"), route("/api/users/me", "/me"), route("/api", "/")]);
        let found = |path: &str| table.find(path).map(|route| route.prefix.as_str().to_owned());
        assert_eq!(found("/api/users/me").as_deref(), Some("/api/users/me"));
        assert_eq!(found("/api/users/me/x/y/z").as_deref(), Some("/api/users/me"));
        assert_eq!(found("/api/users/mean").as_deref(), Some("/api/users"));
        assert_eq!(found("/api/other").as_deref(), Some("/api"));
        assert_eq!(found("/api").as_deref(), Some("/api"));
        assert_eq!(found("/apis"), None);
        assert_eq!(found("/"), None);
        assert_eq!(RouteTable::default().find("/a/b"), None);
        assert!(RouteTable::new([route("/", "/")]).find("/a/b").is_some());
    }
}
