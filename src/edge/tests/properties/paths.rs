use std::fmt::Write;

use proptest::prelude::*;

use super::{cases, hostile_path};
use crate::{
    domain::gateway::models::{
        access::Access,
        http::path::{PathPrefix, Spelling, Spellings},
        service::{Found, Route, RouteTable, Wanted},
    },
    edge::{
        http::path::{Canonical, canonical},
        tests::support::route,
    },
};

/// All escapes decoded, as the most lenient server would do.
fn decoded(path: &str) -> Vec<u8> {
    let (mut bytes, mut decoded) = (path.as_bytes(), Vec::new());
    while let [first, rest @ ..] = bytes {
        let escape = rest.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let value = escape.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let (byte, after) = match value {
            Some(digits) => (u8::from_str_radix(digits, 16).unwrap(), &rest[2..]),
            None => (*first, rest),
        };
        decoded.push(byte);
        bytes = after;
    }
    decoded
}

/// The canonical path, if it has no spelling that a route has to allow.
fn plain(path: &str) -> Option<String> {
    let Canonical { path, spellings } = canonical(path).ok()?;
    spellings.is_empty().then(|| path.into_owned())
}

/// A path near `/api/open/a:b/게` in a random spelling, with many parts that servers read in different ways.
fn spelled_path() -> impl Strategy<Value = String> {
    let segment =
        prop::sample::select(vec!["a:b", "A:B", "게", "k", "K", "\u{212a}", "x", "", ".", "..", "a:b;x", ";", "...;a"]);
    let separator = prop::sample::select(vec!["/", "/", "/", "/", "//", "%2F", "%2f", "%5C", ";/", "/;x/"]);
    // Which characters are percent-encoded, cyclically.
    let encoded = prop::collection::vec(prop::bool::weighted(0.3), 16);
    let piece = (segment, separator, encoded).prop_map(|(segment, separator, encoded)| {
        let spell = |(c, encode): (char, bool)| {
            let mut bytes = [0; 4];
            let text = c.encode_utf8(&mut bytes);
            let mut escaped = String::new();
            for byte in text.bytes() {
                write!(escaped, "%{byte:02x}").unwrap();
            }
            if encode || !c.is_ascii() { escaped } else { text.to_owned() }
        };
        let segment: String = segment.chars().zip(encoded.into_iter().cycle()).map(spell).collect();
        format!("{segment}{separator}")
    });
    (prop::collection::vec(piece, 1..6), any::<bool>()).prop_map(|(pieces, ends)| {
        let path = format!("/api/open/{}", pieces.concat());
        if ends { path } else { path.trim_end_matches('/').to_owned() }
    })
}

/// The segments that some server reads in a received path.
fn read_by_server(path: &str, [cut_first, cuts, merges, ignores_case]: [bool; 4]) -> Vec<String> {
    let cut = |path: &str| {
        let names: Vec<&str> = path.split('/').map(|segment| segment.split(';').next().unwrap()).collect();
        names.join("/")
    };
    let path = if cuts && cut_first { cut(path) } else { path.to_owned() };
    let path = String::from_utf8(decoded(&path)).unwrap().replace('\\', "/");
    let path = if cuts { cut(&path) } else { path };
    let mut segments: Vec<String> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "" | "." if merges || segment == "." => {}
            ".." => drop(segments.pop()),
            other if ignores_case => segments.push(other.to_uppercase().to_lowercase()),
            other => segments.push(other.to_owned()),
        }
    }
    segments
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn an_accepted_path_is_canonical(path in hostile_path()) {
        if let Ok(one) = canonical(&path) {
            prop_assert_eq!(canonical(&one.path), Ok(one.clone()));
        }
    }

    #[test]
    fn nothing_is_repaired(path in hostile_path()) {
        if let Ok(Canonical { path: one, .. }) = canonical(&path) {
            prop_assert_eq!(decoded(&one), decoded(&path), "the same characters");
            prop_assert_eq!(one.matches('/').count(), path.matches('/').count(), "in the same segments");
        }
    }

    #[test]
    fn no_server_can_read_it_differently(path in hostile_path()) {
        if let Some(one) = plain(&path) {
            prop_assert!(one.starts_with('/'));
            prop_assert!(one.bytes().all(|byte| byte.is_ascii_graphic() && !br#"\;?#"<>{}|^`[]"#.contains(&byte)), "{}", one);
            let decoded = decoded(&one);
            prop_assert!(std::str::from_utf8(&decoded).is_ok_and(|text| !text.chars().any(char::is_control)), "{}", one);
            prop_assert!(!decoded.contains(&b'\\') && !decoded.contains(&b';'), "{}", one);
            let segments: Vec<&[u8]> = decoded.split(|&byte| byte == b'/').skip(1).collect();
            prop_assert_eq!(segments.len(), one.matches('/').count(), "{}", one);
            let (last, others) = segments.split_last().unwrap();
            prop_assert!(others.iter().all(|segment| !segment.is_empty()), "{}", one);
            prop_assert!(others.iter().chain([last]).all(|segment| *segment != b"." && *segment != b".."), "{}", one);
        }
    }

    #[test]
    fn a_plain_path_is_never_refused(path in "(/[A-Za-z0-9_~!$&'()*+,=:@-]{1,9}){0,6}/?") {
        let expected = if path.is_empty() { None } else { Some(path.clone()) };
        prop_assert_eq!(plain(&path), expected);
    }

    #[test]
    fn two_spellings_of_the_same_characters_become_one(text in "/api/[ -~게é]{1,9}", encoded in prop::collection::vec(any::<bool>(), 9)) {
        let prefix: Result<PathPrefix, _> = text.parse();
        let mut sent = "/api/".to_owned();
        for (c, encode) in text.chars().skip(5).zip(encoded) {
            let mut bytes = [0; 4];
            let must = !c.is_ascii() || " \"<>[]^`{|}%".contains(c);
            for byte in c.encode_utf8(&mut bytes).bytes() {
                let is_encoded = must || (encode && c != '/');
                let text = if is_encoded { format!("%{byte:02x}") } else { char::from(byte).to_string() };
                sent.push_str(&text);
            }
        }
        if let Ok(prefix) = prefix {
            prop_assert_eq!(plain(&sent), Some(prefix.as_str().to_owned()), "{}", sent);
        }
    }

    /// However a server reads a path that arrives through an open route: it never reads it as one of the stricter
    /// routes.
    #[test]
    fn no_spelling_bypasses_a_stricter_route(path in spelled_path(), allowed in prop::sample::subsequence(Spelling::ALL.to_vec(), 0..=4)) {
        let secret = Access::with_scope("read".parse().unwrap());
        let allow: Spellings = allowed.into_iter().map(|(_, spelling)| spelling).collect();
        let stricter = ["/api/open/a:b", "/api/open/x/게", "/api/open/k/x"];
        let strict = stricter.map(|prefix| Route { access: secret.clone(), ..route(prefix, "auth", prefix) });
        let table = RouteTable::new([Route { allow, ..route("/api/open", "auth", "/api/open") }].into_iter().chain(strict));
        let Ok(Canonical { path: one, spellings }) = canonical(&path) else { return Ok(()) };
        let wanted = Wanted { path: &one, spellings, method: "GET", preflight_for: None };
        let Found::Route { route, .. } = table.find(wanted) else { return Ok(()) };
        if route.access != Access::Open {
            return Ok(());
        }
        let arrives = route.upstream_pieces(&one).unwrap().concat();
        for n in 0..16_u8 {
            let read = read_by_server(&arrives, [1, 2, 4, 8].map(|bit| n & bit != 0));
            for prefix in stricter {
                let segments: Vec<&str> = prefix.split('/').skip(1).collect();
                prop_assert!(!read.iter().map(String::as_str).take(segments.len()).eq(segments.iter().copied()), "{} is read as {:?}", arrives, read);
            }
        }
    }
}
