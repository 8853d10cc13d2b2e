//! Providers: enabled when their client id and secret are set. Everything else about them can be set, too, so that
//! tests can use a server on loopback.

mod apple;
mod asking;
mod entra;
mod known;
mod values;

use std::collections::BTreeSet;

use self::{
    asking::{authorize_endpoint, read_more_scopes, read_pkce, read_prompt, read_scopes, read_switch, with_openid},
    known::{ENDPOINT_SUFFIXES, JWKS_SUFFIX, KNOWN, Known, OIDC_SUFFIX, OpenId},
    values::{client_id, client_id_or_none, endpoint, hosted_domain, issuer, redirect_uri, secret_or_none, version},
};
use super::{
    Environment, PublicSettings,
    reading::{
        reader::{Reader, entries, one_of},
        report::{Mistake, broken, broken_by_hidden},
    },
    variables::{
        FACEBOOK_API_VERSION, GITHUB_WEBHOOK_SECRET, GOOGLE_HOSTED_DOMAIN, KAKAO_ADMIN_KEY, OAUTH_REDIRECT_URIS,
        Variable,
    },
};
use crate::domain::gateway::models::{
    login::scope_words,
    oauth::ProviderName,
    provider::{Endpoints, IdTokenKey, Prompt, ProviderKind, ProviderSettings},
    values::secret::Secret,
};

/// The prefix of the variables of other OpenID Connect providers.
const OIDC: &str = "OIDC_";
/// The minimum length of a secret that the operator chooses.
const SHORTEST_WEBHOOK_SECRET: usize = 16;
const OIDC_SCOPES: &str = "openid email profile";
const NO_CONTROLS: &str = "must be text without control characters";
/// The suffixes of their variables. `_MORE_SCOPES` comes before `_SCOPES`, because it ends with that.
const OIDC_SUFFIXES: [&str; 8] =
    ["_ISSUER", "_CLIENT_ID", "_CLIENT_SECRET", "_MORE_SCOPES", "_SCOPES", "_PROMPT", "_PKCE", "_ID_TOKEN_ALG"];

/// The names of providers' variables, except for ids and secrets; for other OpenID Connect providers all of them, with
/// `stem` as the provider's name.
pub(super) fn names_with(stem: &str) -> impl Iterator<Item = String> {
    let of_known =
        families().flat_map(|(prefix, suffixes)| suffixes.into_iter().map(move |suffix| format!("{prefix}{suffix}")));
    of_known.chain(OIDC_SUFFIXES.map(|suffix| format!("{OIDC}{stem}{suffix}")))
}

/// Whether a variable belongs to a provider; the error is a hint at the correct name.
pub(super) fn check_name(name: &str, is_near: impl Fn(&str, &str) -> bool) -> Option<Result<(), String>> {
    if let Some(rest) = name.strip_prefix(OIDC) {
        let good = OIDC_SUFFIXES.iter().any(|suffix| rest.strip_suffix(suffix).is_some_and(|stem| !stem.is_empty()));
        let hint = || format!("the name of a provider and one of {} follow OIDC_", OIDC_SUFFIXES.join(", "));
        return Some(if good { Ok(()) } else { Err(hint()) });
    }
    let (prefix, suffixes, rest) =
        families().find_map(|(prefix, suffixes)| Some((prefix, suffixes, name.strip_prefix(prefix)?)))?;
    if suffixes.contains(&rest) {
        return Some(Ok(()));
    }
    let meant = suffixes.iter().find(|suffix| is_near(rest, suffix))?;
    Some(Err(format!("did you mean {prefix}{meant}?")))
}

/// Whether the variables of a known provider begin with this.
pub(super) fn is_known_prefix(prefix: &str) -> bool {
    families().any(|(known, _)| known == prefix)
}

/// The prefix and the suffixes of each known provider's variables.
fn families() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    let known = KNOWN.iter().map(|known| (known.prefix, known.suffixes().collect()));
    known.chain([(apple::PREFIX, apple::SUFFIXES.to_vec()), (entra::PREFIX, entra::SUFFIXES.to_vec())])
}

/// Settings of several providers, or of one alone.
struct Common<'s> {
    environment: Environment,
    base: &'s str,
    version: String,
    listed: Vec<String>,
    hosted_domain: Option<String>,
    kakao_admin_key: Option<Secret>,
    github_webhook_secret: Option<Secret>,
}

impl Common<'_> {
    /// The callback for browsers, and the redirect URIs that a caller may name.
    fn redirects(&self, provider: &str) -> (String, Vec<String>) {
        (format!("{}/login/{provider}/callback", self.base), self.listed.clone())
    }
}

/// Reads the enabled providers.
pub(super) fn read(
    reader: &mut Reader<'_>,
    environment: Environment,
    public: Option<&PublicSettings>,
) -> Option<Vec<ProviderSettings>> {
    let base = public.map_or("", PublicSettings::base);
    let ours: Vec<String> = public.map_or_else(Vec::new, |public| {
        ["", public.api_prefix.as_str()].map(|prefix| format!("{base}{prefix}")).to_vec()
    });
    let listed = reader.read(&OAUTH_REDIRECT_URIS, |text| {
        entries(text).map(|entry| redirect_uri(entry, text, environment, &ours)).collect::<Result<Vec<_>, _>>()
    });
    let version = reader.read(&FACEBOOK_API_VERSION, version);
    let hosted_domain = reader.read(&GOOGLE_HOSTED_DOMAIN, hosted_domain);
    let kakao_admin_key = reader.read(&KAKAO_ADMIN_KEY, secret_or_none);
    let github_webhook_secret = reader.read(&GITHUB_WEBHOOK_SECRET, |text| match text.len() {
        1..SHORTEST_WEBHOOK_SECRET if environment == Environment::Production => {
            Err(format!("must have {SHORTEST_WEBHOOK_SECRET} characters or more; nothing else proves GitHub's notices"))
        }
        _ => secret_or_none(text),
    });
    let are_good = kakao_admin_key.is_some() && github_webhook_secret.is_some();
    let is_good = listed.is_some() && version.is_some() && hosted_domain.is_some() && are_good;
    // After a mistake the result is not used; reading continues to find further mistakes.
    let common = Common {
        environment,
        base,
        version: version.unwrap_or_default(),
        listed: listed.unwrap_or_default(),
        hosted_domain: hosted_domain.flatten(),
        kakao_admin_key: kakao_admin_key.flatten(),
        github_webhook_secret: github_webhook_secret.flatten(),
    };
    let mut providers: Vec<_> = KNOWN.iter().filter_map(|known| read_known(reader, known, &common)).collect();
    providers.extend(apple::read(reader, &common));
    providers.extend(entra::read(reader, &common));
    let others = oidc_stems(reader);
    providers.extend(others.into_iter().filter_map(|stem| read_oidc(reader, stem, &common)));
    is_good.then_some(providers)
}

/// Reads a provider. `None` if it is off, or if a mistake was noted.
fn read_known(reader: &mut Reader<'_>, known: &Known, common: &Common<'_>) -> Option<ProviderSettings> {
    let client_id = reader.read(known.client_id, client_id_or_none);
    let client_secret = reader.read(known.client_secret, secret_or_none);
    let id_for_path = client_id.as_ref().and_then(Option::as_deref).unwrap_or_default();
    let uses_open_id = known.open_id.as_ref().map_or(Some(false), |open_id| {
        let usual = !is_led_to_plain(reader, known, open_id);
        read_switch(reader, known.prefix, OIDC_SUFFIX, usual)
    });
    let open_id = known.open_id.as_ref().filter(|_| uses_open_id == Some(true));
    let usual_endpoints = match (known.endpoints, open_id) {
        ([_, _, userinfo, revoke], Some(open_id)) => [open_id.authorize, open_id.token, userinfo, revoke],
        (plain, None) => plain,
    };
    let [authorize, token, userinfo, revoke] = [0, 1, 2, 3].map(|nth| {
        let name = format!("{}{}", known.prefix, ENDPOINT_SUFFIXES[nth]);
        let usual = usual_endpoints[nth].replace("{version}", &common.version).replace("{client_id}", id_for_path);
        let endpoint = if nth == 0 { authorize_endpoint } else { endpoint };
        member(reader, &name, &usual, |text| endpoint(text, common.environment))
    });
    let mut address = |(suffix, usual): &(&str, &str)| {
        member(reader, &format!("{}{suffix}", known.prefix), usual, |text| endpoint(text, common.environment))
    };
    let more: Vec<_> = known.more.iter().map(&mut address).collect();
    let jwks = open_id.map(|open_id| {
        let name = format!("{}{JWKS_SUFFIX}", known.prefix);
        member(reader, &name, open_id.jwks, |text| endpoint(text, common.environment))
    });
    let oidc = open_id.is_none() && scope_words(known.scopes).any(|word| word == "openid");
    let scopes = read_scopes(reader, known.prefix, known.scopes, oidc);
    let scopes = scopes.map(|scopes| if open_id.is_some() { with_openid(scopes, known.scopes) } else { scopes });
    let more_scopes = read_more_scopes(reader, known.prefix, authorize.as_ref());
    let prompt = read_prompt(reader, known.prefix, Some(known.prompts), authorize.as_ref());
    let pkce = read_pkce(reader, known.prefix, known.pkce, open_id.is_some());
    let usual = if known.compares_redirect_uris { "accept" } else { "refuse" };
    let takes_unbound_codes = member(reader, &format!("{}_UNBOUND_CODES", known.prefix), usual, |text| {
        one_of(text, &[("accept", true), ("refuse", false)])
    });
    let (client_id, client_secret) = match (client_id?, client_secret?) {
        (Some(client_id), Some(client_secret)) => (client_id, client_secret),
        (None, None) => return None,
        (Some(_), None) => return wants_both(reader, known.client_secret, known.client_id),
        (None, Some(_)) => return wants_both(reader, known.client_id, known.client_secret),
    };
    let endpoints = Endpoints { authorize: authorize?, token: token?, userinfo: userinfo?, revoke: revoke? };
    // After a mistake there is no kind.
    uses_open_id?;
    let jwks = jwks.map_or(Some(None), |jwks| jwks.map(Some))?;
    let kind = known.kind(endpoints, more.into_iter().collect::<Option<_>>()?, jwks, common)?;
    let name: ProviderName = known.prefix.to_ascii_lowercase().parse().ok()?;
    let (callback, redirect_uris) = common.redirects(name.as_str());
    Some(ProviderSettings {
        name,
        display_name: known.display_name.to_owned(),
        kind,
        client_id,
        client_secret,
        scopes: scopes?,
        more_scopes: more_scopes?,
        prompt: prompt?,
        pkce: pkce?,
        callback,
        redirect_uris,
        takes_unbound_codes: takes_unbound_codes?,
    })
}

/// Whether an endpoint is set to the one of the plain flow: it issues no id token, and such a setting from before
/// OpenID Connect must keep its effect.
fn is_led_to_plain(reader: &Reader<'_>, known: &Known, open_id: &OpenId) -> bool {
    [open_id.authorize, open_id.token].iter().enumerate().any(|(nth, of_open_id)| {
        let set = reader.value_and_place(&format!("{}{}", known.prefix, ENDPOINT_SUFFIXES[nth]));
        let plain = known.endpoints[nth];
        plain != *of_open_id && set.is_some_and(|(text, _)| text.starts_with(plain))
    })
}

fn wants_both<T>(reader: &mut Reader<'_>, missing: &Variable, there: &Variable) -> Option<T> {
    reader.required(missing, format!("because {} is set; a provider needs both", there.name));
    None
}

/// The `<NAME>`s of `OIDC_<NAME>_…`.
fn oidc_stems<'s>(reader: &Reader<'s>) -> BTreeSet<&'s str> {
    let stem = |name: &'s str| {
        let rest = name.strip_prefix(OIDC)?;
        let stem = OIDC_SUFFIXES.iter().find_map(|suffix| rest.strip_suffix(suffix))?;
        reader.value_and_place(name).map(|_| stem)
    };
    reader.names().filter_map(stem).collect()
}

fn read_oidc(reader: &mut Reader<'_>, stem: &str, common: &Common<'_>) -> Option<ProviderSettings> {
    let prefix = format!("{OIDC}{stem}");
    let name = oidc_name(stem);
    if let Err(problem) = &name {
        reader.note(Mistake::new(format!("{prefix}_ISSUER"), problem));
    }
    let issuer = needed(reader, &prefix, "_ISSUER", |text| issuer(text, common.environment));
    let client_id = needed(reader, &prefix, "_CLIENT_ID", client_id);
    let client_secret = needed(reader, &prefix, "_CLIENT_SECRET", |text| Ok(Secret::new(text)));
    let scopes = read_scopes(reader, &prefix, OIDC_SCOPES, true);
    let more_scopes = read_more_scopes(reader, &prefix, None);
    let prompt = read_prompt(reader, &prefix, None, None);
    let pkce = read_switch(reader, &prefix, "_PKCE", true);
    let id_token_key = member(reader, &format!("{prefix}_ID_TOKEN_ALG"), "", |text| {
        one_of(text, &[("HS256", IdTokenKey::ClientSecret), ("", IdTokenKey::Published)]).map_err(|_| {
            "must be HS256, if the client secret signs the id tokens, or unset; the published keys name their algorithm"
                .to_owned()
        })
    });
    let name = name.ok()?;
    let (callback, redirect_uris) = common.redirects(name.as_str());
    Some(ProviderSettings {
        display_name: display_name(stem),
        name,
        kind: ProviderKind::Oidc { issuer: issuer?, id_token_key: id_token_key? },
        client_id: client_id?,
        client_secret: client_secret?,
        scopes: scopes?,
        more_scopes: more_scopes?,
        prompt: prompt?,
        pkce: pkce?,
        callback,
        redirect_uris,
        // Its id tokens contain a nonce.
        takes_unbound_codes: false,
    })
}

/// `MY_IDP` → `my-idp`. The error is the problem of the variable.
fn oidc_name(stem: &str) -> Result<ProviderName, String> {
    let upper_case = stem.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    let name = upper_case.then(|| stem.to_ascii_lowercase().replace('_', "-").parse().ok()).flatten();
    if is_known_prefix(stem) {
        return Err(format!(
            "must not be set, because the gateway knows this provider; set {stem}_CLIENT_ID and the like instead"
        ));
    }
    name.ok_or_else(|| {
        "must have the name of a provider after OIDC_; it has 1 to 32 upper-case letters, digits and _, the first a letter"
            .to_owned()
    })
}

/// `MY_IDP` → `My Idp`
fn display_name(stem: &str) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        format!("{first}{}", rest.to_ascii_lowercase())
    };
    stem.split('_').filter(|part| !part.is_empty()).map(word).collect::<Vec<_>>().join(" ")
}

/// Reads a variable of a family; `usual` is the default.
fn member<T>(
    reader: &mut Reader<'_>,
    name: &str,
    usual: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    let (text, place) = reader.value_and_place(name).unwrap_or((usual, name.to_owned()));
    let plain = !text.chars().any(char::is_control);
    let outcome = if plain { parse(text) } else { Err(NO_CONTROLS.to_owned()) };
    outcome.map_err(|rule| reader.note(Mistake::new(place, broken(&rule, text)))).ok()
}

/// Reads a variable that a provider requires.
fn needed<T>(
    reader: &mut Reader<'_>,
    prefix: &str,
    suffix: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    let name = format!("{prefix}{suffix}");
    let Some((text, place)) = reader.value_and_place(&name) else {
        let problem = format!("is required; {prefix} needs _ISSUER, _CLIENT_ID and _CLIENT_SECRET");
        reader.note(Mistake::new(name, problem));
        return None;
    };
    let plain = !text.chars().any(char::is_control);
    let outcome = if plain { parse(text) } else { Err(NO_CONTROLS.to_owned()) };
    let problem = |rule: String| match suffix {
        "_CLIENT_SECRET" => broken_by_hidden(&rule, "it is secret"),
        _ => broken(&rule, text),
    };
    outcome.map_err(|rule| reader.note(Mistake::new(place, problem(rule)))).ok()
}

#[cfg(test)]
mod tests;
