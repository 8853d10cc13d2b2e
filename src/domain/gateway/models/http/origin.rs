//! The origins of other sites that are allowed here (`ALLOWED_ORIGINS`): exact ones, and previews.

use std::{fmt, str::FromStr};

use thiserror::Error;
use url::Url;

/// The text is not an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "an origin as browsers send it, such as https://app.jinmini.com; for previews, the first label of the host may contain one \
     * beside other characters, as in https://*-team.vercel.app"
)]
pub struct InvalidOrigin;

/// An origin, or the origins of all previews of a front end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedOrigin {
    /// Exactly this origin, as browsers write it.
    Exact(String),
    /// All origins that match a pattern such as `https://*-team.vercel.app`.
    Previews {
        /// The part before the `*`.
        before: String,
        /// The part after the `*`.
        after: String,
    },
}

/// The rights of a page, by its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// It acts for the signed-in person.
    Trusted,
    /// It reads responses to requests without cookies. Anyone may have got a name at the host of previews.
    Preview,
}

impl FromStr for AllowedOrigin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((before, after)) = text.split_once('*') else {
            return is_origin(text).then(|| Self::Exact(text.to_owned())).ok_or(InvalidOrigin);
        };
        let host = before.split_once("://").map(|(_, first)| first).ok_or(InvalidOrigin)?;
        let (label, parent) = after.split_once('.').ok_or(InvalidOrigin)?;
        // A whole label would match every customer's pages at that host, and so would a top-level domain.
        let is_narrow = !(host.is_empty() && label.is_empty()) && parent.contains('.') && !host.contains('.');
        (is_narrow && is_origin(&format!("{before}x{after}")))
            .then(|| Self::Previews { before: before.to_owned(), after: after.to_owned() })
            .ok_or(InvalidOrigin)
    }
}

impl fmt::Display for AllowedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(origin) => f.write_str(origin),
            Self::Previews { before, after } => write!(f, "{before}*{after}"),
        }
    }
}

/// Whether a browser would write an origin like this.
fn is_origin(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        // Hosts of URLs may contain more, such as `;`, which would begin another directive of a
        // Content-Security-Policy.
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'/' | b'[' | b']');
        matches!(url.scheme(), "http" | "https")
            && url.origin().ascii_serialization() == text
            && text.bytes().all(is_plain)
    })
}

/// All allowed origins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedOrigins(Vec<AllowedOrigin>);

impl AllowedOrigins {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The trusted origins: those without previews.
    pub fn trusted(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|allowed| match allowed {
            AllowedOrigin::Exact(origin) => Some(origin.as_str()),
            AllowedOrigin::Previews { .. } => None,
        })
    }

    /// The rights of a page with this `Origin`; `None` if the origin is not allowed.
    pub fn reader(&self, origin: &[u8]) -> Option<Reader> {
        let is = |allowed: &AllowedOrigin| match allowed {
            AllowedOrigin::Exact(known) => (known.as_bytes() == origin).then_some(Reader::Trusted),
            AllowedOrigin::Previews { before, after } => {
                let label = origin.strip_prefix(before.as_bytes())?.strip_suffix(after.as_bytes())?;
                let is_label = !label.is_empty()
                    && label.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-');
                is_label.then_some(Reader::Preview)
            }
        };
        // An origin may be listed exactly and match a pattern, too.
        let mut found = self.0.iter().filter_map(is);
        let first = found.next()?;
        Some(if first == Reader::Trusted || found.any(|one| one == Reader::Trusted) { Reader::Trusted } else { first })
    }
}

impl FromIterator<AllowedOrigin> for AllowedOrigins {
    fn from_iter<I: IntoIterator<Item = AllowedOrigin>>(origins: I) -> Self {
        Self(origins.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        for text in ["https://app.jinmini.com", "https://a:8443", "http://localhost:3000", "https://[::1]:3000"] {
            assert_eq!(text.parse(), Ok(AllowedOrigin::Exact(text.to_owned())));
        }
        for text in [
            "https://a;script-src",
            "https://a\"b",
            "https://a$b",
            "*",
            "https://a/",
            "https://A",
            "https://a:443",
            "a",
            "null",
            "https://u@a",
            "https://",
            "ftp://a",
            "",
        ] {
            assert_eq!(text.parse::<AllowedOrigin>(), Err(InvalidOrigin), "{text}");
        }
    }

    #[test]
    fn previews_have_one_star_within_the_first_label() {
        for text in ["https://*-team.vercel.app", "https://shop-*.vercel.app", "https://shop-*-team.vercel.app:8443"] {
            assert_eq!(text.parse::<AllowedOrigin>().unwrap().to_string(), text);
        }
        for text in [
            "https://*.vercel.app",
            "https://*",
            "https://*-a.app",
            "https://a.*-team.vercel.app",
            "https://*-team.*.vercel.app",
            "https://**-team.vercel.app",
            "https://*-Team.vercel.app",
            "https://*-team.vercel.app/",
            "https://*-team.vercel.app:443",
            "*-team.vercel.app",
            "*://a-team.vercel.app",
            "https://team.vercel.app:*",
        ] {
            assert_eq!(text.parse::<AllowedOrigin>(), Err(InvalidOrigin), "{text}");
        }
    }

    #[test]
    fn the_origin_decides_what_a_page_may_do() {
        let origins = ["https://app.jinmini.com", "https://*-team.vercel.app", "https://main-team.vercel.app"];
        let origins: AllowedOrigins = origins.iter().map(|text| text.parse().unwrap()).collect();
        let reader = |origin: &str| origins.reader(origin.as_bytes());
        assert_eq!(reader("https://app.jinmini.com"), Some(Reader::Trusted));
        assert_eq!(reader("https://shop-git-main-team.vercel.app"), Some(Reader::Preview));
        assert_eq!(reader("https://main-team.vercel.app"), Some(Reader::Trusted), "it is named, too");
        for origin in [
            "null",
            "",
            "https://-team.vercel.app",
            "https://a.b-team.vercel.app",
            "https://evil.example/-team.vercel.app",
            "https://evil.example#-team.vercel.app",
            "https://u@-team.vercel.app",
            "http://a-team.vercel.app",
            "https://a-team.vercel.app.evil.example",
            "https://a-team.vercel.app:444",
            "https://A-team.vercel.app",
            "https://app.jinmini.com.evil.example",
        ] {
            assert_eq!(reader(origin), None, "{origin}");
        }
        assert_eq!(origins.trusted().collect::<Vec<_>>(), ["https://app.jinmini.com", "https://main-team.vercel.app"]);
    }
}
