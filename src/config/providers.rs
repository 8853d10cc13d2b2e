//! Providers: on when their client id and secret are set. Everything else about them can be set, too, so that a test can
//! point them at a server on loopback.

mod asking;
mod values;

use std::collections::BTreeSet;

use url::Url;

use self::{
    asking::{authorize_endpoint, read_more_scopes, read_prompt, read_scopes},
    values::{client_id, client_id_or_none, endpoint, hosted_domain, issuer, redirect_uri, secret_or_none, version},
};
use super::{
    Environment, PublicSettings,
    reader::{Reader, entries, one_of},
    report::{Mistake, shown},
    variables::{
        FACEBOOK_API_VERSION, FACEBOOK_CLIENT_ID, FACEBOOK_CLIENT_SECRET, GITHUB_CLIENT_ID, GITHUB_CLIENT_SECRET,
        GITHUB_WEBHOOK_SECRET, GOOGLE_CLIENT_ID, GOOGLE_CLIENT_SECRET, GOOGLE_HOSTED_DOMAIN, KAKAO_ADMIN_KEY,
        KAKAO_CLIENT_ID, KAKAO_CLIENT_SECRET, NAVER_CLIENT_ID, NAVER_CLIENT_SECRET, OAUTH_REDIRECT_URIS, Variable,
    },
};
use crate::domain::gateway::models::{
    oauth::{ProviderName, Secret},
    provider::{Endpoints, ProviderKind, ProviderSettings},
};

/// What the names of the variables of other OpenID Connect providers begin with.
const OIDC: &str = "OIDC_";
const OIDC_SCOPES: &str = "openid email profile";
/// What their names end with. `_MORE_SCOPES` comes before `_SCOPES`, which is its end.
const OIDC_SUFFIXES: [&str; 7] =
    ["_ISSUER", "_CLIENT_ID", "_CLIENT_SECRET", "_MORE_SCOPES", "_SCOPES", "_PROMPT", "_PKCE"];

/// A provider whose quirks the gateway knows.
struct Known {
    prefix: &'static str,
    display_name: &'static str,
    client_id: &'static Variable,
    client_secret: &'static Variable,
    /// Written as the provider wants it.
    scopes: &'static str,
    pkce: bool,
    /// Whether it knows the parameter `prompt`.
    knows_prompt: bool,
    /// Whether it documents that it compares the redirect URI of a code with that of the exchange (RFC 6749 §4.1.3).
    compares_redirect_uris: bool,
    /// In the order of [`Endpoints`]; `{version}` and `{client_id}` are filled in.
    endpoints: [&'static str; 4],
    /// What only this provider has.
    more: &'static [(&'static str, &'static str)],
}

const ENDPOINT_SUFFIXES: [&str; 4] = ["_AUTHORIZE_URL", "_TOKEN_URL", "_USERINFO_URL", "_REVOKE_URL"];

const KNOWN: [Known; 5] = [
    Known {
        prefix: "GOOGLE",
        display_name: "Google",
        client_id: &GOOGLE_CLIENT_ID,
        client_secret: &GOOGLE_CLIENT_SECRET,
        scopes: OIDC_SCOPES,
        pkce: true,
        knows_prompt: true,
        compares_redirect_uris: false,
        endpoints: [
            "https://accounts.google.com/o/oauth2/v2/auth",
            "https://oauth2.googleapis.com/token",
            "https://openidconnect.googleapis.com/v1/userinfo",
            "https://oauth2.googleapis.com/revoke",
        ],
        more: &[
            ("_JWKS_URL", "https://www.googleapis.com/oauth2/v3/certs"),
            ("_RISC_URL", "https://accounts.google.com/.well-known/risc-configuration"),
        ],
    },
    Known {
        prefix: "GITHUB",
        display_name: "GitHub",
        client_id: &GITHUB_CLIENT_ID,
        client_secret: &GITHUB_CLIENT_SECRET,
        scopes: "read:user user:email",
        pkce: true,
        knows_prompt: true,
        compares_redirect_uris: false,
        endpoints: [
            "https://github.com/login/oauth/authorize",
            "https://github.com/login/oauth/access_token",
            "https://api.github.com/user",
            "https://api.github.com/applications/{client_id}/token",
        ],
        more: &[("_EMAILS_URL", "https://api.github.com/user/emails")],
    },
    Known {
        prefix: "FACEBOOK",
        display_name: "Facebook",
        client_id: &FACEBOOK_CLIENT_ID,
        client_secret: &FACEBOOK_CLIENT_SECRET,
        scopes: "email,public_profile",
        pkce: false,
        knows_prompt: false,
        compares_redirect_uris: true,
        endpoints: [
            "https://www.facebook.com/{version}/dialog/oauth",
            "https://graph.facebook.com/{version}/oauth/access_token",
            "https://graph.facebook.com/{version}/me",
            "https://graph.facebook.com/{version}/me/permissions",
        ],
        more: &[],
    },
    Known {
        prefix: "NAVER",
        display_name: "Naver",
        client_id: &NAVER_CLIENT_ID,
        client_secret: &NAVER_CLIENT_SECRET,
        scopes: "",
        pkce: false,
        knows_prompt: false,
        compares_redirect_uris: false,
        endpoints: [
            "https://nid.naver.com/oauth2.0/authorize",
            "https://nid.naver.com/oauth2.0/token",
            "https://openapi.naver.com/v1/nid/me",
            "https://nid.naver.com/oauth2.0/revoke",
        ],
        more: &[],
    },
    Known {
        prefix: "KAKAO",
        display_name: "Kakao",
        client_id: &KAKAO_CLIENT_ID,
        client_secret: &KAKAO_CLIENT_SECRET,
        scopes: "account_email,profile_nickname",
        pkce: true,
        knows_prompt: true,
        compares_redirect_uris: false,
        endpoints: [
            "https://kauth.kakao.com/oauth/authorize",
            "https://kauth.kakao.com/oauth/token",
            "https://kapi.kakao.com/v2/user/me",
            "https://kapi.kakao.com/v1/user/unlink",
        ],
        more: &[("_SSE_URL", "https://kauth.kakao.com/.well-known/sse-configuration")],
    },
];

impl Known {
    /// What may follow its prefix, besides the client id and secret.
    fn suffixes(&self) -> impl Iterator<Item = &'static str> {
        let more = self.more.iter().map(|(suffix, _)| *suffix);
        let always = ["_SCOPES", "_MORE_SCOPES", "_PKCE", "_UNBOUND_CODES"];
        let prompt = self.knows_prompt.then_some("_PROMPT");
        always.into_iter().chain(prompt).chain(ENDPOINT_SUFFIXES).chain(more)
    }

    /// `more` are the addresses that only this provider has.
    fn kind(&self, endpoints: Endpoints, more: Vec<Url>, common: &Common<'_>) -> Option<ProviderKind> {
        let mut more = more.into_iter();
        Some(match self.prefix {
            "GOOGLE" => ProviderKind::Google {
                endpoints,
                jwks: more.next()?,
                events: more.next()?,
                hosted_domain: common.hosted_domain.clone(),
            },
            "GITHUB" => ProviderKind::GitHub {
                endpoints,
                emails: more.next()?,
                webhook_secret: common.github_webhook_secret.clone(),
            },
            "FACEBOOK" => ProviderKind::Facebook(endpoints),
            "NAVER" => ProviderKind::Naver(endpoints),
            _ => ProviderKind::Kakao { endpoints, events: more.next()?, admin_key: common.kakao_admin_key.clone() },
        })
    }
}

/// The names of the variables of providers, but for their ids and secrets; of other OpenID Connect providers all of them, with
/// `stem` for what names the provider.
pub(super) fn names_with(stem: &str) -> impl Iterator<Item = String> {
    let of_known = KNOWN.iter().flat_map(|known| known.suffixes().map(|suffix| format!("{}{suffix}", known.prefix)));
    of_known.chain(OIDC_SUFFIXES.map(|suffix| format!("{OIDC}{stem}{suffix}")))
}

/// Whether a variable belongs to a provider; if it is nearly one of a provider's, which was meant.
pub(super) fn judge_name(name: &str, is_near: impl Fn(&str, &str) -> bool) -> Option<Result<(), String>> {
    if let Some(rest) = name.strip_prefix(OIDC) {
        let good = OIDC_SUFFIXES.iter().any(|suffix| rest.strip_suffix(suffix).is_some_and(|stem| !stem.is_empty()));
        let rule = || format!("the name of the provider and one of {} come behind OIDC_", OIDC_SUFFIXES.join(", "));
        return Some(if good { Ok(()) } else { Err(rule()) });
    }
    let (known, rest) = KNOWN.iter().find_map(|known| Some((known, name.strip_prefix(known.prefix)?)))?;
    if known.suffixes().any(|suffix| suffix == rest) {
        return Some(Ok(()));
    }
    let meant = known.suffixes().find(|suffix| is_near(rest, suffix))?;
    Some(Err(format!("did you mean {}{meant}?", known.prefix)))
}

/// What several providers have in common, or one alone.
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
    /// Where a provider sends browsers to, and which redirect URIs a caller may name.
    fn redirects(&self, provider: &str) -> (String, Vec<String>) {
        (format!("{}/login/{provider}/callback", self.base), self.listed.clone())
    }
}

/// Reads the providers that are on.
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
        entries(text).map(|entry| redirect_uri(entry, environment, &ours)).collect::<Result<Vec<_>, _>>()
    });
    let version = reader.read(&FACEBOOK_API_VERSION, version);
    let hosted_domain = reader.read(&GOOGLE_HOSTED_DOMAIN, hosted_domain);
    let kakao_admin_key = reader.read(&KAKAO_ADMIN_KEY, secret_or_none);
    let github_webhook_secret = reader.read(&GITHUB_WEBHOOK_SECRET, secret_or_none);
    let are_good = kakao_admin_key.is_some() && github_webhook_secret.is_some();
    let is_good = listed.is_some() && version.is_some() && hosted_domain.is_some() && are_good;
    // With a mistake noted nothing of this is used; reading on finds the others.
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
    let others = oidc_stems(reader);
    providers.extend(others.into_iter().filter_map(|stem| read_oidc(reader, stem, &common)));
    is_good.then_some(providers)
}

/// Reads one. `None` if it is off, or if a mistake was noted.
fn read_known(reader: &mut Reader<'_>, known: &Known, common: &Common<'_>) -> Option<ProviderSettings> {
    let client_id = reader.read(known.client_id, client_id_or_none);
    let client_secret = reader.read(known.client_secret, secret_or_none);
    let id_for_path = client_id.as_ref().and_then(Option::as_deref).unwrap_or_default();
    let [authorize, token, userinfo, revoke] = [0, 1, 2, 3].map(|nth| {
        let name = format!("{}{}", known.prefix, ENDPOINT_SUFFIXES[nth]);
        let usual = known.endpoints[nth].replace("{version}", &common.version).replace("{client_id}", id_for_path);
        let endpoint = if nth == 0 { authorize_endpoint } else { endpoint };
        member(reader, &name, &usual, |text| endpoint(text, common.environment))
    });
    let mut address = |(suffix, usual): &(&str, &str)| {
        member(reader, &format!("{}{suffix}", known.prefix), usual, |text| endpoint(text, common.environment))
    };
    let more: Vec<_> = known.more.iter().map(&mut address).collect();
    let oidc = known.prefix == "GOOGLE";
    let scopes = read_scopes(reader, known.prefix, known.scopes, oidc);
    let more_scopes = read_more_scopes(reader, known.prefix, authorize.as_ref());
    let prompt = read_prompt(reader, known.prefix, known.knows_prompt, authorize.as_ref());
    let pkce = read_pkce(reader, known.prefix, known.pkce);
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
    let kind = known.kind(endpoints, more.into_iter().collect::<Option<_>>()?, common)?;
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

fn wants_both<T>(reader: &mut Reader<'_>, missing: &Variable, there: &Variable) -> Option<T> {
    reader.wrong(missing, format!("{} is set, and a provider needs both", there.name));
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
    if let Err(rule) = &name {
        reader.note(Mistake::new(format!("{prefix}_ISSUER"), "names no provider", rule));
    }
    let issuer = needed(reader, &prefix, "_ISSUER", |text| issuer(text, common.environment));
    let client_id = needed(reader, &prefix, "_CLIENT_ID", client_id);
    let client_secret = needed(reader, &prefix, "_CLIENT_SECRET", |text| Ok(Secret::new(text)));
    let scopes = read_scopes(reader, &prefix, OIDC_SCOPES, true);
    let more_scopes = read_more_scopes(reader, &prefix, None);
    let prompt = read_prompt(reader, &prefix, true, None);
    let pkce = read_pkce(reader, &prefix, true);
    let name = name.ok()?;
    let (callback, redirect_uris) = common.redirects(name.as_str());
    Some(ProviderSettings {
        display_name: display_name(stem),
        name,
        kind: ProviderKind::Oidc { issuer: issuer? },
        client_id: client_id?,
        client_secret: client_secret?,
        scopes: scopes?,
        more_scopes: more_scopes?,
        prompt: prompt?,
        pkce: pkce?,
        callback,
        redirect_uris,
        // Its id tokens hold a nonce.
        takes_unbound_codes: false,
    })
}

/// `MY_IDP` → `my-idp`
fn oidc_name(stem: &str) -> Result<ProviderName, String> {
    let upper_case = stem.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    let name = upper_case.then(|| stem.to_ascii_lowercase().replace('_', "-").parse().ok()).flatten();
    name.filter(|_| KNOWN.iter().all(|known| known.prefix != stem)).ok_or_else(|| {
        "the name behind OIDC_ has 1 to 32 upper-case letters, digits and _, begins with a letter, and is none of the \
         providers that the gateway knows by itself"
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

fn read_pkce(reader: &mut Reader<'_>, prefix: &str, usual: bool) -> Option<bool> {
    let usual = if usual { "on" } else { "off" };
    member(reader, &format!("{prefix}_PKCE"), usual, |text| one_of(text, &[("on", true), ("off", false)]))
}

/// Reads a variable of a family; unset, `usual` counts.
fn member<T>(
    reader: &mut Reader<'_>,
    name: &str,
    usual: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    let (text, place) = reader.value_and_place(name).unwrap_or((usual, name.to_owned()));
    let plain = !text.chars().any(char::is_control);
    let outcome = if plain { parse(text) } else { Err("a value has no control characters".to_owned()) };
    outcome.map_err(|rule| reader.note(Mistake::new(place, shown(text), rule))).ok()
}

/// Reads a variable without which a provider cannot be on. Its value is not shown: it may be a secret.
fn needed<T>(
    reader: &mut Reader<'_>,
    prefix: &str,
    suffix: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    let name = format!("{prefix}{suffix}");
    let (place, problem, rule) = match reader.value_and_place(&name) {
        None => (name, "is not set", format!("{prefix} needs _ISSUER, _CLIENT_ID and _CLIENT_SECRET")),
        Some((text, place)) if text.chars().any(char::is_control) => {
            (place, "cannot be used", "a value has no control characters".to_owned())
        }
        Some((text, place)) => match parse(text) {
            Ok(value) => return Some(value),
            Err(rule) => (place, "cannot be used", rule),
        },
    };
    reader.note(Mistake::new(place, problem, rule));
    None
}

#[cfg(test)]
mod tests;
