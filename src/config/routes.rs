//! Routes from `gateway.toml`, or the shipped ones. Every mistake says its line.

use std::{fmt, ops::RangeInclusive, str::FromStr, time::Duration};

use serde::Deserialize;
use toml::{
    Spanned,
    de::{DeTable, DeValue, ValueDeserializer},
};

use super::{
    listener::MANY,
    reader::{self, Reader},
    report::Mistake,
    services::service_variable,
    source::RoutesFile,
    units,
    variables::is_near,
};
use crate::domain::gateway::models::{
    access::{Accepted, Access},
    header::TokenHeader,
    oauth::ProviderName,
    service::{DEFAULT_BODY_LIMIT_BYTES, DEFAULT_BUFFER_BYTES, ProviderToken, Route, ServiceName, TimeLimits},
    signing_key::SigningAlgorithm,
};

mod access;
mod paths;

use self::{access::Claims, paths::Taken};

/// What counts without a `gateway.toml`.
const SHIPPED: &str = include_str!("default.toml");

/// What a route may set a time limit to. A day is longer than anything should stand still.
const TIME_LIMITS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(24);

/// The most that a route may have kept of a request's body.
const MOST_BUFFERED_BYTES: u64 = 16 * 1024 * 1024;

/// What of the other settings routes have to agree with, as far as it could be read.
#[derive(Clone, Copy)]
pub(super) struct Known<'s> {
    /// The providers that are on.
    pub(super) providers: Option<&'s [&'s str]>,
    /// What signs.
    pub(super) algorithm: Option<SigningAlgorithm>,
    /// The services that have an address.
    pub(super) services: Option<&'s [&'s str]>,
}

/// One `[[routes]]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteEntry {
    path: Spanned<String>,
    methods: Option<Spanned<Vec<String>>>,
    allow: Option<Spanned<Vec<String>>>,
    service: Spanned<String>,
    upstream_path: Option<Spanned<String>>,
    access: Option<Spanned<String>>,
    scope: Option<Spanned<Vec<String>>>,
    any_scope: Option<Spanned<Vec<String>>>,
    claims: Option<Spanned<Claims>>,
    provider: Option<Spanned<String>>,
    forward_authorization: Option<Spanned<bool>>,
    provider_token: Option<Spanned<String>>,
    provider_token_header: Option<Spanned<String>>,
    body_limit: Option<Spanned<String>>,
    buffer_request: Option<Spanned<String>>,
    max_requests: Option<Spanned<i64>>,
    connect_timeout: Option<Spanned<String>>,
    first_byte_timeout: Option<Spanned<String>>,
    idle_timeout: Option<Spanned<String>>,
    total_timeout: Option<Spanned<String>>,
    end_with_token: Option<Spanned<bool>>,
    assertion: Option<Spanned<bool>>,
}

/// Reads the routes. A file of one's own replaces the shipped ones; nothing is merged, so what stands there is all there is.
pub(super) fn read(reader: &mut Reader<'_>, known: Known<'_>) -> Vec<Route> {
    let shipped = || RoutesFile { name: "the shipped routes".to_owned(), text: SHIPPED.to_owned() };
    let file = reader.routes_file().cloned();
    // Whoever has no AUTH service need not take the shipped routes away.
    let known = if file.is_some() { known } else { Known { services: None, ..known } };
    let file = file.unwrap_or_else(shipped);
    let mut parser = Parser { file: &file, known, taken: Taken::default(), mistakes: Vec::new() };
    let routes = parser.routes();
    for mistake in parser.mistakes {
        reader.note(mistake);
    }
    routes
}

struct Parser<'f> {
    file: &'f RoutesFile,
    known: Known<'f>,
    /// What the routes so far are for.
    taken: Taken,
    mistakes: Vec<Mistake>,
}

impl Parser<'_> {
    fn routes(&mut self) -> Vec<Route> {
        let (document, errors) = DeTable::parse_recoverable(&self.file.text);
        if !errors.is_empty() {
            // What stands behind a broken line is not judged: the parser only guesses what it means.
            for error in &errors {
                self.unreadable(error);
            }
            return Vec::new();
        }
        let mut routes = Vec::new();
        for (key, value) in document.into_inner() {
            match (key.get_ref().as_ref(), value.into_inner()) {
                ("routes", DeValue::Array(entries)) => {
                    for entry in entries {
                        match RouteEntry::deserialize(ValueDeserializer::from(entry)) {
                            Ok(entry) => routes.extend(self.route(&entry)),
                            Err(error) => self.unreadable(&error),
                        }
                    }
                }
                (other, _) => {
                    self.note(&key, format!("has {other:?}"), "it is a list of routes, each under a line [[routes]]");
                }
            }
        }
        routes
    }

    fn route(&mut self, entry: &RouteEntry) -> Option<Route> {
        let path = self.path(entry);
        let methods = self.methods(entry.methods.as_ref());
        if let (Some(path), Some(methods)) = (&path, &methods) {
            self.take(entry, path, methods);
        }
        let allow = self.allow(entry.allow.as_ref());
        let service = self.service(&entry.service);
        let upstream_path = match &entry.upstream_path {
            None => path.as_ref().zip(service.as_ref()).map(|(path, of)| Route::default_upstream_prefix(path, of)),
            Some(given) => self.field("upstream_path", given, |text| parsed(text)),
        };
        let access = self.access(entry);
        let provider_token = self.provider_token(entry, access.as_ref());
        let body_limit_bytes = match &entry.body_limit {
            None => Some(DEFAULT_BODY_LIMIT_BYTES),
            Some(given) => self.field("body_limit", given, |text| {
                units::size_bytes(text).ok_or_else(|| "a size such as 64KiB or 10MiB".to_owned())
            }),
        };
        let buffer_bytes = match &entry.buffer_request {
            None => Some(DEFAULT_BUFFER_BYTES),
            Some(given) => self.field("buffer_request", given, |text| {
                let size = units::size_bytes(text).filter(|&size| size <= MOST_BUFFERED_BYTES);
                size.ok_or_else(|| "a size such as 64KiB, up to 16MiB; 0B streams every body".to_owned())
            }),
        };
        let max_requests = self.max_requests(entry.max_requests.as_ref());
        let time_limits = self.time_limits(entry);
        let end_with_token = self.end_with_token(entry.end_with_token.as_ref(), access.as_ref());
        let assertion = self.assertion(entry.assertion.as_ref());
        let forward_authorization = self.forward_authorization(entry.forward_authorization.as_ref(), access.as_ref());
        Some(Route {
            prefix: path?,
            methods: methods?,
            allow: allow?,
            service: service?,
            upstream_prefix: upstream_path?,
            access: access?,
            forward_authorization: forward_authorization?,
            provider_token: provider_token?,
            body_limit_bytes: body_limit_bytes?,
            buffer_bytes: buffer_bytes?,
            max_requests: max_requests?,
            time_limits: time_limits?,
            end_with_token: end_with_token?,
            assertion: assertion?,
        })
    }

    /// A service that nobody has told the address of can answer nothing.
    fn service(&mut self, given: &Spanned<String>) -> Option<ServiceName> {
        let known = self.known.services;
        self.field("service", given, |text| {
            let name: ServiceName = parsed(text)?;
            match known {
                Some(known) if !known.contains(&text.as_str()) => {
                    let variable = service_variable(&name);
                    let meant = known.iter().find(|known| is_near(text, known));
                    let meant = meant.map(|meant| format!("; did you mean {meant:?}?")).unwrap_or_default();
                    Err(format!("a service with an address, and {variable} is not set{meant}"))
                }
                Some(_) | None => Ok(name),
            }
        })
    }

    /// A token that nobody looks at is none that a service should get to see.
    fn forward_authorization(&mut self, given: Option<&Spanned<bool>>, access: Option<&Access>) -> Option<bool> {
        match given {
            Some(given) if *given.get_ref() && access.map(Access::accepted) == Some(Accepted::Session) => {
                let rule = "no token is looked at there: it needs access = \"token\", \"token-or-session\" or \"open\"";
                self.note(given, "forward_authorization is set on a route for sessions alone", rule);
                None
            }
            Some(given) => Some(*given.get_ref()),
            None => Some(false),
        }
    }

    /// The outer `None` is a mistake.
    #[expect(clippy::option_option, reason = "the outer one is this parser's way of saying that a mistake was noted")]
    fn max_requests(&mut self, given: Option<&Spanned<i64>>) -> Option<Option<usize>> {
        let Some(given) = given else { return Some(None) };
        let limit = self.field("max_requests", given, |&number| {
            let number = usize::try_from(number).ok().filter(|number| (1..=MANY).contains(number));
            number.ok_or_else(|| format!("a whole number from 1 to {MANY}"))
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

    /// The outer `None` is a mistake.
    #[expect(clippy::option_option, reason = "the outer one is this parser's way of saying that a mistake was noted")]
    fn time_limit(&mut self, name: &str, given: Option<&Spanned<String>>) -> Option<Option<Duration>> {
        let Some(given) = given else { return Some(None) };
        let limit = self.field(name, given, |text| {
            let limit = units::duration(text).filter(|limit| TIME_LIMITS.contains(limit));
            limit.ok_or_else(|| {
                let (least, most) = (units::show(*TIME_LIMITS.start()), units::show(*TIME_LIMITS.end()));
                format!("a duration such as 500ms or 10s, from {least} to {most}")
            })
        });
        limit.map(Some)
    }

    /// Safe by default, too: nothing goes on under a token that is not good any more.
    fn end_with_token(&mut self, given: Option<&Spanned<bool>>, access: Option<&Access>) -> Option<bool> {
        match given {
            Some(given) if access == Some(&Access::Open) => {
                self.note(
                    given,
                    "end_with_token is set on an open route",
                    "it needs access = \"token\" or \"session\"",
                );
                None
            }
            Some(given) => Some(*given.get_ref()),
            None => Some(true),
        }
    }

    /// Whoever gets an assertion has to be able to check it.
    fn assertion(&mut self, given: Option<&Spanned<bool>>) -> Option<bool> {
        match given {
            Some(given) if *given.get_ref() && self.known.algorithm == Some(SigningAlgorithm::Hs256) => {
                let rule = "no service can check one that is signed by TOKEN_ALGORITHM=HS256: its key is nobody else's";
                self.note(given, "assertion is true", rule);
                None
            }
            Some(given) => Some(*given.get_ref()),
            None => Some(false),
        }
    }

    /// Which provider's token goes along, if any does; the outer `None` is a mistake.
    #[expect(clippy::option_option, reason = "the outer one is this parser's way of saying that a mistake was noted")]
    fn provider_token(&mut self, entry: &RouteEntry, access: Option<&Access>) -> Option<Option<ProviderToken>> {
        let header = match &entry.provider_token_header {
            None => Some(TokenHeader::authorization()),
            Some(given) => self.field("provider_token_header", given, |text| parsed(text)),
        };
        let Some(given) = &entry.provider_token else {
            return match &entry.provider_token_header {
                None => Some(None),
                Some(header) => {
                    self.note(header, "provider_token_header stands alone", "provider_token says whose token it is");
                    None
                }
            };
        };
        let known = self.known.providers;
        let provider = self.field("provider_token", given, |text| provider_name(text, known));
        if access == Some(&Access::Open) {
            self.note(
                given,
                "provider_token is set on an open route",
                "whose token it is only a credential can say: access = \"token\" or \"session\"",
            );
            return None;
        }
        let header = header?;
        let forwards_authorization = entry.forward_authorization.as_ref().is_some_and(|given| *given.get_ref());
        if forwards_authorization && header.is_authorization() {
            self.note(
                given,
                "provider_token and forward_authorization both want Authorization",
                "one of them, or a header of its own for the provider's token: provider_token_header = \"X-Provider-Token\"",
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
        let outcome = parse(value.get_ref());
        outcome.map_err(|rule| self.note(value, format!("{name} is {:?}", value.get_ref()), rule)).ok()
    }

    fn note<V>(&mut self, at: &Spanned<V>, problem: impl Into<String>, rule: impl Into<String>) {
        let place = format!("{} line {}:", self.file.name, self.line(at));
        self.mistakes.push(Mistake::new(place, problem, rule));
    }

    /// Notes what the TOML parser says: bad syntax, an unknown key, a missing one, a value of another type.
    fn unreadable(&mut self, error: &toml::de::Error) {
        let at = Spanned::new(error.span().unwrap_or_default(), ());
        self.note(&at, "cannot be read", error.message());
    }

    fn line<V>(&self, at: &Spanned<V>) -> usize {
        self.file.text.as_bytes().iter().take(at.span().start).filter(|&&byte| byte == b'\n').count() + 1
    }
}

fn parsed<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|rule: T::Err| rule.to_string())
}

/// A provider that is not on has nobody's token.
fn provider_name(text: &str, on: Option<&[&str]>) -> Result<ProviderName, String> {
    let name: ProviderName = parsed(text)?;
    match on {
        Some([]) => Err("a provider that is switched on, and none is: it needs its client id and secret".to_owned()),
        Some(on) if !on.contains(&text) => Err(format!("a provider that is switched on: {}", on.join(", "))),
        Some(_) | None => Ok(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Sources,
        domain::gateway::models::{path::Spelling, service::Methods},
    };

    fn routes(text: &str) -> Result<Vec<Route>, Vec<String>> {
        let sources = Sources::default().with_routes_file("gateway.toml", text);
        let mut reader = Reader::new(&sources);
        let known =
            Known { providers: Some(&["google", "my-idp"]), algorithm: Some(SigningAlgorithm::Hs256), services: None };
        let routes = read(&mut reader, known);
        reader.finish(Some(routes)).map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_route_is_read_whole() {
        let text = r#"
            [[routes]]
            path = "/api/reports"
            methods = ["POST", "GET"]
            allow = ["semicolon", "encoded-slash"]
            service = "reports"
            upstream_path = "/v2/reports"
            access = "token"
            scope = ["read", "reports:see"]
            forward_authorization = true
            provider_token = "google"
            provider_token_header = "X-Google-Token"
            body_limit = "64KiB"
            buffer_request = "1KiB"
            max_requests = 20
            connect_timeout = "500ms"
            first_byte_timeout = "2m"
            idle_timeout = "1h"
            total_timeout = "1d"
            end_with_token = false
            assertion = false
        "#;
        let whole = Route {
            prefix: "/api/reports".parse().unwrap(),
            methods: Methods::only(&["GET".to_owned(), "POST".to_owned()]).unwrap(),
            allow: [Spelling::EncodedSlash, Spelling::Semicolon].into_iter().collect(),
            service: "reports".parse().unwrap(),
            upstream_prefix: "/v2/reports".parse().unwrap(),
            access: Access::with_scope("read reports:see".parse().unwrap()),
            forward_authorization: true,
            provider_token: Some(ProviderToken {
                provider: "google".parse().unwrap(),
                header: "x-google-token".parse().unwrap(),
            }),
            body_limit_bytes: 65_536,
            buffer_bytes: 1024,
            max_requests: Some(20),
            time_limits: TimeLimits {
                connect: Some(Duration::from_millis(500)),
                first_byte: Some(Duration::from_mins(2)),
                idle: Some(Duration::from_hours(1)),
                total: Some(Duration::from_hours(24)),
            },
            end_with_token: false,
            assertion: false,
        };
        assert_eq!(routes(text), Ok(vec![whole]));
    }

    #[test]
    fn what_a_route_does_not_say_is_safe() {
        let found =
            routes("routes = [{path = \"/api/x/y\", service = \"x\"}, {path = \"/api\", service = \"x\"}]").unwrap();
        let safe = Route {
            prefix: "/api/x/y".parse().unwrap(),
            upstream_prefix: "/y".parse().unwrap(),
            ..Route::of_service(&"x".parse().unwrap())
        };
        assert_eq!((&found[0], found[1].upstream_prefix.as_str()), (&safe, ""));
    }

    #[test]
    fn a_file_without_routes_has_none() {
        assert_eq!(routes("# nothing yet"), Ok(vec![]));
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        let text = r#"
[[routes]]
path = "/users"
service = "Auth"
upstream_path = "users"
access = "opne"
body_limit = "10"

[[routes]]
path = "/api/x"
service = "x"
access = "open"
scope = ["read"]

[[routes]]
path = "/api/x"
service = "x"
scope = ["read write"]

[[routes]]
path = "/api/y"

[[routes]]
path = "/api/z"
service = "z"
acess = "open"

[[routes]]
path = "/api/v"
service = "v"
access = "open"
idle_timeout = "10"
total_timeout = "25h"
end_with_token = true
assertion = true

[service]
"#;
        let said = routes(text).unwrap_err();
        let begins = [
            "gateway.toml line 3: path is \"/users\": a path under /api",
            "gateway.toml line 4: service is \"Auth\": a service name has",
            "gateway.toml line 5: upstream_path is \"users\": a path begins with /",
            "gateway.toml line 6: access is \"opne\": either open or token or session or token-or-session",
            "gateway.toml line 7: body_limit is \"10\": a size such as",
            "gateway.toml line 13: scope is set on an open route: what is demanded of callers needs",
            "gateway.toml line 16: path is \"/api/x\": line 10 has a route for it already",
            "gateway.toml line 18: scope is [\"read write\"]: a list of words",
            "gateway.toml line 20: cannot be read: missing field `service`",
            "gateway.toml line 26: cannot be read: unknown field `acess`, expected one of `path`",
            "gateway.toml line 32: idle_timeout is \"10\": a duration such as 500ms or 10s, from 1ms to 1d",
            "gateway.toml line 33: total_timeout is \"25h\": a duration such as",
            "gateway.toml line 34: end_with_token is set on an open route: it needs access",
            "gateway.toml line 35: assertion is true: no service can check one",
            "gateway.toml line 37: has \"service\": it is a list of routes",
        ];
        assert_eq!(said.len(), begins.len(), "{said:#?}");
        for (said, begin) in said.iter().zip(begins) {
            assert!(said.starts_with(begin), "{said}\n{begin}");
        }
    }

    #[test]
    fn a_providers_token_goes_into_authorization_unless_a_header_is_named() {
        for (lines, header) in [
            ("provider_token = 'my-idp'", "authorization"),
            ("provider_token = 'my-idp'\naccess = 'token'\nprovider_token_header = 'authorization'", "authorization"),
            ("provider_token = 'my-idp'\nprovider_token_header = 'Private-Token'", "private-token"),
        ] {
            let found = routes(&format!("[[routes]]\npath = '/api/x'\nservice = 'x'\n{lines}\n")).unwrap();
            let token = found[0].provider_token.as_ref().unwrap();
            assert_eq!((token.provider.as_str(), token.header.as_str()), ("my-idp", header));
        }
    }

    #[test]
    fn a_providers_token_that_could_not_be_sent_is_told_with_its_line() {
        for (lines, begin) in [
            ("provider_token = 'Google'", "4: provider_token is \"Google\": a provider's name has"),
            (
                "provider_token = 'github'",
                "4: provider_token is \"github\": a provider that is switched on: google, my-idp",
            ),
            ("access = 'open'\nprovider_token = 'google'", "5: provider_token is set on an open route: whose token"),
            (
                "forward_authorization = true\nprovider_token = 'google'",
                "5: provider_token and forward_authorization both want Authorization: one of them",
            ),
            (
                "forward_authorization = true\nprovider_token = 'google'\nprovider_token_header = 'AUTHORIZATION'",
                "5: provider_token and forward_authorization both want Authorization: one of them",
            ),
            ("provider_token_header = 'X-Token'", "4: provider_token_header stands alone: provider_token says"),
            (
                "provider_token = 'google'\nprovider_token_header = 'X-User-Token'",
                "5: provider_token_header is \"X-User-Token\": a header's name has",
            ),
        ] {
            let said = routes(&format!("[[routes]]\npath = '/api/x'\nservice = 'x'\n{lines}\n")).unwrap_err();
            assert_eq!(said.len(), 1, "{said:#?}");
            assert!(said[0].starts_with(&format!("gateway.toml line {begin}")), "{said:?}\n{begin}");
        }
    }

    #[test]
    fn a_service_that_has_no_address_is_told_with_the_one_that_was_meant() {
        let text = "[[routes]]\npath = '/api/x'\nservice = 'reprots'\n[[routes]]\npath = '/api/y'\nservice = 'user-mail'\n\
                    [[routes]]\npath = '/api/z'\nservice = 'reports'\n";
        let sources = Sources::default().with_routes_file("gateway.toml", text);
        let known = |services| Known { providers: None, algorithm: None, services };
        let mut reader = Reader::new(&sources);
        let _ = read(&mut reader, known(Some(&["auth", "reports"])));
        let said = reader.finish(Some(())).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            said,
            [
                "gateway.toml line 3: service is \"reprots\": a service with an address, and REPROTS_SERVICE_URL is not set; \
                 did you mean \"reports\"?",
                "gateway.toml line 6: service is \"user-mail\": a service with an address, and USER_MAIL_SERVICE_URL is not set",
            ]
        );
        // The shipped routes are nobody's mistake.
        let sources = Sources::default();
        let mut reader = Reader::new(&sources);
        assert!(!read(&mut reader, known(Some(&[]))).is_empty() && reader.finish(Some(())).is_ok());
    }

    #[test]
    fn a_service_sees_no_token_that_nobody_has_looked_at() {
        let with = |access: &str| {
            routes(&format!(
                "[[routes]]\npath = '/api/x'\nservice = 'x'\naccess = '{access}'\nforward_authorization = true\n"
            ))
        };
        for access in ["token", "token-or-session", "open"] {
            assert!(with(access).unwrap()[0].forward_authorization, "{access}");
        }
        let begin =
            "gateway.toml line 5: forward_authorization is set on a route for sessions alone: no token is looked at";
        let said = with("session").unwrap_err();
        assert!(said.len() == 1 && said[0].starts_with(begin), "{said:?}");
    }

    #[test]
    fn broken_toml_is_told_with_its_line() {
        let said = routes("[[routes]]\npath = /api/x\nservice = \"x\"\n").unwrap_err();
        assert!(said[0].starts_with("gateway.toml line 2: cannot be read"), "{said:?}");
        let said = routes("[[routes]]\npath = 1\nservice = \"x\"\n").unwrap_err();
        assert!(said[0].starts_with("gateway.toml line 2: cannot be read: invalid type: integer"), "{said:?}");
        assert!(routes("routes = 1").unwrap_err()[0].starts_with("gateway.toml line 1: has \"routes\""));
    }
}
