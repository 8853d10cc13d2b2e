//! Services, their instances, and the routes that lead to them.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use thiserror::Error;

use super::{
    access::Access,
    header::TokenHeader,
    oauth::ProviderName,
    path::{PathPrefix, Spellings},
};

mod methods;
mod table;

pub use self::{
    methods::{InvalidMethods, Methods},
    table::{Found, RouteTable, Wanted},
};

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
    "an instance is written http://host, http://host:port or http://host:port/base (or h2c:// for HTTP/2), without user, query or fragment; https to services is not there yet"
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

/// Which `Host` a service is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HostSent {
    /// That of the instance.
    #[default]
    Instance,
    /// The one that the client asked for.
    Client,
}

/// A rule that leads requests to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The requests it is for.
    pub prefix: PathPrefix,
    /// Which of them, by their method.
    pub methods: Methods,
    /// What their paths may have in them that servers read in different ways.
    pub allow: Spellings,
    /// Where they go.
    pub service: ServiceName,
    /// What replaces the prefix on the way.
    pub upstream_prefix: PathPrefix,
    /// Who may use it.
    pub access: Access,
    /// Whether the caller's `Authorization` goes along to the service.
    pub forward_authorization: bool,
    /// Which `Host` the service is told.
    pub host_sent: HostSent,
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
            prefix: Self::prefix_of_service(service),
            methods: Methods::All,
            allow: Spellings::NONE,
            service: service.clone(),
            upstream_prefix: PathPrefix::default(),
            access: Access::default(),
            forward_authorization: false,
            host_sent: HostSent::Instance,
            provider_token: None,
            body_limit_bytes: DEFAULT_BODY_LIMIT_BYTES,
            buffer_bytes: DEFAULT_BUFFER_BYTES,
            max_requests: None,
            time_limits: TimeLimits::default(),
            end_with_token: true,
            assertion: false,
        }
    }

    /// Where a service is served that has no route of its own.
    pub fn prefix_of_service(service: &ServiceName) -> PathPrefix {
        PathPrefix::default().join(&SERVICES_PREFIX[1..]).join(service.as_str())
    }

    /// What replaces the prefix of a route that does not say: to declare a route for a part of `/api/<its service>` does not
    /// change where a path arrives, so that is taken off; elsewhere `/api` is.
    pub fn default_upstream_prefix(prefix: &PathPrefix, service: &ServiceName) -> PathPrefix {
        let of_service = prefix.below(&Self::prefix_of_service(service));
        let of_services = || prefix.below(&PathPrefix::default().join(&SERVICES_PREFIX[1..]));
        of_service.or_else(of_services).unwrap_or_else(|| prefix.clone())
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
    fn to_declare_a_route_does_not_change_where_a_path_arrives() {
        let at = |prefix: &str| {
            Route::default_upstream_prefix(&prefix.parse().unwrap(), &"board".parse().unwrap()).as_str().to_owned()
        };
        assert_eq!(at("/api/board/admin"), "/admin");
        assert_eq!(at("/api/board"), "");
        assert_eq!(at("/api/boards"), "/boards");
        assert_eq!(at("/api/users/board"), "/users/board");
        assert_eq!((at("/api").as_str(), at("/elsewhere").as_str()), ("", "/elsewhere"));
        let of_service = Route::of_service(&"board".parse().unwrap());
        assert_eq!(of_service.upstream_pieces("/api/board/admin/x").unwrap().concat(), "/admin/x");
    }
}
