//! Browser rules: the settings for browser sessions, and the redirect to the login page.

use std::net::IpAddr;

use http::{
    HeaderName, HeaderValue, Method,
    header::{ACCEPT, HOST, ORIGIN, STRICT_TRANSPORT_SECURITY},
};

use crate::{
    domain::gateway::models::{
        http::{
            origin::AllowedOrigins,
            page::{Page, TrustedPages},
        },
        login::ReturnTo,
        service::Route,
    },
    edge::http::{header_list::HeaderList, message::RequestHead},
};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const X_CSRF: HeaderName = HeaderName::from_static("x-csrf");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// The settings of the data plane for browsers.
#[derive(Debug, Clone)]
pub struct BrowserSettings {
    /// The name of the session cookie.
    pub session_cookie: String,
    /// The pages that may make changes with the session of the signed-in person.
    pub pages: TrustedPages,
    /// The other origins whose pages may call, and read the responses.
    pub allowed_origins: AllowedOrigins,
    /// The prefix of the gateway's own paths, under which services are reachable, too: `/e`.
    pub api_prefix: String,
    /// Whether responses tell browsers to use only https for this host from now on (RFC 6797).
    pub strict_transport: bool,
}

/// One year. Without `includeSubDomains`: other hosts of the domain may not have a certificate.
const STRICT_TRANSPORT: &str = "max-age=31536000";

/// Whether a response tells the browser to use only https for the requested host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// It does.
    Strict,
    /// It does not.
    Any,
}

impl Transport {
    /// Adds `Strict-Transport-Security` where it is due. A service's own header stays: it may want more, or less.
    pub(crate) fn secure(self, headers: &mut HeaderList) {
        if self == Self::Strict && !headers.contains(&STRICT_TRANSPORT_SECURITY) {
            headers.append(STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT);
        }
    }
}

impl BrowserSettings {
    /// The transport rule for the response to a request, if the request is known. A request for this machine gets none:
    /// the developer's own browser on the gateway's machine, or at the end of a tunnel to it, could from then on reach
    /// nothing there that has no certificate. A proxy in front may ask for any host.
    pub(crate) fn transport(&self, request: Option<&RequestHead>, by_proxy: bool) -> Transport {
        let is_due = |request: &RequestHead| {
            let authority = request.uri.authority().map(|authority| authority.as_str().as_bytes());
            by_proxy || !authority.or_else(|| request.headers.get(&HOST)).is_some_and(is_this_machine)
        };
        if self.strict_transport && request.is_some_and(is_due) { Transport::Strict } else { Transport::Any }
    }

    /// Splits a path: the API prefix, if a service's path follows it, and the rest, which leads to a service.
    pub(crate) fn split<'p>(&self, path: &'p str) -> (&'p str, &'p str) {
        match path.strip_prefix(self.api_prefix.as_str()) {
            Some(rest) if Route::is_service_path(rest) => path.split_at(self.api_prefix.len()),
            _ => ("", path),
        }
    }

    /// The login page, with `return_to` set to this request. If the target is too long for `return_to`, it is left out.
    pub(crate) fn sign_in(&self, path: &str, query: Option<&str>) -> Option<HeaderValue> {
        let target = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
        let location = match ReturnTo::parse(&target, &[]) {
            Ok(return_to) => format!("{}/login?return_to={}", self.api_prefix, return_to.encoded()),
            Err(_) => format!("{}/login", self.api_prefix),
        };
        HeaderValue::try_from(location).ok()
    }
}

/// Whether an authority names the machine that resolves it: `localhost` or a loopback address.
fn is_this_machine(authority: &[u8]) -> bool {
    let Ok(authority) = std::str::from_utf8(authority) else { return false };
    let (host, _port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority, ""),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return address.to_canonical().is_loopback();
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// The page that a request comes from.
pub(crate) fn page(headers: &HeaderList) -> Page<'_> {
    Page {
        origin: headers.text(&ORIGIN),
        fetch_site: headers.text(&SEC_FETCH_SITE),
        by_server: headers.get(&X_CSRF) == Some(b"1"),
    }
}

/// Whether a browser navigates to a page, as opposed to a script or a program that calls. Without `Sec-Fetch-Mode`, a
/// browser is recognised by accepting HTML.
pub(crate) fn navigates(method: &Method, headers: &HeaderList) -> bool {
    let says_so = || match headers.text(&SEC_FETCH_MODE) {
        Some(mode) => mode == "navigate",
        None => headers.all(ACCEPT).any(wants_html),
    };
    matches!(*method, Method::GET | Method::HEAD) && says_so()
}

fn wants_html(accept: &[u8]) -> bool {
    let kinds = accept.split(|&byte| byte == b',').filter_map(|kind| kind.split(|&byte| byte == b';').next());
    kinds.map(<[u8]>::trim_ascii).any(|kind| kind.eq_ignore_ascii_case(b"text/html"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderList {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_browser_navigation_is_distinguished_from_a_program() {
        let html = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
        let goes = |method: &Method, lines: &[_]| navigates(method, &headers(lines));
        assert!(goes(&Method::GET, &[html]) && goes(&Method::HEAD, &[html]));
        assert!(goes(&Method::GET, &[("accept", "application/json, Text/HTML ; q=0.5")]));
        assert!(goes(&Method::GET, &[("sec-fetch-mode", "navigate"), ("accept", "*/*")]));
        assert!(!goes(&Method::GET, &[("sec-fetch-mode", "cors"), html]), "a script may ask for HTML");
        assert!(!goes(&Method::POST, &[("sec-fetch-mode", "navigate"), html]), "what was sent would be lost");
        assert!(!goes(&Method::GET, &[("accept", "*/*")]) && !goes(&Method::GET, &[]));
        assert!(!goes(&Method::GET, &[("accept", "text/htmlx")]));
    }

    fn settings(strict_transport: bool) -> BrowserSettings {
        BrowserSettings {
            session_cookie: "gateway_session".into(),
            pages: TrustedPages::default(),
            allowed_origins: AllowedOrigins::default(),
            api_prefix: "/e".into(),
            strict_transport,
        }
    }

    #[test]
    fn the_login_returns_to_the_requested_page() {
        let at = |path: &str, query| settings(false).sign_in(path, query).unwrap();
        assert_eq!(at("/api/reports", None), "/e/login?return_to=%2Fapi%2Freports");
        assert_eq!(at("/api/r", Some("a=1&b=%20")), "/e/login?return_to=%2Fapi%2Fr%3Fa%3D1%26b%3D%2520");
        assert_eq!(at("/api/r", Some(&"x".repeat(600))), "/e/login");
    }

    #[test]
    fn a_service_path_may_follow_the_api_prefix() {
        for (path, expected) in [
            ("/e/api/users", ("/e", "/api/users")),
            ("/e/api", ("/e", "/api")),
            ("/api/users", ("", "/api/users")),
            ("/api/e/api/x", ("", "/api/e/api/x")),
            ("/e/e/api/x", ("", "/e/e/api/x")),
            ("/e/apis", ("", "/e/apis")),
            ("/e/login", ("", "/e/login")),
            ("/e/API/users", ("", "/e/API/users")),
            ("/ea/api/x", ("", "/ea/api/x")),
        ] {
            assert_eq!(settings(false).split(path), expected, "{path}");
        }
    }

    #[test]
    fn strict_transport_security_is_sent_once_and_only_where_it_is_due() {
        let said = |transport: Transport, lines: &[(&'static str, &'static str)]| {
            let mut headers = headers(lines);
            transport.secure(&mut headers);
            headers.all(STRICT_TRANSPORT_SECURITY).map(<[u8]>::to_vec).collect::<Vec<_>>()
        };
        assert_eq!(said(Transport::Strict, &[("accept", "x")]), [STRICT_TRANSPORT.as_bytes()]);
        assert_eq!(said(Transport::Strict, &[("strict-transport-security", "max-age=0")]), [b"max-age=0"]);
        assert!(said(Transport::Any, &[]).is_empty());
    }

    #[test]
    fn strict_transport_security_is_not_sent_for_the_developers_own_machine() {
        let asked = |uri: &str, host: Option<&'static str>| RequestHead {
            uri: uri.parse().unwrap(),
            headers: host.into_iter().map(|host| (HOST, host)).collect(),
            ..RequestHead::default()
        };
        let strict = settings(true);
        for (host, expected) in [
            ("www.jinmini.com", Transport::Strict),
            ("www.jinmini.com:8443", Transport::Strict),
            ("192.0.2.1:443", Transport::Strict),
            ("[2001:db8::1]", Transport::Strict),
            ("localhost.jinmini.com", Transport::Strict),
            ("notlocalhost", Transport::Strict),
            ("", Transport::Strict),
            ("localhost", Transport::Any),
            ("LocalHost:8080", Transport::Any),
            ("localhost.:8080", Transport::Any),
            ("app.localhost:8080", Transport::Any),
            ("127.0.0.1", Transport::Any),
            ("127.1.2.3:8080", Transport::Any),
            ("[::1]", Transport::Any),
            ("[::1]:8080", Transport::Any),
            ("[::ffff:127.0.0.1]:8080", Transport::Any),
        ] {
            let request = asked("/", Some(host));
            assert_eq!(strict.transport(Some(&request), false), expected, "{host}");
            assert_eq!(strict.transport(Some(&request), true), Transport::Strict, "a proxy may ask for any host");
            assert_eq!(settings(false).transport(Some(&request), true), Transport::Any);
        }
        assert_eq!(
            strict.transport(Some(&asked("https://localhost/a", Some("a"))), false),
            Transport::Any,
            "the target"
        );
        assert_eq!(strict.transport(Some(&asked("/", None)), false), Transport::Strict);
        assert_eq!(strict.transport(None, true), Transport::Any, "nobody knows what it was");
    }
}
