//! Sign-ins at a provider: one attempt, from the browser's leaving to its return.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use thiserror::Error;

use super::{
    oauth::ProviderName,
    values::{digest::Sha256Digest, id::SessionId, secret::Secret},
};

/// How long an attempt may take: as long as the authorization code that completes it (RFC 6749 §4.1.2).
pub const ATTEMPT_LIFE: TimeDelta = TimeDelta::minutes(10);

/// The most concurrent attempts of one browser, each in its tab. One more replaces the oldest. Each is a cookie of
/// about 2 KiB at most, and all of them must fit into a request's head of 16 KiB, together with all other cookies.
pub const MAX_ATTEMPTS: usize = 5;

/// The longest `return_to`: it travels in a cookie.
const MAX_RETURN_TO_BYTES: usize = 512;

/// The longest list of additional scopes: it travels in the same cookie.
pub const MAX_SCOPE_BYTES: usize = 512;

/// The longest login hint, in characters: no e-mail address is longer (RFC 5321 §4.5.3.1).
pub const MAX_LOGIN_HINT: usize = 254;

/// The `state` that the browser brings back (RFC 6749 §10.12): 256 random bits, one per attempt.
#[derive(Clone, PartialEq, Eq)]
pub struct LoginState(String);

impl LoginState {
    /// Makes a state of 256 random bits.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// A state as a browser presents it.
    pub fn presented(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text, for the provider and for nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The digest that a store may hold.
    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::of(self.0.as_bytes())
    }

    /// Distinguishes the attempts of one browser. It is not secret.
    pub fn label(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.digest().as_bytes()[..9])
    }
}

impl fmt::Debug for LoginState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginState(…)")
    }
}

/// An attempt to sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginAttempt {
    /// The provider: a code of another one is not for this attempt (mix-up, RFC 9700 §4.4).
    pub provider: ProviderName,
    /// PKCE (RFC 7636), if the provider supports it.
    pub code_verifier: Option<Secret>,
    /// The nonce that the id token must contain, if the provider issues one.
    pub nonce: Secret,
    /// Where the browser goes at the end.
    pub return_to: ReturnTo,
    /// Where the provider sends the browser back to, if not to its configured callback.
    pub callback: Option<String>,
    /// The session that began the attempt to link the provider to its account; `None` for a sign-in.
    pub link: Option<SessionId>,
    /// The scopes that it requests in addition to the configured ones.
    pub more_scopes: Vec<String>,
    /// Whether the provider must ask the person for consent: the attempt follows one that brought no refresh token.
    pub consent: bool,
    /// Whether the browser must come back with a form: no other response counts.
    pub by_form: bool,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
}

/// The text is not an address that a browser may be sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "return_to must be a path of this site, such as /welcome, or a URL of a site that the operator allows; it must have at most \
     512 characters, and everything but printable ASCII must be percent-encoded"
)]
pub struct InvalidReturnTo;

/// Where a browser goes after the sign-in: a path of this gateway, or a URL at one of the allowed origins, and nothing
/// else (RFC 9700 §4.11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnTo(Box<str>);

impl ReturnTo {
    /// Checks a requested address.
    pub fn parse(text: &str, allowed_origins: &[String]) -> Result<Self, InvalidReturnTo> {
        // A browser reads `//host` and `/\host` as another host, so they are not paths. Browsers also skip tabs and
        // line ends.
        let is_path = |text: &str| {
            text.starts_with('/')
                && !text.starts_with("//")
                && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        };
        let is_at = |origin: &String| text.strip_prefix(&**origin).is_some_and(|rest| rest.is_empty() || is_path(rest));
        let good = text.len() <= MAX_RETURN_TO_BYTES && (is_path(text) || allowed_origins.iter().any(is_at));
        good.then(|| Self(text.into())).ok_or(InvalidReturnTo)
    }

    /// The welcome page.
    pub fn home() -> Self {
        Self("/".into())
    }

    /// The address as it was checked.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address as the value of a query parameter.
    pub fn encoded(&self) -> String {
        url::form_urlencoded::byte_serialize(self.0.as_bytes()).collect()
    }
}

/// The text is no login hint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "login_hint must be an e-mail address or another name by which the provider knows the person: 1 to 254 characters, \
         without control characters"
)]
pub struct InvalidLoginHint;

/// The person who is likely to sign in (OpenID Connect Core §3.1.2.1). The provider may ignore it. It may be an e-mail
/// address, so it does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct LoginHint(Box<str>);

impl LoginHint {
    /// Checks a hint.
    pub fn parse(text: &str) -> Result<Self, InvalidLoginHint> {
        let good = (1..=MAX_LOGIN_HINT).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        good.then(|| Self(text.into())).ok_or(InvalidLoginHint)
    }

    /// The text, for the provider.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for LoginHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginHint(…)")
    }
}

/// The words of a scope, which providers separate by blanks or commas.
pub fn scope_words(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', ',']).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_hint_is_short_and_plain_and_does_not_print() {
        for good in ["mina@example.com", "1122334455", "김지니", "a b", &"가".repeat(254)] {
            assert!(LoginHint::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a\nb", "\u{7f}", &"a".repeat(255)] {
            assert_eq!(LoginHint::parse(bad), Err(InvalidLoginHint), "{bad:?}");
        }
        assert_eq!(format!("{:?}", LoginHint::parse("mina@example.com").unwrap()), "LoginHint(…)");
    }

    #[test]
    fn a_browser_may_return_to_a_path_or_an_exact_origin() {
        let allowed = ["https://www.jinmini.com".to_owned()];
        let may = |text: &str| ReturnTo::parse(text, &allowed).is_ok();
        for good in [
            "/",
            "/a/b?c=d&e=%2F#f",
            "/@a",
            "/a//b",
            "https://www.jinmini.com",
            "https://www.jinmini.com/",
            "https://www.jinmini.com/a?b#c",
        ] {
            assert!(may(good), "{good}");
        }
        let long = format!("/{}", "a".repeat(512));
        for bad in [
            "",
            "a",
            "//evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "/a\\b",
            "/\t/evil.example",
            "/\n/evil.example",
            " /a",
            "/한국",
            "/a b",
            "https://evil.example",
            "https://www.jinmini.com//evil.example",
            "https://www.jinmini.com/\\evil.example",
            "https://www.jinmini.com:444/a",
            "https://www.jinmini.com?a",
            "https://www.jinmini.com.evil.example",
            "https://www.jinmini.com@evil.example",
            "http://www.jinmini.com",
            "https:www.jinmini.com",
            "javascript:alert(1)",
            &long,
        ] {
            assert!(!may(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_state_does_not_print_and_its_label_is_not_the_state() {
        let state = LoginState::from_random([7; 32]);
        assert_eq!((state.expose().len(), state.label().len()), (43, 12));
        assert!(!state.expose().contains(&state.label()));
        assert_eq!(format!("{state:?}"), "LoginState(…)");
    }
}
