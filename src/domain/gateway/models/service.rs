//! Services, their instances, and the routes that lead to them.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use thiserror::Error;

use super::{
    access::Access,
    http::{
        header::TokenHeader,
        path::{PathPrefix, Spellings},
    },
    oauth::ProviderName,
};

mod instance;
mod methods;
mod policy;
mod state;
mod table;
mod traffic;
mod url;

pub use self::{
    instance::{Instance, InstanceIdentity, Source, UpstreamProtocol},
    methods::{InvalidMethods, Methods},
    policy::{Balancing, Breaker, Ejection, HashKey, HealthCheck, ServicePolicy, ServiceTls, StatusRange},
    state::{Circuit, Health, InstanceState},
    table::{Found, RouteTable, Wanted},
    traffic::{AddressRule, FixedAnswer, Maintenance, Redirect, Respond, TrafficPolicy, canonical_network},
    url::{InvalidServiceUrl, ServiceUrl},
};

/// The path under which a service without a route of its own is served: `/api/<service>/…`.
pub const SERVICES_PREFIX: &str = "/api";

/// The text is not a service name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a service name must have 1 to 63 lower-case letters, digits and hyphens, and must begin with a letter")]
pub struct InvalidServiceName;

/// The name of a service: in paths (`/api/<name>/…`), in routes and, in upper case, in `<NAME>_SERVICE_URL`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceName(Arc<str>);

impl ServiceName {
    /// Stands for no service, on a route that the gateway answers itself. No service can have this name.
    pub fn none() -> Self {
        Self("-".into())
    }

    /// Whether it stands for no service.
    pub fn is_none(&self) -> bool {
        &*self.0 == "-"
    }

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

/// A service: its instances at the moment, and how requests are distributed among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// Its instances; the list may be empty for now.
    pub instances: Vec<Arc<Instance>>,
    /// How its instances are chosen and checked.
    pub policy: Arc<ServicePolicy>,
}

/// A service as the operator declares it: some of its addresses are names that change their meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredService {
    /// Its name.
    pub name: ServiceName,
    /// Its declared addresses; none if its instances register themselves.
    pub urls: Vec<ServiceUrl>,
    /// How its instances are chosen and checked.
    pub policy: Arc<ServicePolicy>,
}

/// A provider's token that is sent along to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderToken {
    /// The provider at which the caller has a grant.
    pub provider: ProviderName,
    /// The header that the token is sent in.
    pub header: TokenHeader,
}

/// Time limits of a route. `None` means the setting for all routes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeLimits {
    /// Until a connection to an instance is established.
    pub connect: Option<Duration>,
    /// From the request's end to the response's head.
    pub first_byte: Option<Duration>,
    /// Without a byte in either direction, while a body or an upgraded connection is in progress.
    pub idle: Option<Duration>,
    /// From the request's head to the response's end. `None`: no limit. Event streams and upgraded connections are
    /// never limited that way.
    pub total: Option<Duration>,
}

/// The `Host` that is sent to a service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HostSent {
    /// That of the instance.
    #[default]
    Instance,
    /// That of the client's request.
    Client,
}

/// A rule that leads requests to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The path prefix of the requests that it matches.
    pub prefix: PathPrefix,
    /// The methods that it matches.
    pub methods: Methods,
    /// The ambiguous spellings that its paths may contain.
    pub allow: Spellings,
    /// The service that it leads to. It may be none if the gateway answers itself.
    pub service: ServiceName,
    /// Replaces the prefix in the path sent to the service.
    pub upstream_prefix: PathPrefix,
    /// Its access rule.
    pub access: Access,
    /// Whether the caller's `Authorization` is forwarded to the service.
    pub forward_authorization: bool,
    /// The `Host` that is sent to the service.
    pub host_sent: HostSent,
    /// The provider's token of the caller that is sent along, if any.
    pub provider_token: Option<ProviderToken>,
    /// The largest request body, in bytes.
    pub body_limit_bytes: u64,
    /// The most bytes of a request's body that are read before the service is called; 0 for none.
    pub buffer_bytes: u64,
    /// The most concurrent requests; `None` if the service's limit is the only one.
    pub max_requests: Option<usize>,
    /// Its time limits.
    pub time_limits: TimeLimits,
    /// Whether event streams and upgraded connections end when the required token or session does.
    pub end_with_token: bool,
    /// Requests of callers are refused while no revocations of other replicas have arrived for this long; `None`: never.
    pub strict_revocation: Option<Duration>,
    /// Whether the service also gets a signed assertion of the caller.
    pub assertion: bool,
    /// Its limits on traffic and changes to it, if it has any.
    pub traffic: Option<Arc<TrafficPolicy>>,
}

/// The default of the largest request body.
pub const DEFAULT_BODY_LIMIT_BYTES: u64 = 10 * 1024 * 1024;

/// The default of the bytes of a request's body that are read before the service is called: enough for nearly every
/// form and every JSON document, but for no upload.
pub const DEFAULT_BUFFER_BYTES: u64 = 64 * 1024;

impl Route {
    /// The default route of a service: `/api/<service>/…` → `/…`, for holders of a valid token.
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
            strict_revocation: None,
            assertion: false,
            traffic: None,
        }
    }

    /// Its restrictions beyond the access rule, in words.
    pub fn restrictions(&self) -> Vec<String> {
        let strict = |age| format!("only while revocations arrive: the last news is at most {age:?} old");
        let of_traffic = self.traffic.as_ref().map(|policy| policy.restrictions()).unwrap_or_default();
        self.strict_revocation.map(strict).into_iter().chain(of_traffic).collect()
    }

    /// The prefix under which a service without a route of its own is served.
    pub fn prefix_of_service(service: &ServiceName) -> PathPrefix {
        PathPrefix::default().join(&SERVICES_PREFIX[1..]).join(service.as_str())
    }

    /// The default replacement of a route's prefix. Declaring a route for a part of `/api/<its service>` does not
    /// change the path at the service, so that prefix is removed; otherwise `/api` is.
    pub fn default_upstream_prefix(prefix: &PathPrefix, service: &ServiceName) -> PathPrefix {
        let of_service = prefix.below(&Self::prefix_of_service(service));
        let of_services = || prefix.below(&PathPrefix::default().join(&SERVICES_PREFIX[1..]));
        of_service.or_else(of_services).unwrap_or_else(|| prefix.clone())
    }

    /// Whether every request that passes the rules of this route also passes those of `other`.
    pub fn implies(&self, other: &Self) -> bool {
        self.access.implies(&other.access) && TrafficPolicy::implies(self.traffic.as_deref(), other.traffic.as_deref())
    }

    /// Whether a path is one among the services.
    pub fn is_service_path(path: &str) -> bool {
        path.strip_prefix(SERVICES_PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether the route matches a normalised path.
    pub fn matches(&self, path: &str) -> bool {
        self.prefix.rest(path).is_some()
    }

    /// The path at the service for a normalised path that this route matches, in two pieces, which can be sent without
    /// joining them.
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
    fn service_names_are_dns_labels() {
        assert!("auth".parse::<ServiceName>().is_ok() && "a-1".parse::<ServiceName>().is_ok());
        for text in ["", "Auth", "1a", "-a", "a_b", "a/b", "a.b", &"a".repeat(64)] {
            assert_eq!(text.parse::<ServiceName>(), Err(InvalidServiceName), "{text}");
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
    fn declaring_a_route_does_not_change_the_path_at_the_service() {
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
