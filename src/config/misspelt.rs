//! Misspelt variables. In `.env` such a name is a mistake. In the process environment it is only a hint: most names
//! there belong to other programs, and many of these are close to ours (`READ_TIMEOUT`, `APP_PREFIX`). So at most one
//! word may be misspelt, and names of one word are never guessed: `HOST`, `PORT`, `DOMAIN` and `TIMEZONE`.

use super::{
    providers,
    reading::{report::Mistake, source::Sources, spelling::is_near},
    services::{SERVICE_OPENAPI_SUFFIX, SERVICE_URL_SUFFIX},
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
    let of_others = |name| called_elsewhere(name).or_else(|| not_needed(name));
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

/// `AUTH_SERVICES_URL` → `AUTH_SERVICE_URL`
fn nearly_a_service(name: &str) -> Option<String> {
    name.match_indices('_')
        .find(|(at, _)| *at > 0 && is_near(&name[*at..], SERVICE_URL_SUFFIX))
        .map(|(at, _)| format!("{}{SERVICE_URL_SUFFIX}", &name[..at]))
}

/// Names that providers' consoles and common libraries use for our variables.
const CALLED_ELSEWHERE: [(&str, &str); 14] = [
    ("APPLE_SERVICES_ID", "APPLE_CLIENT_ID"),
    ("AZURE_AD_CLIENT_ID", "ENTRA_CLIENT_ID"),
    ("AZURE_AD_CLIENT_SECRET", "ENTRA_CLIENT_SECRET"),
    ("AZURE_AD_TENANT_ID", "ENTRA_TENANT"),
    ("ENTRA_TENANT_ID", "ENTRA_TENANT"),
    ("FACEBOOK_APP_ID", "FACEBOOK_CLIENT_ID"),
    ("FACEBOOK_APP_SECRET", "FACEBOOK_CLIENT_SECRET"),
    ("KAKAO_REST_API_KEY", "KAKAO_CLIENT_ID"),
    ("LINE_CHANNEL_ID", "LINE_CLIENT_ID"),
    ("LINE_CHANNEL_SECRET", "LINE_CLIENT_SECRET"),
    ("MICROSOFT_CLIENT_ID", "ENTRA_CLIENT_ID"),
    ("MICROSOFT_CLIENT_SECRET", "ENTRA_CLIENT_SECRET"),
    ("TWITTER_CLIENT_ID", "X_CLIENT_ID"),
    ("TWITTER_CLIENT_SECRET", "X_CLIENT_SECRET"),
];

/// Variables of other sign-in libraries whose values the gateway makes by itself.
const NOT_NEEDED: [(&str, &str); 1] = [("APPLE_CLIENT_SECRET", "Apple's client secret is made from APPLE_PRIVATE_KEY")];

/// Why the gateway needs no such variable.
fn not_needed(name: &str) -> Option<&'static str> {
    NOT_NEEDED.iter().find(|(theirs, _)| *theirs == name).map(|(_, why)| *why)
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
    let name = name.to_ascii_uppercase();
    if name.replace('_', "") == known.replace('_', "") {
        return Some(known.to_owned());
    }
    let (known, words): (Vec<_>, Vec<_>) = (known.split('_').collect(), name.split('_').collect());
    let right = match known.iter().position(|word| *word == ANY) {
        None => known,
        Some(at) => {
            let chosen = words.len().checked_sub(known.len() - 1).filter(|chosen| *chosen > 0)?;
            [&known[..at], &words[at..at + chosen], &known[at + 1..]].concat()
        }
    };
    let chosen_is_good = right.len() == words.len() && right.iter().all(|word| !word.is_empty());
    let mut wrong = right.iter().zip(&words).filter(|(right, word)| right != word);
    let slips_at_most_once = wrong.next().is_none_or(|(right, word)| is_slip(word, right)) && wrong.next().is_none();
    (chosen_is_good && slips_at_most_once).then(|| right.join("_"))
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
