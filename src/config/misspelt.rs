//! Misspelt variables. In `.env` such a name is a mistake. In the process environment it is only a hint: most names
//! there belong to other programs, and many of these are close to ours (`READ_TIMEOUT`, `APP_PREFIX`). So at most one
//! word may be misspelt, and names of one word are never guessed: `HOST`, `PORT`, `DOMAIN` and `TIMEZONE`.

use super::{
    providers,
    reading::{report::Mistake, source::Sources, spelling::is_near},
    services::{SERVICE_OPENAPI_SUFFIX, SERVICE_URL_SUFFIX, service_name},
    variables::ALL,
};

/// The misspelt names in `.env`, in the order of their lines.
pub(super) fn mistakes(sources: &Sources) -> Vec<Mistake> {
    let mut wrong: Vec<_> =
        sources.dotenv_names().filter_map(|(name, line)| Some((line, name, misspelt(name)?))).collect();
    wrong.sort_unstable_by_key(|(line, ..)| *line);
    wrong
        .into_iter()
        .map(|(line, name, hint)| Mistake::new(format!(".env line {line}"), format!("must not set {name}; {hint}")))
        .collect()
}

/// Hints for people: the names in the process environment that look like a misspelt variable of ours, and all names
/// that others use for one of our variables.
pub fn hints(sources: &Sources) -> Vec<String> {
    let slip = |name: &String| {
        let meant = meant_by(name)?;
        Some(format!("{name} is set in the environment, and the gateway has no such variable: did you mean {meant}?"))
    };
    let called_elsewhere = |name: &str| {
        let ours = called_elsewhere(name).filter(|ours| sources.value(ours).is_none())?;
        Some(format!("{} is set, but the gateway does not read it; it reads {ours}", sources.place(name)))
    };
    let not_needed = |name: &str| {
        let why = not_needed(name)?;
        Some(format!("{} is set, but the gateway does not read it; {why}", sources.place(name)))
    };
    let incomplete = |name: &str| {
        let ours = incomplete_service(name, sources.value(name)?).filter(|ours| sources.value(ours).is_none())?;
        Some(format!("{} is set, but the gateway does not read it; it reads {ours}", sources.place(name)))
    };
    let of_others = |name| called_elsewhere(name).or_else(|| not_needed(name)).or_else(|| incomplete(name));
    let slips = sources.environment_names().filter_map(slip);
    slips.chain(sources.names().into_iter().filter_map(of_others)).collect()
}

/// A hint at a name in `.env` that is not read but looks meant for the gateway.
///
/// Such a name is a mistake, not a warning: the default that silently applies instead may be less safe. The process
/// environment is not checked like this, because it also holds the variables of other programs.
fn misspelt(name: &str) -> Option<String> {
    if ALL.iter().any(|variable| variable.name == name)
        || [SERVICE_URL_SUFFIX, SERVICE_OPENAPI_SUFFIX].iter().any(|suffix| name.ends_with(suffix))
    {
        return None;
    }
    if let Some(validated) = providers::check_name(name, is_near) {
        return validated.err();
    }
    let meant = ALL.iter().map(|variable| variable.name).find(|known| is_near(name, known)).map(str::to_owned);
    if let Some(meant) = meant.or_else(|| nearly_a_service(name)) {
        return Some(format!("did you mean {meant}?"));
    }
    name.starts_with("GATEWAY_").then(|| "the gateway has no such variable".to_owned())
}

/// `AUTH_SERVICES_URL` → `AUTH_SERVICE_URL`; `<NAME>_SERVICE_URL` if no service can have the name.
fn nearly_a_service(name: &str) -> Option<String> {
    let (at, _) = name.match_indices('_').find(|(at, _)| *at > 0 && is_near(&name[*at..], SERVICE_URL_SUFFIX))?;
    let stem = with_valid_characters(&name[..at]);
    let stem = if service_name(&stem).is_some() { stem.as_str() } else { "<NAME>" };
    Some(format!("{stem}{SERVICE_URL_SUFFIX}"))
}

/// Upper case, and `_` for `-`.
fn with_valid_characters(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
}

/// `SHOP_SERVICE` → `SHOP_SERVICE_URL`, if the value is the address of an instance. Other programs' names end like that,
/// too (`DD_SERVICE`), but their values do not begin like this. A name such as `SHOP_URL` is too common for a hint.
fn incomplete_service(name: &str, value: &str) -> Option<String> {
    let stem = name.strip_suffix(SERVICE_SUFFIX)?;
    let is_address = ["http://", "h2c://"].iter().any(|scheme| value.starts_with(scheme));
    (is_address && service_name(stem).is_some()).then(|| format!("{stem}{SERVICE_URL_SUFFIX}"))
}

/// What is left of the suffix of a service's variable without `_URL`.
const SERVICE_SUFFIX: &str = "_SERVICE";

/// Names that providers' consoles, common libraries and other gateways use for our variables.
const CALLED_ELSEWHERE: &[(&str, &str)] = &[
    ("ACCESS_TOKEN_EXPIRE_MINUTES", "ACCESS_TOKEN_TTL"),
    ("APPLE_SERVICES_ID", "APPLE_CLIENT_ID"),
    ("AZURE_AD_CLIENT_ID", "ENTRA_CLIENT_ID"),
    ("AZURE_AD_CLIENT_SECRET", "ENTRA_CLIENT_SECRET"),
    ("AZURE_AD_TENANT_ID", "ENTRA_TENANT"),
    ("CORS_ALLOWED_ORIGINS", "ALLOWED_ORIGINS"),
    ("CORS_ORIGIN", "ALLOWED_ORIGINS"),
    ("CORS_ORIGINS", "ALLOWED_ORIGINS"),
    ("DISCORD_SECRET", "DISCORD_CLIENT_SECRET"),
    ("ENTRA_TENANT_ID", "ENTRA_TENANT"),
    ("FACEBOOK_APP_ID", "FACEBOOK_CLIENT_ID"),
    ("FACEBOOK_APP_SECRET", "FACEBOOK_CLIENT_SECRET"),
    ("FACEBOOK_SECRET", "FACEBOOK_CLIENT_SECRET"),
    ("FRONTEND_URL", "ALLOWED_ORIGINS"),
    ("GITHUB_SECRET", "GITHUB_CLIENT_SECRET"),
    ("GOOGLE_SECRET", "GOOGLE_CLIENT_SECRET"),
    ("KAKAO_REST_API_KEY", "KAKAO_CLIENT_ID"),
    ("KAKAO_SECRET", "KAKAO_CLIENT_SECRET"),
    ("LINE_CHANNEL_ID", "LINE_CLIENT_ID"),
    ("LINE_CHANNEL_SECRET", "LINE_CLIENT_SECRET"),
    ("LOG_LEVEL", "RUST_LOG"),
    ("MICROSOFT_CLIENT_ID", "ENTRA_CLIENT_ID"),
    ("MICROSOFT_CLIENT_SECRET", "ENTRA_CLIENT_SECRET"),
    ("NAVER_SECRET", "NAVER_CLIENT_SECRET"),
    ("REDIS", "REDIS_URL"),
    ("REFRESH_TOKEN_EXPIRE_DAYS", "REFRESH_TOKEN_TTL"),
    ("TWITTER_CLIENT_ID", "X_CLIENT_ID"),
    ("TWITTER_CLIENT_SECRET", "X_CLIENT_SECRET"),
];

const OWN_KEYS: &str = "it makes its signing keys itself, and VAULT_KEY seals them";

/// Variables of other programs whose values the gateway makes by itself.
const NOT_NEEDED: &[(&str, &str)] = &[
    ("APPLE_CLIENT_SECRET", "Apple's client secret is made from APPLE_PRIVATE_KEY"),
    ("JWT_SECRET", OWN_KEYS),
    ("JWT_SECRET_KEY", OWN_KEYS),
    ("SECRET_KEY", OWN_KEYS),
];

/// The suffixes under which other sign-in libraries expect a provider's callback.
const REDIRECT_SUFFIXES: [&str; 4] = ["_REDIRECT_URI", "_REDIRECT_URL", "_CALLBACK_URL", "_CALLBACK_URI"];

/// Why the gateway needs no such variable.
fn not_needed(name: &str) -> Option<String> {
    if let Some((_, why)) = NOT_NEEDED.iter().find(|(theirs, _)| *theirs == name) {
        return Some((*why).to_owned());
    }
    let prefix = REDIRECT_SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix))?;
    providers::is_known_prefix(prefix).then(|| {
        let provider = prefix.to_ascii_lowercase();
        format!(
            "its callback is PUBLIC_URL and /login/{provider}/callback, and OAUTH_REDIRECT_URIS lists those of front ends"
        )
    })
}

/// Our variable for this name of a provider's console or a common library. Other programs may read that name, so it is
/// never a mistake.
fn called_elsewhere(name: &str) -> Option<&'static str> {
    CALLED_ELSEWHERE.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours)
}

/// Stands for the words of a variable's name that the operator chooses.
const ANY: &str = "*";

/// The variable that was probably meant; `None` if the name is one of ours, or belongs to another program.
fn meant_by(name: &str) -> Option<String> {
    let fixed = ALL.iter().map(|variable| variable.name.to_owned());
    let of_services = [SERVICE_URL_SUFFIX, SERVICE_OPENAPI_SUFFIX].map(|suffix| format!("{ANY}{suffix}"));
    let known = fixed.chain(of_services).chain(providers::names_with(ANY)).filter(|known| known.contains('_'));
    let meant: Vec<_> = known.filter_map(|known| spelt_like(&known, name)).collect();
    if meant.iter().any(|meant| meant == name) { None } else { meant.into_iter().next() }
}

/// The correct spelling of a known variable, if `name` is equal or close to it.
fn spelt_like(known: &str, name: &str) -> Option<String> {
    let name = with_valid_characters(name);
    if name.replace('_', "") == known.replace('_', "") {
        return Some(known.to_owned());
    }
    let (known, words): (Vec<_>, Vec<_>) = (known.split('_').collect(), name.split('_').collect());
    let right = match known.iter().position(|word| *word == ANY) {
        None => known,
        Some(at) => {
            let chosen = words.len().checked_sub(known.len() - 1).filter(|chosen| *chosen > 0)?;
            if !begins_with_letter(words[at]) || !words.iter().all(|word| has_valid_characters(word)) {
                return None;
            }
            [&known[..at], &words[at..at + chosen], &known[at + 1..]].concat()
        }
    };
    let chosen_is_good = right.len() == words.len() && right.iter().all(|word| !word.is_empty());
    let mut wrong = right.iter().zip(&words).filter(|(right, word)| right != word);
    let slips_at_most_once = wrong.next().is_none_or(|(right, word)| is_slip(word, right)) && wrong.next().is_none();
    (chosen_is_good && slips_at_most_once).then(|| right.join("_"))
}

fn begins_with_letter(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_uppercase())
}

fn has_valid_characters(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// Whether a word is a misspelling of another. A word with another first letter was meant as it is.
fn is_slip(word: &str, known: &str) -> bool {
    if singular(word) == singular(known) || (word, known) == ("URI", "URL") {
        return true;
    }
    let most = match known.len() {
        0..=3 => return is_swap(word, known),
        4..=6 => 1,
        _ => 2,
    };
    word.as_bytes().first() == known.as_bytes().first() && strsim::osa_distance(word, known) <= most
}

/// Whether two words differ by two swapped letters.
fn is_swap(word: &str, known: &str) -> bool {
    word.len() == known.len() && strsim::osa_distance(word, known) == 1 && strsim::hamming(word, known) == Ok(2)
}

/// `PROXIES` → `PROXY`
fn singular(word: &str) -> String {
    match word.strip_suffix("IES") {
        Some(stem) => format!("{stem}Y"),
        None => word.strip_suffix('S').unwrap_or(word).to_owned(),
    }
}

#[cfg(test)]
mod tests;
