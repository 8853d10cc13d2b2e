//! Browsers: what the settings say of those that are signed in, and where those are sent that are not.

use std::net::IpAddr;

use http::{
    HeaderName, HeaderValue, Method,
    header::{ACCEPT, HOST, ORIGIN, STRICT_TRANSPORT_SECURITY},
};

use crate::{
    domain::gateway::models::{
        login::ReturnTo,
        origin::AllowedOrigins,
        page::{Page, TrustedPages},
        service::SERVICES_PREFIX,
    },
    edge::http::{header_list::HeaderList, message::RequestHead},
};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const X_CSRF: HeaderName = HeaderName::from_static("x-csrf");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// What the data plane has to know of browsers.
#[derive(Debug, Clone)]
pub struct BrowserSettings {
    /// The name of the cookie that holds a session.
    pub session_cookie: String,
    /// The pages that may act in the name of whoever is signed in.
    pub pages: TrustedPages,
    /// Of other origins: their pages may call, and read what is answered.
    pub allowed_origins: AllowedOrigins,
    /// Where our own paths are, too, and the routes: `/e`.
    pub api_prefix: String,
    /// Whether browsers are told to use https alone for this host from now on (RFC 6797).
    pub strict_transport: bool,
}

/// A year. Other hosts of the domain may not have a certificate, so they are not included.
const STRICT_TRANSPORT: &str = "max-age=31536000";

/// Whether an answer tells browsers to use https alone for the host that it was asked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// It does.
    Strict,
    /// It does not.
    Any,
}

impl Transport {
    /// Adds `Strict-Transport-Security` where it is due. What a service says itself stays: it may want more, or less.
    pub(crate) fn secure(self, headers: &mut HeaderList) {
        if self == Self::Strict && !headers.contains(&STRICT_TRANSPORT_SECURITY) {
            headers.append(STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT);
        }
    }
}

impl BrowserSettings {
    /// How answers to a request are to speak of the host it is for, if that is known. The developer's own browser on the machine of
    /// a gateway, or at the end of a tunnel to it, would from then on find nothing there that has no certificate. A proxy in
    /// front may ask for any host.
    pub(crate) fn transport(&self, request: Option<&RequestHead>, by_proxy: bool) -> Transport {
        let is_due = |request: &RequestHead| {
            let authority = request.uri.authority().map(|authority| authority.as_str().as_bytes());
            by_proxy || !authority.or_else(|| request.headers.get(&HOST)).is_some_and(is_this_machine)
        };
        if self.strict_transport && request.is_some_and(is_due) { Transport::Strict } else { Transport::Any }
    }

    /// A path in two: the API prefix, if it is one of a service's under it, and the rest, which leads to a service.
    pub(crate) fn split<'p>(&self, path: &'p str) -> (&'p str, &'p str) {
        let of_service = |rest: &str| rest == SERVICES_PREFIX || rest.starts_with("/api/");
        match path.strip_prefix(self.api_prefix.as_str()) {
            Some(rest) if of_service(rest) => path.split_at(self.api_prefix.len()),
            _ => ("", path),
        }
    }

    /// Where whoever asked for this signs in, to come back to it. What is too long to come back to is asked for again by hand.
    pub(crate) fn sign_in(&self, path: &str, query: Option<&str>) -> Option<HeaderValue> {
        let target = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
        let location = match ReturnTo::parse(&target, &[]) {
            Ok(return_to) => format!("{}/login?return_to={}", self.api_prefix, return_to.encoded()),
            Err(_) => format!("{}/login", self.api_prefix),
        };
        HeaderValue::try_from(location).ok()
    }
}

/// Whether an authority names the machine that it is looked up on.
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

/// From which page a request comes.
pub(crate) fn page(headers: &HeaderList) -> Page<'_> {
    Page {
        origin: headers.text(&ORIGIN),
        fetch_site: headers.text(&SEC_FETCH_SITE),
        by_server: headers.get(&X_CSRF) == Some(b"1"),
    }
}

/// Whether somebody goes to a page with their browser, and no script or program asks. Browsers that do not say so ask for HTML.
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
    fn a_person_is_told_from_a_program() {
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
    fn one_comes_back_to_where_one_was() {
        let at = |path: &str, query| settings(false).sign_in(path, query).unwrap();
        assert_eq!(at("/api/reports", None), "/e/login?return_to=%2Fapi%2Freports");
        assert_eq!(at("/api/r", Some("a=1&b=%20")), "/e/login?return_to=%2Fapi%2Fr%3Fa%3D1%26b%3D%2520");
        assert_eq!(at("/api/r", Some(&"x".repeat(600))), "/e/login");
    }

    #[test]
    fn a_path_of_a_service_may_stand_under_the_prefix() {
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
    fn transport_security_is_said_once_and_only_where_it_is_due() {
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
    fn transport_security_is_not_said_of_the_developers_own_machine() {
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
