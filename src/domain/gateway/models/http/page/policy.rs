//! The rules for pages: what a page may make a browser do here.

use super::{FetchMetadata, OwnHosts, Page, TrustedPages};

/// The headers by which a browser describes a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct BrowserHeaders<'r> {
    /// `Host`
    pub host: Option<&'r str>,
    /// The scheme of the request: `http` or `https`.
    pub scheme: Option<&'static str>,
    /// The page that sends the request.
    pub page: Page<'r>,
    /// The purpose of the request.
    pub fetch: FetchMetadata<'r>,
}

impl BrowserHeaders<'_> {
    /// Whether a browser sent the request: programs send none of these headers.
    fn are_of_browser(&self) -> bool {
        let Self { page, fetch, .. } = self;
        [page.origin, page.fetch_site, fetch.mode, fetch.destination].iter().any(Option::is_some)
    }
}

/// The reason why a page must not make a browser do this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageRefusal {
    /// The browser used a host name that is not the gateway's.
    ForeignHost,
    /// The page is not trusted, and would act for the signed-in person.
    ActsForPerson,
    /// The page is not trusted, and would set a cookie of the gateway.
    SetsCookie,
    /// The browser would not keep the session that the page opens.
    SessionIsLost,
    /// The browser does not navigate: a page loads the address.
    NotANavigation,
}

/// The rules for pages.
#[derive(Debug, Clone, Default)]
pub struct PagePolicy {
    pages: TrustedPages,
    hosts: OwnHosts,
}

impl PagePolicy {
    /// `pages` may act for the signed-in person.
    pub fn new(pages: TrustedPages) -> Self {
        Self { pages, hosts: OwnHosts::default() }
    }

    /// Sets the only host names by which browsers are served without credentials.
    #[must_use]
    pub fn at(self, hosts: OwnHosts) -> Self {
        Self { hosts, ..self }
    }

    /// The address that the browser used, if it may differ from the configured one: in development it may be
    /// `127.0.0.1`, a container of compose, or this machine's address on a LAN.
    pub fn came_by(&self, browser: &BrowserHeaders<'_>) -> Option<String> {
        let host = browser.host.filter(|host| self.hosts.include_unset(host))?;
        Some(format!("{}://{host}", browser.scheme.unwrap_or("http")))
    }

    /// Whether the page that sent this may act for the signed-in person. In development our own pages have the origin
    /// of the address that the browser used; over plain http on a LAN browsers send no further headers.
    fn trusts(&self, browser: &BrowserHeaders<'_>) -> bool {
        self.pages.include(browser.page)
            || browser.page.origin.is_some_and(|origin| self.came_by(browser).as_deref() == Some(origin))
    }

    /// A request that changes something for the signed-in person must come from a trusted page.
    ///
    /// # Errors
    /// `ActsForPerson`
    pub fn check_change(&self, browser: &BrowserHeaders<'_>) -> Result<(), PageRefusal> {
        if self.trusts(browser) { Ok(()) } else { Err(PageRefusal::ActsForPerson) }
    }

    /// Pages of foreign host names that resolve to us (DNS rebinding) must not get what everyone gets in development.
    ///
    /// # Errors
    /// `ForeignHost`
    pub fn check_host(&self, browser: &BrowserHeaders<'_>) -> Result<(), PageRefusal> {
        let is_foreign = browser.host.is_some_and(|host| !self.hosts.include(host));
        if is_foreign && browser.are_of_browser() { Err(PageRefusal::ForeignHost) } else { Ok(()) }
    }

    /// Pages of other sites must not call what sets a cookie: such a page could sign a browser in to another account.
    /// Browsers send the origin of a request; a request without one is not from a browser.
    ///
    /// # Errors
    /// `ForeignHost`, `SetsCookie`
    pub fn check_cookie(&self, browser: &BrowserHeaders<'_>) -> Result<(), PageRefusal> {
        self.check_host(browser)?;
        if browser.page.is_unknown() || self.trusts(browser) { Ok(()) } else { Err(PageRefusal::SetsCookie) }
    }

    /// Opening a session takes more: a page of another site that may call the gateway would get the cookie, but no
    /// browser would keep it.
    ///
    /// # Errors
    /// `ForeignHost`, `SetsCookie`, `SessionIsLost`
    pub fn check_new_session(&self, browser: &BrowserHeaders<'_>) -> Result<(), PageRefusal> {
        self.check_cookie(browser)?;
        if browser.page.fetch_site == Some("cross-site") { Err(PageRefusal::SessionIsLost) } else { Ok(()) }
    }

    /// Only a navigation begins a sign-in. Anything that a page loads (an image, a frame, a request of a script) does
    /// not: otherwise a page could fill a browser's cookies, or begin sign-ins that the person does not see.
    ///
    /// # Errors
    /// `NotANavigation`
    pub fn check_navigation(browser: &BrowserHeaders<'_>) -> Result<(), PageRefusal> {
        if browser.fetch.is_navigation() { Ok(()) } else { Err(PageRefusal::NotANavigation) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "https://www.jinmini.com";

    fn policy() -> PagePolicy {
        let hosts = OwnHosts::of([OWN.to_owned()]);
        PagePolicy::new(TrustedPages::new([OWN.to_owned(), "https://app.example".to_owned()])).at(hosts)
    }

    fn from<'r>(host: &'r str, origin: Option<&'r str>, fetch_site: Option<&'r str>) -> BrowserHeaders<'r> {
        let page = Page { origin, fetch_site, by_server: false };
        BrowserHeaders { host: Some(host), scheme: Some("https"), page, ..BrowserHeaders::default() }
    }

    #[test]
    fn a_page_of_a_foreign_host_gets_nothing_and_a_program_is_let_through() {
        let rebound = from("evil.example", Some("https://evil.example"), Some("same-origin"));
        for check in [PagePolicy::check_host, PagePolicy::check_cookie, PagePolicy::check_new_session] {
            assert_eq!(check(&policy(), &rebound), Err(PageRefusal::ForeignHost));
            assert_eq!(check(&policy(), &from("evil.example", None, None)), Ok(()), "curl");
        }
        let frame = FetchMetadata { mode: Some("navigate"), ..FetchMetadata::default() };
        let navigation = BrowserHeaders { fetch: frame, ..from("evil.example", None, None) };
        assert_eq!(policy().check_host(&navigation), Err(PageRefusal::ForeignHost));
    }

    #[test]
    fn a_page_of_another_site_sets_no_cookie_and_one_that_may_call_opens_no_session() {
        let evil = from("www.jinmini.com", Some("https://evil.example"), Some("cross-site"));
        assert_eq!(policy().check_host(&evil), Ok(()));
        assert_eq!(policy().check_cookie(&evil), Err(PageRefusal::SetsCookie));
        assert_eq!(policy().check_new_session(&evil), Err(PageRefusal::SetsCookie));
        let listed = from("www.jinmini.com", Some("https://app.example"), Some("cross-site"));
        assert_eq!(policy().check_cookie(&listed), Ok(()));
        assert_eq!(policy().check_new_session(&listed), Err(PageRefusal::SessionIsLost));
        for own in [from("www.jinmini.com", Some(OWN), Some("same-origin")), from("www.jinmini.com", None, None)] {
            assert_eq!(policy().check_new_session(&own), Ok(()));
        }
    }

    #[test]
    fn only_a_trusted_page_acts_for_the_person() {
        assert_eq!(policy().check_change(&from("www.jinmini.com", Some(OWN), None)), Ok(()));
        for other in [Some("https://evil.example"), Some("null"), None] {
            let outcome = policy().check_change(&from("www.jinmini.com", other, None));
            assert_eq!(outcome, Err(PageRefusal::ActsForPerson), "{other:?}");
        }
    }

    #[test]
    fn in_development_a_page_at_the_address_that_the_browser_used_is_our_own() {
        let lan = from("192.168.0.7:8080", Some("https://192.168.0.7:8080"), None);
        assert_eq!(policy().came_by(&lan).as_deref(), Some("https://192.168.0.7:8080"));
        assert_eq!(policy().check_change(&lan), Ok(()));
        let other = from("192.168.0.7:8080", Some("https://192.168.0.8:8080"), None);
        assert_eq!(policy().check_change(&other), Err(PageRefusal::ActsForPerson));
        let production = PagePolicy::new(TrustedPages::new([OWN.to_owned()]));
        assert_eq!(production.came_by(&lan), None);
        assert_eq!(production.check_change(&lan), Err(PageRefusal::ActsForPerson));
    }

    #[test]
    fn a_sign_in_begins_by_navigation() {
        let image = FetchMetadata { destination: Some("image"), ..FetchMetadata::default() };
        let load = BrowserHeaders { fetch: image, ..BrowserHeaders::default() };
        assert_eq!(PagePolicy::check_navigation(&load), Err(PageRefusal::NotANavigation));
        assert_eq!(PagePolicy::check_navigation(&BrowserHeaders::default()), Ok(()));
    }
}
