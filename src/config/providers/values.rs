//! Parsers for the values of providers' variables.

use url::Url;

use crate::{
    config::Environment,
    domain::gateway::models::{provider::is_loopback, values::secret::Secret},
};

pub(super) fn client_id_or_none(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() { Ok(None) } else { client_id(text).map(Some) }
}

#[expect(clippy::unnecessary_wraps, reason = "the reader takes parsers that may fail")]
pub(super) fn secret_or_none(text: &str) -> Result<Option<Secret>, String> {
    Ok((!text.is_empty()).then(|| Secret::new(text)))
}

/// Google writes the claim in lower case.
pub(super) fn hosted_domain(text: &str) -> Result<Option<String>, String> {
    let label = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let good = text.contains('.') && text.split('.').all(label);
    match text {
        "" => Ok(None),
        text if good => Ok(Some(text.to_ascii_lowercase())),
        _ => Err("must be a domain such as example.com".to_owned()),
    }
}

pub(super) fn client_id(text: &str) -> Result<String, String> {
    let good = text.bytes().all(|b| b.is_ascii_graphic());
    good.then(|| text.to_owned()).ok_or_else(|| "must be printable ASCII without blanks".to_owned())
}

pub(super) fn version(text: &str) -> Result<String, String> {
    let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let good =
        text.strip_prefix('v').and_then(|rest| rest.split_once('.')).is_some_and(|(a, b)| number(a) && number(b));
    good.then(|| text.to_owned()).ok_or_else(|| "must be a version such as v26.0".to_owned())
}

/// https, or in development http on this machine.
fn is_safe(url: &Url, environment: Environment) -> bool {
    let local = environment == Environment::Development && url.scheme() == "http" && is_loopback(url);
    let anonymous = url.username().is_empty() && url.password().is_none();
    (url.scheme() == "https" || local) && url.has_host() && anonymous && url.fragment().is_none()
}

const SAFE: &str = "must be an https URL without user or fragment; in development http://localhost is allowed, too";

pub(super) fn endpoint(text: &str, environment: Environment) -> Result<Url, String> {
    Url::parse(text).ok().filter(|url| is_safe(url, environment)).ok_or_else(|| SAFE.to_owned())
}

pub(super) fn issuer(text: &str, environment: Environment) -> Result<String, String> {
    let good = endpoint(text, environment)?.query().is_none() && !text.contains('?');
    good.then(|| text.to_owned()).ok_or_else(|| "must be an issuer without a query".to_owned())
}

/// Kept as written: redirect URIs are compared as strings (RFC 9700 §2.1). A code that was sent to `/login`, under any
/// of the `bases` of our own API, belongs to the browser that began there, and to no caller of `POST /oauth`. A mistake
/// says which entry of the `list` is wrong, unless there is only one.
pub(super) fn redirect_uri(
    text: &str,
    list: &str,
    environment: Environment,
    bases: &[String],
) -> Result<String, String> {
    if bases.iter().any(|base| text.strip_prefix(base).is_some_and(|path| path.starts_with("/login/"))) {
        return Err(
            "must be addresses of your front ends; codes that are sent to the gateway's own /login are redeemed there"
                .to_owned(),
        );
    }
    let plain = text.bytes().all(|b| b.is_ascii_graphic()) && !text.contains(['*', '\\', '#']);
    let good = plain && endpoint(text, environment).is_ok();
    good.then(|| text.to_owned()).ok_or_else(|| {
        let which = match text {
            only if only == list => String::new(),
            // The text before an @ may hold a password.
            hidden if hidden.contains('@') => "the one with an @ is not one; ".to_owned(),
            shown => format!("{shown:?} is not one; "),
        };
        format!(
            "must be https URLs without user or fragment, separated by commas; {which}there are no wildcards, and in development \
             http://localhost is allowed, too"
        )
    })
}
