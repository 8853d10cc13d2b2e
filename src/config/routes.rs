//! Routes from `gateway.toml`, and the shipped ones beside them. Every mistake names its line.

use std::{collections::BTreeMap, fmt, ops::RangeInclusive, str::FromStr, sync::Arc, time::Duration};

use toml::Spanned;

use self::{entry::RouteEntry, paths::Taken};
use super::{
    listener::{self, MANY},
    reading::{
        fields,
        file::FileReader,
        reader::{self, Reader},
        report::broken_by_source,
        shapes,
        spelling::is_near,
        units,
    },
    services::service_variable,
};
use crate::domain::gateway::models::{
    access::{Accepted, Access},
    http::{header::TokenHeader, path::PathPrefix},
    oauth::ProviderName,
    service::{
        DEFAULT_BODY_LIMIT_BYTES, DEFAULT_BUFFER_BYTES, HostSent, Methods, ProviderToken, Route, ServiceName,
        TimeLimits,
    },
    signing_key::SigningAlgorithm,
};

mod access;
mod entry;
mod paths;
mod revocation;
mod traffic;

pub(super) use entry::ROUTE;

/// The shipped routes, and the default without a `gateway.toml`.
const SHIPPED: &str = include_str!("../../gateway.toml");

/// The bounds of a route's time limits. Nothing should stall for longer than a day.
const TIME_LIMITS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(24);

/// The maximum of a request's body that a route may buffer.
const MOST_BUFFERED_BYTES: u64 = 16 * 1024 * 1024;

/// The other settings that routes must agree with, as far as they could be read.
#[derive(Clone, Copy)]
pub(super) struct Known<'s> {
    /// The enabled providers.
    pub(super) providers: Option<&'s [&'s str]>,
    /// The algorithm of the signing keys.
    pub(super) algorithm: Option<SigningAlgorithm>,
    /// The services that have an address.
    pub(super) services: Option<&'s [&'s str]>,
    /// Whether there is a Redis, in which all replicas count.
    pub(super) redis: Option<bool>,
}

/// Where a route is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteOrigin {
    /// In the operator's file.
    File {
        /// Its name.
        name: Arc<str>,
        /// The line.
        line: usize,
    },
    /// It is one of the shipped routes.
    Shipped,
}

impl fmt::Display for RouteOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, line } => write!(f, "{name} line {line}"),
            Self::Shipped => f.write_str("a shipped route"),
        }
    }
}

/// Where each declared route comes from.
pub type RouteOrigins = BTreeMap<(PathPrefix, Methods), RouteOrigin>;

/// The routes that were read.
pub(super) struct Routes {
    /// Those of the file, then the shipped ones that stay.
    pub(super) routes: Vec<Route>,
    pub(super) origins: RouteOrigins,
}

#[cfg(test)]
impl Routes {
    /// Without the shipped ones.
    fn of_file(self) -> Vec<Route> {
        let Self { mut routes, origins } = self;
        routes.retain(|route| origins[&(route.prefix.clone(), route.methods.clone())] != RouteOrigin::Shipped);
        routes
    }
}

/// Reads the routes. Shipped routes stay beside those of the file, except for paths that the file has a route for: of
/// such a path, the file says everything, so that no shipped route opens a method that the file does not name.
pub(super) fn read(reader: &mut Reader<'_>, known: Known<'_>) -> Routes {
    let shipped = shipped();
    let file = reader.file();
    let (name, shipped_stay) = (Arc::from(file.name()), file.default_routes());
    let mut parser = Parser { file, known, shipped: &shipped, taken: Taken::default() };
    let own = parser.routes();
    let origin = |line| RouteOrigin::File { name: Arc::clone(&name), line };
    let own: Vec<_> = own.into_iter().map(|(route, line)| (route, origin(line))).collect();
    let taken = parser.taken;
    let staying = shipped.into_iter().filter(|route| shipped_stay && !taken.covers(&route.prefix));
    let all = own.into_iter().chain(staying.map(|route| (route, RouteOrigin::Shipped)));
    let mut routes = Routes { routes: Vec::new(), origins: BTreeMap::new() };
    for (route, origin) in all {
        routes.origins.insert((route.prefix.clone(), route.methods.clone()), origin);
        routes.routes.push(route);
    }
    routes
}

/// The shipped routes. They are valid: a test reads them.
fn shipped() -> Vec<Route> {
    let mut file = FileReader::open("the shipped routes", SHIPPED, None);
    let known = Known { providers: None, algorithm: None, services: None, redis: None };
    let mut parser = Parser { file: &mut file, known, shipped: &[], taken: Taken::default() };
    parser.routes().into_iter().map(|(route, _)| route).collect()
}

fn host_sent(preserve_host: Option<&Spanned<bool>>) -> HostSent {
    match preserve_host {
        Some(given) if *given.get_ref() => HostSent::Client,
        Some(_) | None => HostSent::Instance,
    }
}

struct Parser<'f, 's> {
    file: &'f mut FileReader<'s>,
    known: Known<'f>,
    shipped: &'f [Route],
    /// The paths and methods of the routes so far.
    taken: Taken,
}

impl Parser<'_, '_> {
    /// The routes, with their lines.
    fn routes(&mut self) -> Vec<(Route, usize)> {
        let mut routes = Vec::new();
        for entry in self.file.take_routes() {
            let line = self.file.line(&entry);
            if let Some(entry) = self.entry(entry) {
                let route = self.route(&entry);
                if let Some(service) = &entry.service
                    && !route.as_ref().is_some_and(|route| self.shipped.contains(route))
                {
                    self.has_address(service);
                }
                routes.extend(route.map(|route| (route, line)));
            }
        }
        routes
    }

    fn route(&mut self, entry: &RouteEntry) -> Option<Route> {
        let path = entry.path.as_ref().and_then(|given| self.path(given));
        let methods = self.methods(entry.methods.as_ref());
        if let (Some(given), Some(path), Some(methods)) = (&entry.path, &path, &methods) {
            self.take(given, path, methods);
        }
        let allow = self.allow(entry.allow.as_ref());
        let service = match &entry.service {
            Some(given) => self.service(given),
            None => self.no_service(entry),
        };
        let upstream_path = match &entry.upstream_path {
            None => path.as_ref().zip(service.as_ref()).map(|(path, of)| Route::default_upstream_prefix(path, of)),
            Some(given) => self.field("upstream_path", given, |text| parsed(text, "a path")),
        };
        let access = self.access(entry);
        let provider_token = self.provider_token(entry, access.as_ref());
        let body_limit_bytes = match &entry.body_limit {
            None => Some(DEFAULT_BODY_LIMIT_BYTES),
            Some(given) => self.field("body_limit", given, |text| {
                units::size_bytes(text).ok_or_else(|| "must be a size such as 64KiB or 10MiB".to_owned())
            }),
        };
        let buffer_bytes = match &entry.buffer_request {
            None => Some(DEFAULT_BUFFER_BYTES),
            Some(given) => self.field("buffer_request", given, |text| {
                let size = units::size_bytes(text).filter(|&size| size <= MOST_BUFFERED_BYTES);
                size.ok_or_else(|| "must be a size up to 16MiB, such as 64KiB; 0B streams every body".to_owned())
            }),
        };
        let max_requests = self.max_requests(entry.max_requests.as_ref());
        let time_limits = self.time_limits(entry);
        let end_with_token = self.end_with_token(entry.end_with_token.as_ref(), access.as_ref());
        let (rule, max_age) = (entry.revocation.as_ref(), entry.revocation_max_age.as_ref());
        let strict_revocation = self.strict_revocation(rule, max_age, access.as_ref());
        let assertion = self.assertion(entry.assertion.as_ref());
        let forward_authorization = self.forward_authorization(entry.forward_authorization.as_ref(), access.as_ref());
        let traffic = self.traffic(entry);
        Some(Route {
            prefix: path?,
            methods: methods?,
            allow: allow?,
            service: service?,
            upstream_prefix: upstream_path?,
            access: access?,
            forward_authorization: forward_authorization?,
            host_sent: host_sent(entry.preserve_host.as_ref()),
            provider_token: provider_token?,
            body_limit_bytes: body_limit_bytes?,
            buffer_bytes: buffer_bytes?,
            max_requests: max_requests?,
            time_limits: time_limits?,
            end_with_token: end_with_token?,
            strict_revocation: strict_revocation?,
            assertion: assertion?,
            traffic: traffic?,
        })
    }

    fn service(&mut self, given: &Spanned<String>) -> Option<ServiceName> {
        self.field("service", given, |text| parsed(text, "the name of a service"))
    }

    /// Notes a service without an address: it cannot serve requests. The shipped routes may lead to such a service, and
    /// so may a copy of them.
    fn has_address(&mut self, given: &Spanned<String>) {
        let Some(known) = self.known.services else { return };
        let Ok(name) = given.get_ref().parse::<ServiceName>() else { return };
        if known.contains(&name.as_str()) {
            return;
        }
        let meant = known.iter().find(|known| is_near(name.as_str(), known));
        let meant = meant.map(|meant| format!("; did you mean {meant:?}?")).unwrap_or_default();
        let variable = service_variable(&name);
        self.field("service", given, |_| {
            Err::<(), _>(format!(
                "must be a service with an address; {variable} is not set, and there is no [services.{name}]{meant}"
            ))
        });
    }

    /// A service must not see a token that the gateway has not checked.
    fn forward_authorization(&mut self, given: Option<&Spanned<bool>>, access: Option<&Access>) -> Option<bool> {
        match given {
            Some(given) if *given.get_ref() && access.map(Access::accepted) == Some(Accepted::Session) => {
                self.note(
                    given,
                    "forward_authorization must not be set on a route for sessions alone; no token is checked there: it \
                     needs access = \"token\", \"token-or-session\" or \"open\"",
                );
                None
            }
            Some(given) => Some(*given.get_ref()),
            None => Some(false),
        }
    }

    /// The outer `None` means that a mistake was noted.
    #[expect(clippy::option_option, reason = "the outer one means that a mistake was noted")]
    fn max_requests(&mut self, given: Option<&Spanned<i64>>) -> Option<Option<usize>> {
        let Some(given) = given else { return Some(None) };
        let limit = self.field("max_requests", given, |&number| {
            let number = usize::try_from(number).ok().filter(|number| (1..=MANY).contains(number));
            number.ok_or_else(|| format!("must be 1 to {MANY}"))
        });
        limit.map(Some)
    }

    fn time_limits(&mut self, entry: &RouteEntry) -> Option<TimeLimits> {
        let connect = self.time_limit("connect_timeout", entry.connect_timeout.as_ref());
        let first_byte = self.time_limit("first_byte_timeout", entry.first_byte_timeout.as_ref());
        let idle = self.time_limit("idle_timeout", entry.idle_timeout.as_ref());
        let total = self.time_limit("total_timeout", entry.total_timeout.as_ref());
        Some(TimeLimits { connect: connect?, first_byte: first_byte?, idle: idle?, total: total? })
    }

    /// The outer `None` means that a mistake was noted.
    #[expect(clippy::option_option, reason = "the outer one means that a mistake was noted")]
    fn time_limit(&mut self, name: &str, given: Option<&Spanned<String>>) -> Option<Option<Duration>> {
        let Some(given) = given else { return Some(None) };
        let limit = self.field(name, given, |text| {
            let limit = units::duration(text).filter(|limit| TIME_LIMITS.contains(limit));
            limit.ok_or_else(|| {
                let (least, most) = (units::show(*TIME_LIMITS.start()), units::show(*TIME_LIMITS.end()));
                format!("must be a duration from {least} to {most}, such as 500ms or 10s")
            })
        });
        limit.map(Some)
    }

    /// Safe by default, too: nothing continues under a token that is no longer valid.
    fn end_with_token(&mut self, given: Option<&Spanned<bool>>, access: Option<&Access>) -> Option<bool> {
        match given {
            Some(given) if access == Some(&Access::Open) => {
                let problem =
                    "end_with_token must not be set on an open route; it needs access = \"token\" or \"session\"";
                self.note(given, problem);
                None
            }
            Some(given) => Some(*given.get_ref()),
            None => Some(true),
        }
    }

    /// The service must be able to verify an assertion.
    fn assertion(&mut self, given: Option<&Spanned<bool>>) -> Option<bool> {
        match given {
            Some(given) if *given.get_ref() && self.known.algorithm == Some(SigningAlgorithm::Hs256) => {
                let problem = "assertion must be false with TOKEN_ALGORITHM=HS256, not true; only the gateway has the key, so \
                               no service could check the assertion";
                self.note(given, problem);
                None
            }
            Some(given) => Some(*given.get_ref()),
            None => Some(false),
        }
    }

    /// The provider whose token is forwarded, if any; the outer `None` means that a mistake was noted.
    #[expect(clippy::option_option, reason = "the outer one means that a mistake was noted")]
    fn provider_token(&mut self, entry: &RouteEntry, access: Option<&Access>) -> Option<Option<ProviderToken>> {
        let header = match &entry.provider_token_header {
            None => Some(TokenHeader::authorization()),
            Some(given) => self.field("provider_token_header", given, |text| parsed(text, "a header for a token")),
        };
        let Some(given) = &entry.provider_token else {
            return match &entry.provider_token_header {
                None => Some(None),
                Some(header) => {
                    self.note(header, "provider_token_header needs provider_token; it names the provider");
                    None
                }
            };
        };
        let known = self.known.providers;
        let provider = self.field("provider_token", given, |text| provider_name(text, known));
        if access == Some(&Access::Open) {
            self.note(
                given,
                "provider_token must not be set on an open route; only a credential says whose token it is: it needs \
                 access = \"token\" or \"session\"",
            );
            return None;
        }
        let header = header?;
        let forwards_authorization = entry.forward_authorization.as_ref().is_some_and(|given| *given.get_ref());
        if forwards_authorization && header.is_authorization() {
            self.note(
                given,
                "provider_token and forward_authorization must not both use Authorization; remove one of them, or send the \
                 provider's token in another header: provider_token_header = \"X-Provider-Token\"",
            );
            return None;
        }
        Some(Some(ProviderToken { provider: provider?, header }))
    }

    fn field<V: fmt::Debug, T>(
        &mut self,
        name: &str,
        value: &Spanned<V>,
        parse: impl FnOnce(&V) -> Result<T, String>,
    ) -> Option<T> {
        self.file.field(name, value, parse)
    }

    fn note<V>(&mut self, at: &Spanned<V>, problem: impl Into<String>) {
        self.file.note(at, problem);
    }

    fn source<V>(&self, value: &Spanned<V>) -> String {
        self.file.source(value)
    }

    fn line<V>(&self, at: &Spanned<V>) -> usize {
        self.file.line(at)
    }
}

/// Parses the value of a field; `what` describes a valid one.
fn parsed<T: FromStr<Err: fmt::Display>>(text: &str, what: &str) -> Result<T, String> {
    text.parse().map_err(|hint: T::Err| format!("must be {what}; {hint}"))
}

/// A provider that is not enabled has no tokens.
fn provider_name(text: &str, enabled: Option<&[&str]>) -> Result<ProviderName, String> {
    let name: ProviderName = parsed(text, "the name of a provider")?;
    match enabled {
        Some([]) => Err("must be an enabled provider; none is: set its client id and secret".to_owned()),
        Some(enabled) if !enabled.contains(&text) => {
            Err(format!("must be an enabled provider ({})", enabled.join(", ")))
        }
        Some(_) | None => Ok(name),
    }
}

#[cfg(test)]
mod tests;
