//! The manual and .env describe exactly the settings that the gateway reads, in the same words. The manual explains every
//! error code. The links of all pages are valid, and the two front pages have the same content.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use gateway::{
    config::{
        Settings, Sources,
        variables::{ALL, Fallback, PROVIDER_FAMILIES, SERVICE_OPENAPI, SERVICE_URL, Variable},
    },
    domain::gateway::services::oauth::AdmissionRule,
};
use http::StatusCode;

const README: &str = include_str!("../README.md");
const README_KO: &str = include_str!("../README.ko.md");
const CONFIGURATION: &str = include_str!("../docs/configuration.md");
const ROUTES: &str = include_str!("../docs/routes.md");
const PROVIDERS: &str = include_str!("../docs/providers/README.md");
const TROUBLESHOOTING: &str = include_str!("../docs/troubleshooting.md");
const ENV_FILE: &str = include_str!("../.env");

/// Each family of variables has one example in `.env`.
fn example(family: &Variable) -> String {
    let service = family.name.contains("_SERVICE_");
    family.name.replace("<NAME>", if service { "AUTH" } else { "OKTA" }).replace("<PROVIDER>", "GITHUB")
}

fn families() -> impl Iterator<Item = &'static Variable> {
    [&SERVICE_URL, &SERVICE_OPENAPI].into_iter().chain(PROVIDER_FAMILIES)
}

/// The pages for people: the front pages, the manual and the notes of the examples.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["", "docs", "docs/providers", "deploy/kubernetes", "examples/fastapi", "examples/nextjs", "bench"];
    let files = folders.iter().flat_map(|folder| fs::read_dir(root.join(folder)).into_iter().flatten().flatten());
    files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// The text outside of blocks of code.
fn prose(page: &str) -> String {
    page.split("```").step_by(2).collect()
}

/// The targets of links and of images.
fn links(page: &str) -> Vec<String> {
    let text = prose(page);
    let targets = text.match_indices("](").filter_map(|(at, found)| {
        let (target, _) = text[at + found.len()..].split_once(')')?;
        Some(target.to_owned())
    });
    targets.collect()
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(page: &str) -> Vec<String> {
    let text = prose(page);
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let in_anchor = |c: char| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        c => c.is_alphanumeric().then_some(c),
    };
    headings.map(|heading| heading.to_lowercase().chars().filter_map(in_anchor).collect()).collect()
}

/// The shell commands of a page.
fn commands(page: &str) -> Vec<&str> {
    page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

/// The source files of the gateway, without those of tests. `dev` has codes of its own.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let is_source = |path: &PathBuf| !["tests", "tests.rs", "dev"].iter().any(|name| path.ends_with(name));
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).filter(is_source);
    let below = entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    below.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// The status that a constant of [`StatusCode`] names, if it is that of an error.
fn error_status(constant: &str) -> Option<u16> {
    let is_meant = |status: &StatusCode| {
        let reason = status.canonical_reason().unwrap_or_default();
        reason.to_uppercase().replace(' ', "_") == constant
    };
    (400..600).filter_map(|number| StatusCode::from_u16(number).ok()).find(is_meant).map(|status| status.as_u16())
}

/// The error codes in a source file, each with its status if that is beside the code.
fn error_codes(source: &str) -> Vec<(Option<u16>, String)> {
    let code_at = |quote: usize| {
        let (code, _) = source[quote + 1..].split_once('"')?;
        if code.is_empty() || !code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
            return None;
        }
        let before = source[..quote].trim_end();
        let argument = before.strip_suffix(',').unwrap_or_default();
        // `StatusCode::NOT_FOUND, "code"`, in a call or in a pair.
        if let Some(status) = argument.rsplit_once("StatusCode::").and_then(|(_, constant)| error_status(constant)) {
            return Some((Some(status), code.to_owned()));
        }
        // `Problem::new(status, "code"`: the status is computed.
        let is_second = argument
            .rsplit_once("Problem::new(")
            .is_some_and(|(_, status)| !status.is_empty() && !status.trim().contains(['"', ';', '{', ' ']));
        // Functions that add the status, and tables of refusals.
        let is_first = ["bad_request(", "unavailable(", "=> ("].iter().any(|call| before.ends_with(call));
        (is_second || is_first).then(|| (None, code.to_owned()))
    };
    source.match_indices('"').filter_map(|(quote, _)| code_at(quote)).collect()
}

/// The rows of the tables of errors: status and code.
fn error_rows() -> Vec<(u16, &'static str)> {
    let row = |line: &'static str| {
        let (status, rest) = line.strip_prefix("| ")?.split_once(" | `")?;
        Some((status.parse::<u16>().ok()?, rest.split_once("` |")?.0))
    };
    TROUBLESHOOTING.lines().filter_map(row).collect()
}

/// Whether a row explains a code; without its status, any status will do.
fn explains(row: &(u16, &str), status: Option<u16>, code: &str) -> bool {
    row.1 == code && status.is_none_or(|status| status == row.0)
}

fn row(variable: &Variable) -> String {
    let default = match variable.fallback {
        Fallback::Text(text) => format!("`{text}`"),
        Fallback::Derived(words) => words.to_owned(),
    };
    let secret = if variable.secret { ". Secret" } else { "" };
    format!("| `{}` | {default} | {}{secret} |", variable.name, variable.meaning)
}

/// The variables of `.env`, set or commented out, each with its value and the line before.
fn env_entries() -> Vec<(&'static str, &'static str, &'static str)> {
    let lines: Vec<_> = ENV_FILE.lines().collect();
    let entry = |line: &'static str| {
        let (name, value) = line.strip_prefix("# ").unwrap_or(line).split_once('=')?;
        name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_').then_some((name, value))
    };
    let with_line_before =
        lines.windows(2).filter_map(|pair| entry(pair[1]).map(|(name, value)| (name, value, pair[0])));
    with_line_before.collect()
}

#[test]
fn the_manual_has_one_row_for_each_variable_that_is_read() {
    let expected: Vec<_> = ALL.iter().chain(families()).map(row).collect();
    let found: Vec<_> = CONFIGURATION.lines().filter(|line| expected.iter().any(|row| row == line)).collect();
    assert_eq!(found, expected, "the table in docs/configuration.md has these rows:\n{}", expected.join("\n"));
    for line in CONFIGURATION.lines() {
        let name = line.strip_prefix("| `").and_then(|rest| rest.split_once('`')).map_or("", |(name, _)| name);
        let names_a_variable = name.contains('_') && !name.bytes().any(|b| b.is_ascii_lowercase() || b == b'/');
        assert!(!names_a_variable || found.contains(&line), "a row explains a variable that nothing reads: {line}");
    }
}

#[test]
fn env_has_each_variable_once_and_explains_it() {
    let entries = env_entries();
    let mut names: Vec<_> = entries.iter().map(|(name, ..)| *name).collect();
    let examples: Vec<_> = families().map(example).collect();
    let fixed = ALL.iter().map(|variable| variable.name);
    let mut expected: Vec<_> = fixed.chain(examples.iter().map(String::as_str)).collect();
    names.sort_unstable();
    expected.sort_unstable();
    assert_eq!(names, expected);
    for (name, _, before) in entries {
        let explains = before.starts_with("# ") && !before.contains('=');
        assert!(explains, "the line before {name} in .env does not explain it: {before:?}");
    }
}

#[test]
fn commented_out_values_in_env_are_the_defaults() {
    let fallback = |name| ALL.iter().find(|variable| variable.name == name).map(|variable| variable.fallback);
    for (name, value, _) in env_entries() {
        if let Some(Fallback::Text(default)) = fallback(name)
            && ENV_FILE.contains(&format!("# {name}="))
        {
            assert_eq!(value, default, "{name}");
        }
    }
}

#[test]
fn env_works_as_it_is_and_with_everything_in_it_turned_on() {
    assert!(Settings::from_sources(&Sources::default().with_dotenv(ENV_FILE)).is_ok());
    // A build without Docker refuses to be told of an engine.
    let is_known = |name: &str| cfg!(feature = "docker") || name != "DOCKER_URL";
    let entries = env_entries().into_iter().filter(|(name, ..)| is_known(name));
    let all: Vec<_> = entries.map(|(name, value, _)| format!("{name}={value}")).collect();
    let settings = Settings::from_sources(&Sources::default().with_dotenv(&all.join("\n")));
    assert!(settings.is_ok(), "{}", settings.unwrap_err());
}

#[test]
fn the_routes_that_the_manual_shows_can_be_read() {
    let (_, rest) = ROUTES.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let variables = [("GATEWAY_ENV", "development"), ("REPORTS_SERVICE_URL", "http://localhost:8001")];
    let sources = Sources::default().with_environment(variables).with_routes_file("docs/routes.md", example);
    let settings = Settings::from_sources(&sources).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert!(!settings.routes.is_empty());
}

#[test]
fn the_services_that_the_manual_shows_can_be_read() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/services.md")).unwrap();
    let examples: Vec<_> = page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(examples.len() > 4, "one for each subject");
    for example in examples {
        let variables = [("GATEWAY_ENV", "development")];
        let sources = Sources::default().with_environment(variables).with_routes_file("docs/services.md", example);
        let settings = Settings::from_sources(&sources).unwrap_or_else(|mistakes| panic!("{mistakes}\n{example}"));
        assert!(settings.services.iter().any(|service| service.name.as_str() == "shop"), "{example}");
    }
}

#[test]
fn the_manual_explains_every_error_code_and_no_other() {
    let mut codes = BTreeSet::new();
    for path in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let source = fs::read_to_string(&path).unwrap();
        codes.extend(error_codes(source.split("#[cfg(test)]\nmod ").next().unwrap()));
    }
    let rules =
        [AdmissionRule::HostedDomain, AdmissionRule::Tenant, AdmissionRule::Group, AdmissionRule::GroupsElsewhere];
    codes.extend(rules.map(|rule| (Some(403), rule.code().to_owned())));
    // One of each way to write a code.
    for known in ["no_route", "bad_path", "no_instance", "foreign_host", "malformed_request", "invalid_client"] {
        assert!(
            codes.iter().any(|(_, code)| code == known),
            "the sources are not read correctly: {known} is not found"
        );
    }

    let rows = error_rows();
    let missing: Vec<_> =
        codes.iter().filter(|(status, code)| !rows.iter().any(|row| explains(row, *status, code))).collect();
    assert!(missing.is_empty(), "docs/troubleshooting.md does not explain {missing:?}");
    let stale: Vec<_> =
        rows.iter().filter(|row| !codes.iter().any(|(status, code)| explains(row, *status, code))).collect();
    assert!(stale.is_empty(), "docs/troubleshooting.md explains codes that no source has: {stale:?}");
}

#[test]
fn each_provider_has_a_page_that_says_what_to_do_in_its_console() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/providers");
    let prefixes: Vec<_> = ALL.iter().filter_map(|variable| variable.name.strip_suffix("_CLIENT_ID")).collect();
    assert!(prefixes.contains(&"GOOGLE") && prefixes.contains(&"X"), "{prefixes:?}");
    for prefix in &prefixes {
        let name = prefix.to_lowercase();
        let page = std::fs::read_to_string(format!("{folder}/{name}.md")).unwrap_or_default();
        let callback = format!("PUBLIC_URL/login/{name}/callback");
        let of_provider = |variable: &&Variable| variable.name.starts_with(&format!("{prefix}_CLIENT_"));
        let variables = ALL.iter().filter(of_provider).map(|variable| variable.name);
        for needed in variables.chain([callback.as_str(), "\n## 한국어\n", "\nSource: <https://"]) {
            assert!(page.contains(needed), "docs/providers/{name}.md lacks {needed:?}");
        }
        assert!(
            PROVIDERS.contains(&format!("({name}.md)")),
            "docs/providers/README.md does not lead to the page of {name}"
        );
    }
    // Two more: the page of all other providers, and the index.
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), prefixes.len() + 2);
}

#[test]
fn links_lead_to_pages_and_headings_that_exist() {
    let mut dead = Vec::new();
    for path in pages() {
        let page = fs::read_to_string(&path).unwrap();
        let folder = path.parent().unwrap();
        for link in links(&page).into_iter().filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { path.clone() } else { folder.join(file) };
            let leads_somewhere = target.exists()
                && (anchor.is_empty()
                    || anchors(&fs::read_to_string(&target).unwrap()).iter().any(|found| found == anchor));
            if !leads_somewhere {
                dead.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(dead.is_empty(), "links to nowhere:\n{}", dead.join("\n"));
}

#[test]
fn the_front_page_is_short_and_leads_to_every_page_of_the_manual() {
    assert!(README.lines().count() < 200, "README.md is a front page: move what is long into docs/");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let from_front: BTreeSet<_> = links(README).iter().map(|link| root.join(link)).collect();
    let index = fs::read_to_string(root.join("docs/README.md")).unwrap();
    let from_index: BTreeSet<_> = links(&index).iter().map(|link| root.join("docs").join(link)).collect();
    let manual = pages().into_iter().filter(|page| page.parent() == Some(&root.join("docs")));
    for page in manual {
        assert!(from_front.contains(&page), "README.md does not lead to {}", page.display());
        let is_index = page.ends_with("docs/README.md");
        assert!(is_index || from_index.contains(&page), "docs/README.md does not lead to {}", page.display());
    }
}

#[test]
fn the_korean_front_page_shows_the_same_commands_and_leads_to_the_same_pages() {
    assert_eq!(commands(README_KO), commands(README));
    let of_both = |page| links(page).into_iter().filter(|link| !link.starts_with("README.")).collect::<BTreeSet<_>>();
    assert_eq!(of_both(README_KO), of_both(README));
}
