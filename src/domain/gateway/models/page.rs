//! Pages in browsers: which of them may act in the name of whoever is signed in.

/// What a browser says about the page that a request comes from. Scripts cannot change it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Page<'r> {
    /// `Origin`
    pub origin: Option<&'r str>,
    /// `Sec-Fetch-Site`
    pub fetch_site: Option<&'r str>,
}

impl Page<'_> {
    /// Whether nothing is said: no browser of today sends a request that changes something, and nothing of this along.
    pub fn is_unknown(self) -> bool {
        self.origin.is_none() && self.fetch_site.is_none()
    }
}

/// The pages that may act in the name of whoever is signed in: our own, and those of `ALLOWED_ORIGINS`.
#[derive(Debug, Clone, Default)]
pub struct TrustedPages {
    origins: Vec<String>,
}

impl TrustedPages {
    /// Pages of these origins, as browsers write them.
    pub fn new(origins: impl IntoIterator<Item = String>) -> Self {
        Self { origins: origins.into_iter().collect() }
    }

    /// Whether a request comes from one of them. Where nothing is said nothing is known, and nothing is allowed.
    pub fn include(&self, page: Page<'_>) -> bool {
        page.fetch_site == Some("same-origin")
            || page.origin.is_some_and(|origin| self.origins.iter().any(|known| known == origin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_and_those_on_the_list_are_trusted() {
        let pages = TrustedPages::new(["https://www.jinmini.com".to_owned(), "https://app.jinmini.com".to_owned()]);
        let trusted = |origin, fetch_site| pages.include(Page { origin, fetch_site });
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
    }
}
