//! Signing in at a provider: one attempt, from the browser's leaving to its return.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use thiserror::Error;

use super::{
    id::SessionId,
    oauth::{ProviderName, Secret},
    token::TokenDigest,
};

/// How long an attempt may take: as long as the authorization code that ends it (RFC 6749 §4.1.2).
pub const ATTEMPT_LIFE: TimeDelta = TimeDelta::minutes(10);

/// How many attempts one browser may have under way, in as many tabs. The oldest gives way to one more. Each is a cookie of
/// about 2 KiB at most, and all of them together have to fit into a request's head of 16 KiB beside everybody else's.
pub const MAX_ATTEMPTS: usize = 5;

/// The longest `return_to`: it travels in a cookie.
const MAX_RETURN_TO_BYTES: usize = 512;

/// The longest wish for more scopes than usual: it travels in the same cookie.
pub const MAX_SCOPE_BYTES: usize = 512;

/// The longest login hint, in characters: no e-mail address is longer (RFC 5321 §4.5.3.1).
pub const MAX_LOGIN_HINT: usize = 254;

/// What comes back with the browser (`state`, RFC 6749 §10.12): 256 random bits, one per attempt.
#[derive(Clone, PartialEq, Eq)]
pub struct LoginState(String);

impl LoginState {
    /// Makes one of 256 random bits.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// As it came back from outside.
    pub fn presented(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text, for the provider and for nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What a store may hold of it.
    pub fn digest(&self) -> TokenDigest {
        TokenDigest::of(self.0.as_bytes())
    }

    /// Tells the attempts of one browser apart. It is no secret.
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
    /// Where: a code of another provider is not for this attempt (mix-up, RFC 9700 §4.4).
    pub provider: ProviderName,
    /// PKCE (RFC 7636), for a provider that has it.
    pub code_verifier: Option<Secret>,
    /// What the id token must hold, for a provider that has one.
    pub nonce: Secret,
    /// Where the browser goes in the end.
    pub return_to: ReturnTo,
    /// Where the provider sends the browser back to, if that is not its callback as it is set.
    pub callback: Option<String>,
    /// Whose session begun it to add the provider to their account, if it is not there to sign in.
    pub link: Option<SessionId>,
    /// The scopes that it asks for besides those that are set.
    pub more_scopes: Vec<String>,
    /// Whether the person is asked for their consent though the provider need not: it follows an attempt that brought no refresh
    /// token.
    pub consent: bool,
    /// Whether the browser is to come back with a form: no other response counts.
    pub by_form: bool,
    /// From when on it is void.
    pub expires_at: DateTime<Utc>,
}

/// The text is not where a browser may be sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "return_to is a path of this site such as /welcome, or one at a site that its operator allows; of at most 512 characters, with \
     everything but printable ASCII percent-encoded"
)]
pub struct InvalidReturnTo;

/// Where a browser goes when it is signed in: a path of ours, or at one of the origins that are allowed, and nothing else
/// (RFC 9700 §4.11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnTo(Box<str>);

impl ReturnTo {
    /// Checks where somebody wants to go.
    pub fn parse(text: &str, allowed_origins: &[String]) -> Result<Self, InvalidReturnTo> {
        // What browsers read as the begin of another host is no path: `//host`, `/\host`. They also skip tabs and line ends.
        let is_path = |text: &str| {
            text.starts_with('/')
                && !text.starts_with("//")
                && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        };
        let is_at = |origin: &String| text.strip_prefix(&**origin).is_some_and(|rest| rest.is_empty() || is_path(rest));
        let good = text.len() <= MAX_RETURN_TO_BYTES && (is_path(text) || allowed_origins.iter().any(is_at));
        good.then(|| Self(text.into())).ok_or(InvalidReturnTo)
    }

    /// The welcome.
    pub fn home() -> Self {
        Self("/".into())
    }

    /// As it was when it was checked.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As the value of a parameter in a query.
    pub fn encoded(&self) -> String {
        url::form_urlencoded::byte_serialize(self.0.as_bytes()).collect()
    }
}

/// The text is no login hint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "login_hint is an e-mail address or another name by which the provider knows the person: 1 to 254 characters, none of \
         them a control character"
)]
pub struct InvalidLoginHint;

/// Who is likely to sign in (OpenID Connect Core §3.1.2.1). The provider may believe it or not. It may be an e-mail address, so it
/// does not print.
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
    fn a_path_or_an_exact_origin_is_where_one_may_return_to() {
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
