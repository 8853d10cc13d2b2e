//! Options of authorization requests: scopes, `prompt`, PKCE, and the query of the configured authorization endpoint.

use url::Url;

use super::{known::Pkce, member, values::endpoint};
use crate::{
    config::{
        Environment,
        reading::{
            reader::{Reader, one_of},
            report::{Mistake, broken},
        },
    },
    domain::gateway::models::{
        login::scope_words,
        provider::{Prompt, binding_parameters},
    },
};

/// The value of `<PROVIDER>_PROMPT` that is not sent to the provider.
const NEVER: &str = "never";

/// An authorization endpoint. Its own query takes precedence over the gateway's parameters, so it must not contain
/// those that bind a sign-in.
pub(super) fn authorize_endpoint(text: &str, environment: Environment) -> Result<Url, String> {
    let url = endpoint(text, environment)?;
    match binding_parameters(&url).as_slice() {
        [] => Ok(url),
        [name] => {
            Err(format!("must be a URL without the parameter {name}; it binds each sign-in, so the gateway sets it"))
        }
        names => Err(format!(
            "must be a URL without the parameters {}; they bind each sign-in, so the gateway sets them",
            names.join(", ")
        )),
    }
}

/// The requested scopes.
pub(super) fn read_scopes(reader: &mut Reader<'_>, prefix: &str, usual: &str, oidc: bool) -> Option<String> {
    member(reader, &format!("{prefix}_SCOPES"), usual, |text| {
        if !is_printable(text) {
            Err("must be words of printable ASCII, separated as the provider expects them".to_owned())
        } else if oidc && scope_words(text).all(|word| word != "openid") {
            Err("must include the word openid; without it there is no id token".to_owned())
        } else {
            Ok(text.to_owned())
        }
    })
}

/// Adds the scope for an id token. A single scope does not show the provider's separator; its `usual` scopes do.
pub(super) fn with_openid(scopes: String, usual: &str) -> String {
    if scope_words(&scopes).any(|word| word == "openid") {
        return scopes;
    }
    let has_several = scope_words(&scopes).nth(1).is_some();
    let separator = if (if has_several { &scopes } else { usual }).contains(',') { "," } else { " " };
    ["openid", &scopes].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(separator)
}

/// Additional scopes that a single sign-in may request.
pub(super) fn read_more_scopes(reader: &mut Reader<'_>, prefix: &str, authorize: Option<&Url>) -> Option<Vec<String>> {
    let is_set_elsewhere = authorize.is_some_and(|url| parameter(url, "scope").is_some());
    member(reader, &format!("{prefix}_MORE_SCOPES"), "", |text| {
        let words: Vec<_> = scope_words(text).map(str::to_owned).collect();
        if !is_printable(text) {
            Err("must be words of printable ASCII, separated by blanks or commas".to_owned())
        } else if is_set_elsewhere && !words.is_empty() {
            Err(format!(
                "must be unset while {prefix}_AUTHORIZE_URL has the parameter scope; the parameter takes precedence"
            ))
        } else {
            Ok(words)
        }
    })
}

/// The `prompt` that is always sent. `known` are the documented values; for an issuer that the operator names, none are
/// known and any is valid.
pub(super) fn read_prompt(
    reader: &mut Reader<'_>,
    prefix: &str,
    known: Option<&[&str]>,
    authorize: Option<&Url>,
) -> Option<Prompt> {
    let name = format!("{prefix}_PROMPT");
    if let Some((text, place)) =
        reader.value_and_place(&name).filter(|(text, _)| known.is_some_and(<[_]>::is_empty) && !text.is_empty())
    {
        let rule = "must be unset; this provider does not know `prompt`. GET /login/{provider}?auth_type=… makes Facebook and \
                    Naver ask again";
        reader.note(Mistake::new(place, broken(rule, text)));
        return None;
    }
    let said_there = authorize.and_then(|url| parameter(url, "prompt"));
    let is_word = |word: &str| known.map_or(word != NEVER, |known| known.contains(&word));
    member(reader, &name, "", |text| match (text, said_there) {
        ("", Some(words)) => Ok(Prompt::Always(words)),
        ("", None) => Ok(Prompt::WhenNeeded),
        (NEVER, _) => Ok(Prompt::Never),
        (words, _) if is_printable(words) && scope_words(words).all(is_word) => Ok(Prompt::Always(words.to_owned())),
        _ => Err(match known {
            Some(known) => allowed_prompts(known),
            None => format!("must be words that the provider knows, such as select_account, or only {NEVER}"),
        }),
    })
}

fn allowed_prompts(known: &[&str]) -> String {
    match known {
        [only] => format!("must be {only} or {NEVER}"),
        [one, other] => format!("must be {one}, {other} or both, or only {NEVER}"),
        several => format!("must be one or more of {}, or only {NEVER}", several.join(", ")),
    }
}

/// A switch, such as for PKCE.
pub(super) fn read_switch(reader: &mut Reader<'_>, prefix: &str, suffix: &str, usual: bool) -> Option<bool> {
    let usual = if usual { "on" } else { "off" };
    member(reader, &format!("{prefix}{suffix}"), usual, |text| one_of(text, &[("on", true), ("off", false)]))
}

/// Whether PKCE is used. With OpenID Connect it is the default at every provider.
pub(super) fn read_pkce(reader: &mut Reader<'_>, prefix: &str, pkce: Pkce, is_open_id: bool) -> Option<bool> {
    let usual = if is_open_id || pkce != Pkce::Unknown { "on" } else { "off" };
    member(reader, &format!("{prefix}_PKCE"), usual, |text| match one_of(text, &[("on", true), ("off", false)])? {
        false if pkce == Pkce::Demanded => {
            Err("must be on or unset; the provider refuses sign-ins without it".to_owned())
        }
        is_on => Ok(is_on),
    })
}

/// A parameter of a URL's own query.
pub(super) fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
}
