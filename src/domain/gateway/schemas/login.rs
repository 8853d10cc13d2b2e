//! Requests and responses of sign-ins in a browser.

use std::borrow::Cow;

use http::StatusCode;
use poem_openapi::{Object, types::Example};
use serde::Deserialize;
use validator::Validate;

use super::{
    account::{LogInRequest, SignUpRequest},
    cookie::{decoded, encoded},
};
use crate::{
    domain::gateway::models::{
        account::reported_name,
        login::{MAX_ATTEMPTS, ReturnTo},
        values::secret::Secret,
    },
    problem::Problem,
    texts::{Text, codes},
};

/// A redirect of the browser (303).
#[derive(Debug)]
pub struct Redirect {
    /// The destination. It may contain a state, which must not be logged.
    pub location: Secret,
    /// `Set-Cookie`
    pub cookies: Vec<String>,
}

/// The query parameters that begin a sign-in.
#[derive(Debug, Clone, Default)]
pub struct BeginQuery {
    /// `return_to`
    pub return_to: Option<String>,
    /// `login_hint`
    pub login_hint: Option<String>,
    /// `auth_type`
    pub auth_type: Option<String>,
    /// `scope`
    pub scope: Option<String>,
}

/// The query parameters of a provider's response.
#[derive(Debug, Default)]
pub struct CallbackQuery {
    /// `state`
    pub state: Option<String>,
    /// `code`
    pub code: Option<String>,
    /// `error`
    pub error: Option<String>,
    /// `iss`
    pub iss: Option<String>,
    /// `posted`: a response that was sent as a form, sealed.
    pub posted: Option<String>,
    /// Whether one of them comes more than once.
    pub repeats: bool,
}

impl CallbackQuery {
    /// Whether one of the parameters is among these names more than once.
    pub fn repeats(names: &[&str]) -> bool {
        let count = |parameter| names.iter().filter(|name| **name == parameter).count();
        ["state", "code", "error", "iss", "posted"].into_iter().any(|parameter| count(parameter) > 1)
    }
}

// No `Debug`: it holds a code.
/// The response of a provider, as a form (OAuth 2.0 Form Post Response Mode).
#[derive(Default, Deserialize, Object)]
#[serde(default)]
#[oai(example, skip_serializing_if_is_none)]
pub struct CallbackForm {
    /// State of the attempt.
    pub state: Option<String>,
    /// Authorization code.
    pub code: Option<String>,
    /// Error code, if there is no authorization code (RFC 6749 §4.1.2.1), such as `user_cancelled_authorize`.
    pub error: Option<String>,
    /// Issuer of the response (RFC 9207).
    pub iss: Option<String>,
    /// Name and e-mail address of the person as JSON: `{"name": {"firstName": "…", "lastName": "…"}}`. Apple sends it only
    /// the first time. The name is stored as the display name. The e-mail address is taken from the id token instead.
    pub user: Option<String>,
}

/// The maximum length of a `user` that is parsed, in bytes.
const LONGEST_USER: usize = 8 * 1024;

impl CallbackForm {
    /// The name in `user`, if there is one. It is not signed, so the person can choose any name.
    pub fn name(&self) -> Option<String> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Name {
            #[serde(rename = "firstName")]
            given: Option<String>,
            #[serde(rename = "lastName")]
            family: Option<String>,
        }
        #[derive(Deserialize)]
        struct User {
            name: Name,
        }
        let user = self.user.as_deref().filter(|user| user.len() <= LONGEST_USER)?;
        let User { name: Name { given, family } } = serde_json::from_str(user).ok()?;
        reported_name(&given.unwrap_or_default(), &family.unwrap_or_default())
    }
}

impl Example for CallbackForm {
    /// Apple's response if the person did not agree.
    fn example() -> Self {
        Self { state: Some("state".into()), error: Some("user_cancelled_authorize".into()), ..Self::default() }
    }
}

// No `Debug`: it may hold a password.
/// The form that adds a provider to the signed-in account.
#[derive(Default, Deserialize, Object, Validate)]
#[serde(default)]
#[oai(example, skip_serializing_if_is_none)]
pub struct LinkRequest {
    /// Password of the account. Not needed if the account has none.
    #[validate(length(min = 1, max = 256, message = "must be 1 to 256 characters"))]
    #[oai(validator(min_length = 1, max_length = 256))]
    pub password: Option<String>,
    /// Destination of the browser after the provider was added: a path of this site, or a URL at one of the exact origins
    /// in `ALLOWED_ORIGINS`. Default: `/`.
    pub return_to: Option<String>,
}

impl Example for LinkRequest {
    fn example() -> Self {
        Self { password: Some("correct horse battery staple".into()), return_to: Some("/session".into()) }
    }
}

// No `Debug`: it holds a password.
/// The form of the sign-in page.
#[derive(Default, Deserialize, Object)]
#[serde(default)]
#[oai(example, skip_serializing_if_is_none)]
pub struct LogInForm {
    /// E-mail address of the account.
    pub email: String,
    /// Password of the account.
    #[oai(validator(min_length = 1, max_length = 256))]
    pub password: String,
    /// Destination of the browser after the sign-in: a path of this site, or a URL at one of the exact origins in
    /// `ALLOWED_ORIGINS`. Default: `/`.
    pub return_to: Option<String>,
}

impl Example for LogInForm {
    fn example() -> Self {
        let LogInRequest { email, password } = LogInRequest::example();
        Self { email, password, return_to: Some("/session".into()) }
    }
}

// No `Debug`: it holds a password.
/// The form of the sign-up page.
#[derive(Default, Deserialize, Object)]
#[serde(default)]
#[oai(example, skip_serializing_if_is_none)]
pub struct SignUpForm {
    /// E-mail address to sign in with.
    pub email: String,
    /// Password of 8 to 256 characters. It is not trimmed or normalised.
    #[oai(validator(min_length = 8, max_length = 256))]
    pub password: String,
    /// Display name, of at most 100 characters. A blank name counts as absent.
    #[oai(validator(max_length = 100))]
    pub name: Option<String>,
    /// Destination of the browser after the sign-up: a path of this site, or a URL at one of the exact origins in
    /// `ALLOWED_ORIGINS`. Default: `/`.
    pub return_to: Option<String>,
}

impl Example for SignUpForm {
    fn example() -> Self {
        let SignUpRequest { email, password, name } = SignUpRequest::example();
        Self { email, password, name, return_to: Some("/session".into()) }
    }
}

/// The contents of the form that adds a provider to an account.
#[derive(Debug, Object)]
#[oai(rename = "ProviderLink")]
pub struct LinkForm {
    /// Name of the provider.
    pub provider: String,
    /// Name of the provider for people.
    pub display_name: String,
    /// Whether the form must contain the password of the account.
    pub needs_password: bool,
    /// Destination of the browser after the provider was added.
    pub return_to: String,
}

/// The cookie of one attempt to sign in: its label, its expiry, and its sealed contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptCookie {
    /// Distinguishes the attempt from others.
    pub label: String,
    /// The expiry, in microseconds since 1970. It is not sealed: it only decides which of a browser's own attempts is
    /// dropped for a new one.
    pub expires_at: i64,
    /// The sealed contents.
    pub sealed: Vec<u8>,
}

impl AttemptCookie {
    /// Writes the value of the cookie.
    pub fn write(&self) -> String {
        format!("{}.{}.{}", self.label, self.expires_at, encoded(&self.sealed))
    }

    /// Reads the value of a cookie. `None` if the gateway did not write it.
    pub fn read(value: &str) -> Option<Self> {
        let mut parts = value.split('.');
        let (label, expires_at, sealed) = (parts.next()?, parts.next()?.parse().ok()?, decoded(parts.next()?)?);
        parts.next().is_none().then(|| Self { label: label.to_owned(), expires_at, sealed })
    }
}

/// The slot for a new attempt: a free one, so that the tabs of a browser do not disturb each other. Without a free one, it
/// is the slot of the oldest attempt. Concurrent attempts do not know of each other, and are spread over the slots by label.
pub fn slot_for(label: &str, kept: &[Option<AttemptCookie>; MAX_ATTEMPTS]) -> usize {
    let free: Vec<usize> = (0..MAX_ATTEMPTS).filter(|&slot| kept[slot].is_none()).collect();
    if !free.is_empty() {
        let spread = label.bytes().fold(0_usize, |sum, byte| sum + usize::from(byte));
        return free[spread % free.len()];
    }
    let expiry = |slot: &usize| kept[*slot].as_ref().map(|attempt| attempt.expires_at);
    (0..MAX_ATTEMPTS).min_by_key(expiry).unwrap_or_default()
}

/// A failed sign-in: a problem for programs, and a page for people, which is also in Korean.
#[derive(Debug)]
pub struct Refusal {
    /// The problem. Its detail is the English text of the page.
    pub problem: Problem,
    /// The Korean text of the page.
    pub korean: Cow<'static, str>,
    /// `Set-Cookie`
    pub cookies: Vec<String>,
    /// Whether the attempt was to add a provider to an account. The person stays signed in then.
    pub is_link: bool,
    /// The destination that the browser asked for, to retry with.
    pub return_to: Option<ReturnTo>,
}

impl Refusal {
    /// A failed sign-in with a text of its own, without cookies.
    pub fn of(status: StatusCode, code: &'static str, text: Text) -> Self {
        Self { korean: text.ko, ..Self::about(Problem::new(status, code, text.en)) }
    }

    /// A failed sign-in because of a problem, without cookies. The code of the problem determines the Korean text.
    pub fn about(problem: Problem) -> Self {
        let korean = codes::korean(problem.code).into();
        Self { problem, korean, cookies: Vec::new(), is_link: false, return_to: None }
    }

    /// Adds the destination that the browser asked for.
    #[must_use]
    pub fn on_the_way_to(self, return_to: Option<ReturnTo>) -> Self {
        Self { return_to, ..self }
    }

    /// The query for a retry: empty, or `?return_to=…`.
    pub fn query(&self) -> String {
        query(self.return_to.as_ref())
    }

    /// The query that leads from `/login` to this path, and then to the destination that the browser asked for. A
    /// destination that is too long is omitted.
    pub fn query_to(&self, path: &str) -> String {
        let whole = ReturnTo::parse(&format!("{path}{}", self.query()), &[]);
        query(whole.or_else(|_| ReturnTo::parse(path, &[])).ok().as_ref())
    }
}

fn query(return_to: Option<&ReturnTo>) -> String {
    return_to.map_or_else(String::new, |return_to| format!("?return_to={}", return_to.encoded()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(label: &str, expires_at: i64) -> AttemptCookie {
        AttemptCookie { label: label.into(), expires_at, sealed: vec![1, 2, 250] }
    }

    #[test]
    fn a_parameter_that_comes_twice_is_noticed() {
        let repeats = CallbackQuery::repeats;
        for once in [&[][..], &["state", "code"], &["other", "other"], &["state"]] {
            assert!(!repeats(once), "{once:?}");
        }
        for twice in [["state", "x", "state"], ["code", "code", "x"], ["iss", "iss", ""], ["posted", "", "posted"]] {
            assert!(repeats(&twice), "{twice:?}");
        }
    }

    #[test]
    fn what_is_kept_is_read_back_and_nothing_else_is() {
        let attempt = kept("aB-_", 1_800_000_600);
        assert_eq!(attempt.write(), "aB-_.1800000600.AQL6");
        assert_eq!(AttemptCookie::read(&attempt.write()), Some(attempt));
        for other in ["", "a", "a.1", "a.x.AQL6", "a.1.A", "a.1.AQL6.b", "a.1.AQ+6", "a.99999999999999999999.AQL6"] {
            assert_eq!(AttemptCookie::read(other), None, "{other}");
        }
    }

    #[test]
    fn the_name_is_read_and_nothing_else_is_believed() {
        let name = |user: &str| CallbackForm { user: Some(user.to_owned()), ..CallbackForm::default() }.name();
        // As in "Authenticating users with Sign in with Apple".
        let user = r#"{"name":{"firstName":"길동","lastName":"홍"},"email":"x@privaterelay.appleid.com"}"#;
        assert_eq!(name(user).as_deref(), Some("홍길동"));
        assert_eq!(name(r#"{"name":{"firstName":"Mina","middleName":null}}"#).as_deref(), Some("Mina"));
        let long = format!(r#"{{"name":{{"firstName":"{}"}}}}"#, "a".repeat(9000));
        let wrong = [
            "",
            "{}",
            "[]",
            "null",
            r#"{"name":null}"#,
            r#"{"name":{"firstName":7}}"#,
            r#"{"email":"a@b"}"#,
            "x",
            &long,
        ];
        for user in wrong {
            assert_eq!(name(user), None, "{user}");
        }
        assert_eq!(CallbackForm::default().name(), None);
    }

    #[test]
    fn tabs_do_not_disturb_each_other_until_there_are_too_many() {
        let mut slots: [Option<AttemptCookie>; MAX_ATTEMPTS] = Default::default();
        for n in 0..MAX_ATTEMPTS {
            let slot = slot_for("abcdefghijkl", &slots);
            assert!(slots[slot].is_none(), "the {n}th has a slot of its own");
            slots[slot] = Some(kept("x", 1000 + i64::try_from(n).unwrap()));
        }
        for n in 0..MAX_ATTEMPTS {
            let slot = slot_for("abcdefghijkl", &slots);
            let oldest = 1000 + i64::try_from(n).unwrap();
            assert_eq!(slots[slot].as_ref().unwrap().expires_at, oldest, "the oldest gives way");
            slots[slot] = Some(kept("y", 2000 + i64::try_from(n).unwrap()));
        }
    }

    #[test]
    fn a_refusal_leads_back_to_where_the_browser_wanted_to_go() {
        let refusal = |return_to: Option<&str>| {
            let return_to = return_to.map(|text| ReturnTo::parse(text, &[]).unwrap());
            Refusal::about(Problem::internal()).on_the_way_to(return_to)
        };
        assert_eq!(
            (refusal(None).query().as_str(), refusal(Some("/a?b=c")).query().as_str()),
            ("", "?return_to=%2Fa%3Fb%3Dc")
        );
        assert_eq!(refusal(None).query_to("/l"), "?return_to=%2Fl");
        assert_eq!(refusal(Some("/a?b=c")).query_to("/l"), "?return_to=%2Fl%3Freturn_to%3D%252Fa%253Fb%253Dc");
        assert_eq!(refusal(Some(&format!("/{}", "a".repeat(511)))).query_to("/l"), "?return_to=%2Fl");
    }

    #[test]
    fn attempts_that_begin_at_once_are_spread() {
        let nothing: [Option<AttemptCookie>; MAX_ATTEMPTS] = Default::default();
        let mut used: Vec<_> = (b'a'..=b'z').map(|c| slot_for(&char::from(c).to_string(), &nothing)).collect();
        used.sort_unstable();
        used.dedup();
        assert_eq!(used, (0..MAX_ATTEMPTS).collect::<Vec<_>>());
    }
}
