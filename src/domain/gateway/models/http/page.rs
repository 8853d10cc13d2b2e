//! Pages in browsers: which of them may act for the signed-in person, and which requests are navigations.

mod policy;

use url::Url;

pub use self::policy::{BrowserHeaders, PagePolicy, PageRefusal};

use crate::domain::gateway::models::provider::is_loopback;

/// The headers of a browser that describe the page that sends a request. Scripts cannot change them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Page<'r> {
    /// `Origin`
    pub origin: Option<&'r str>,
    /// `Sec-Fetch-Site`
    pub fetch_site: Option<&'r str>,
    /// `X-CSRF: 1`: the server of a front end says that it holds the cookie. A page of another site cannot send it
    /// without a preflight.
    pub by_server: bool,
}

impl Page<'_> {
    /// Whether all of them are missing: no current browser sends a request that changes something without any of them.
    pub fn is_unknown(self) -> bool {
        self.origin.is_none() && self.fetch_site.is_none()
    }
}

/// The headers of a browser that describe the purpose of a request (W3C Fetch Metadata). Scripts cannot change them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FetchMetadata<'r> {
    /// `Sec-Fetch-Mode`
    pub mode: Option<&'r str>,
    /// `Sec-Fetch-Dest`
    pub destination: Option<&'r str>,
    /// `Sec-Purpose`
    pub purpose: Option<&'r str>,
}

impl FetchMetadata<'_> {
    /// Whether a tab navigates to the address. A client that sends none of these headers (a program, an old browser) is
    /// let through.
    pub fn is_navigation(self) -> bool {
        self.mode.is_none_or(|mode| mode == "navigate")
            && self.destination.is_none_or(|destination| destination == "document")
            && self.purpose.is_none_or(|purpose| !purpose.contains("prefetch"))
    }
}

/// The pages that may act for the signed-in person: our own, and those of `ALLOWED_ORIGINS`.
#[derive(Debug, Clone, Default)]
pub struct TrustedPages {
    origins: Vec<String>,
}

impl TrustedPages {
    /// Trusts pages of these origins, as browsers write them.
    pub fn new(origins: impl IntoIterator<Item = String>) -> Self {
        Self { origins: origins.into_iter().collect() }
    }

    /// Whether a request comes from a trusted page, or from a server. A request without any of these headers is not
    /// trusted.
    pub fn include(&self, page: Page<'_>) -> bool {
        (page.by_server && page.is_unknown())
            || page.fetch_site == Some("same-origin")
            || page.origin.is_some_and(|origin| self.origins.iter().any(|known| known == origin))
    }
}

/// The host names under which browsers reach this gateway. They are checked in development, where everyone can get
/// tokens. With DNS rebinding, a page of another name that resolves to us has the same origin as its requests, so only
/// the name gives it away.
#[derive(Debug, Clone, Default)]
pub struct OwnHosts {
    names: Option<Vec<String>>,
    /// Whether browsers are redirected to the configured host, whichever host they used.
    is_fixed: bool,
}

impl OwnHosts {
    /// The hosts of these URLs, localhost, every address, and names without a dot, as containers have them: a foreign
    /// page cannot have such a name, since it cannot be registered.
    pub fn of(urls: impl IntoIterator<Item = String>) -> Self {
        let host = |url: String| Url::parse(&url).ok()?.host_str().map(str::to_owned);
        Self { names: Some(urls.into_iter().filter_map(host).collect()), is_fixed: false }
    }

    /// The same hosts, where the operator has configured the one that browsers use.
    #[must_use]
    pub fn fixed(self) -> Self {
        Self { is_fixed: true, ..self }
    }

    /// Whether a `Host` is one of them.
    pub fn include(&self, host: &str) -> bool {
        let Some(names) = &self.names else { return true };
        named(host).is_some_and(|url| is_nearby(&url) || names.iter().any(|name| url.host_str() == Some(name)))
    }

    /// Whether a `Host` is one of those that need no configuration: an address, this machine, a container.
    pub fn include_unset(&self, host: &str) -> bool {
        self.names.is_some() && !self.is_fixed && named(host).is_some_and(|url| is_nearby(&url))
    }
}

/// Whether a `Host` is this machine's own name or an address: no page can have it as the name of its own site. Others can
/// be made to resolve to any address.
pub fn is_local_host(host: &str) -> bool {
    named(host).is_some_and(|url| is_address(&url) || is_loopback(&url))
}

/// The URL of a `Host`, if it is valid.
fn named(host: &str) -> Option<Url> {
    Url::parse(&format!("http://{host}/")).ok().filter(|_| !host.contains(['@', '/', '\\', '?', '#']))
}

fn is_address(url: &Url) -> bool {
    matches!(url.host(), Some(url::Host::Ipv4(_) | url::Host::Ipv6(_)))
}

/// Whether no registered name leads there.
fn is_nearby(url: &Url) -> bool {
    is_address(url) || is_loopback(url) || url.host_str().is_some_and(|name| !name.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_page_has_a_local_host_as_its_name() {
        for local in ["localhost:9090", "ops.localhost", "127.0.0.1", "[::1]:9090", "10.0.0.7:9090"] {
            assert!(is_local_host(local), "{local}");
        }
        for other in
            ["gateway:9090", "attacker.example", "127.0.0.1.attacker.example", "attacker.example@localhost", ""]
        {
            assert!(!is_local_host(other), "{other}");
        }
    }

    #[test]
    fn our_hosts_are_addresses_this_machine_and_configured_names() {
        let hosts = OwnHosts::of(["https://www.jinmini.com".to_owned(), "http://app.test:3000".to_owned()]);
        for own in [
            "localhost",
            "localhost:8080",
            "LOCALHOST:8080",
            "auth.localhost:8080",
            "127.0.0.1:8080",
            "[::1]:8080",
            "192.168.0.7:8080",
            "203.0.113.5",
            "www.jinmini.com",
            "WWW.jinmini.com:443",
            "app.test:8080",
            "gateway:8080",
        ] {
            assert!(hosts.include(own), "{own}");
        }
        for foreign in [
            "attacker.example:8080",
            "localhost.attacker.example",
            "127.0.0.1.attacker.example:8080",
            "www.jinmini.com.attacker.example",
            "jinmini.com",
            "gateway.:8080",
            "",
            "a b",
            "attacker.example@localhost",
            "localhost/attacker.example",
        ] {
            assert!(!hosts.include(foreign), "{foreign}");
        }
        assert!(hosts.include_unset("192.168.0.7:8080") && hosts.include_unset("gateway:8080"));
        assert!(!hosts.include_unset("www.jinmini.com") && !OwnHosts::default().include_unset("localhost"));
        assert!(!hosts.clone().fixed().include_unset("192.168.0.7:8080"), "it is set by which they are to come");
        assert!(OwnHosts::default().include("attacker.example"), "where nothing is given away names do not matter");
    }

    #[test]
    fn our_own_pages_and_listed_ones_are_trusted() {
        let pages = TrustedPages::new(["https://www.jinmini.com".to_owned(), "https://app.jinmini.com".to_owned()]);
        let trusted = |origin, fetch_site| pages.include(Page { origin, fetch_site, by_server: false });
        assert!(trusted(None, Some("same-origin")));
        assert!(trusted(Some("https://app.jinmini.com"), Some("same-site")));
        assert!(trusted(Some("https://www.jinmini.com"), None));
        for (origin, fetch_site) in [
            (None, None),
            (None, Some("same-site")),
            (None, Some("cross-site")),
            (None, Some("none")),
            (Some("null"), Some("cross-site")),
            (Some("https://evil.example"), Some("cross-site")),
            (Some("https://app.jinmini.com.evil.example"), None),
            (Some("http://app.jinmini.com"), None),
            (Some("https://app.jinmini.com/"), None),
            (Some("https://APP.jinmini.com"), None),
        ] {
            assert!(!trusted(origin, fetch_site), "{origin:?} {fetch_site:?}");
        }
        assert!(Page::default().is_unknown());
        let by_server = Page { by_server: true, ..Page::default() };
        assert!(pages.include(by_server));
        for page in [
            Page { origin: Some("https://evil.example"), ..by_server },
            Page { origin: Some("null"), ..by_server },
            Page { fetch_site: Some("cross-site"), ..by_server },
            Page { fetch_site: Some("none"), ..by_server },
        ] {
            assert!(!pages.include(page), "a browser says where it is from: {page:?}");
        }
    }

    #[test]
    fn a_tab_navigates_and_subresources_do_not() {
        let navigates = |mode, destination, purpose| FetchMetadata { mode, destination, purpose }.is_navigation();
        assert!(navigates(None, None, None));
        assert!(navigates(Some("navigate"), Some("document"), None));
        assert!(navigates(Some("navigate"), None, None) && navigates(None, Some("document"), None));
        for (mode, destination, purpose) in [
            (Some("no-cors"), Some("image"), None),
            (Some("no-cors"), Some("empty"), None),
            (Some("no-cors"), Some("script"), None),
            (Some("cors"), Some("empty"), None),
            (Some("same-origin"), Some("empty"), None),
            (Some("websocket"), Some("websocket"), None),
            (Some("navigate"), Some("iframe"), None),
            (Some("navigate"), Some("object"), None),
            (Some("navigate"), Some("embed"), None),
            (Some("navigate"), Some("document"), Some("prefetch")),
            (Some("navigate"), Some("document"), Some("prefetch;prerender")),
            (None, Some("image"), None),
            (Some(""), None, None),
            (Some("Navigate"), None, None),
        ] {
            assert!(!navigates(mode, destination, purpose), "{mode:?} {destination:?} {purpose:?}");
        }
    }
}
