//! Finds the imports of a source file: `use` trees, one path per leaf, and paths written out in the code. It knows
//! enough of Rust's tokens not to be fooled by comments, strings and lifetimes, and leaves out test-only code.

use std::collections::BTreeSet;

/// One path outside the module, `crate::…` or `<crate>::…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Import {
    /// Its line; in a `use` group, the line of its last segment.
    pub(crate) line: usize,
    /// Its segments. `self` and `super` are resolved: our own paths begin with `crate`.
    pub(crate) path: Vec<String>,
}

/// The findings in a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The imports of the file, without those of tests.
    pub(crate) imports: Vec<Import>,
    /// The test-only modules that it declares, by name.
    pub(crate) test_modules: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
struct Token<'t> {
    text: &'t str,
    line: usize,
}

/// Reads a file that is the module `module` (its segments below `crate`). `crates` are the names of the libraries.
pub(crate) fn find(text: &str, module: &[&str], crates: &BTreeSet<String>) -> Found {
    let mut found = Found::default();
    let tokens = without_tests(&tokens(text), &mut found.test_modules);
    let mut local: BTreeSet<&str> =
        tokens.windows(2).filter(|pair| pair[0].text == "mod").map(|pair| pair[1].text).collect();
    let mut written_out = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let next = tokens.get(at + 1).map_or("", |token| token.text);
        // `use<'a>` in a type is not an import.
        if tokens[at].text == "use" && next != "<" {
            let begin = at + 1;
            at = begin + tokens[begin..].iter().position(|token| token.text == ";").unwrap_or(tokens.len() - begin);
            let mut leaves = Vec::new();
            tree(&tokens[begin..at], &[], &mut leaves);
            for leaf in leaves {
                if leaf.path.len() > 1 {
                    local.insert(leaf.name);
                }
                found.imports.extend(resolve(&leaf.path, leaf.line, module, crates, &BTreeSet::new()));
            }
        } else if is_word(tokens[at].text) && next == "::" {
            let line = tokens[at].line;
            let mut path = vec![tokens[at].text];
            while let [separator, segment, ..] = &tokens[at + 1..]
                && separator.text == "::"
                && is_word(segment.text)
            {
                path.push(segment.text);
                at += 2;
            }
            written_out.push((path, line));
            at += 1;
        } else {
            at += 1;
        }
    }
    for (path, line) in written_out {
        found.imports.extend(resolve(&path, line, module, crates, &local));
    }
    found.imports.sort_by_key(|import| import.line);
    found
}

/// Makes a path absolute; `None` if it leads neither to our code nor to a library (`std`, a type, a local module).
fn resolve(
    path: &[&str],
    line: usize,
    module: &[&str],
    crates: &BTreeSet<String>,
    local: &BTreeSet<&str>,
) -> Option<Import> {
    let ups = path.iter().take_while(|segment| **segment == "super").count();
    let (base, rest): (&[&str], &[&str]) = match path.first().copied()? {
        "crate" => (&[], &path[1..]),
        "self" => {
            let ups = path[1..].iter().take_while(|segment| **segment == "super").count();
            (&module[..module.len().saturating_sub(ups)], &path[1 + ups..])
        }
        "super" => (&module[..module.len().saturating_sub(ups)], &path[ups..]),
        first if crates.contains(first) && !local.contains(first) => {
            return Some(Import { line, path: path.iter().map(ToString::to_string).collect() });
        }
        _ => return None,
    };
    let absolute = ["crate"].iter().chain(base).chain(rest).map(ToString::to_string).collect();
    Some(Import { line, path: absolute })
}

struct Leaf<'t> {
    path: Vec<&'t str>,
    name: &'t str,
    line: usize,
}

/// Splits a `use` tree: `a::{b, c::{self, d as e}, f::*}` has the leaves `a::b`, `a::c`, `a::c::d` and `a::f`.
fn tree<'t>(tokens: &[Token<'t>], prefix: &[&'t str], leaves: &mut Vec<Leaf<'t>>) {
    let mut path = prefix.to_vec();
    let mut line = tokens.first().map_or(0, |token| token.line);
    for (at, token) in tokens.iter().enumerate() {
        match token.text {
            "::" | "*" => {}
            "as" => {
                let name = tokens.get(at + 1).map_or("_", |alias| alias.text);
                return leaves.push(Leaf { path, name, line });
            }
            "{" => {
                let inside = &tokens[at + 1..tokens.len().saturating_sub(1)];
                return parts(inside).into_iter().for_each(|part| tree(part, &path, leaves));
            }
            "self" if !path.is_empty() => {}
            segment => {
                path.push(segment);
                line = token.line;
            }
        }
    }
    if let Some(name) = path.last().copied() {
        leaves.push(Leaf { path, name, line });
    }
}

/// Splits a list at its outer commas.
fn parts<'a, 't>(tokens: &'a [Token<'t>]) -> Vec<&'a [Token<'t>]> {
    let mut depth = 0_usize;
    tokens
        .split(|token| {
            match token.text {
                "{" => depth += 1,
                "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && token.text == ","
        })
        .filter(|part| !part.is_empty())
        .collect()
}

/// Removes every item under `#[cfg(test)]` (or `#[cfg(all(test, …))]`), and notes the modules among them that have
/// files of their own.
fn without_tests<'t>(tokens: &[Token<'t>], test_modules: &mut Vec<String>) -> Vec<Token<'t>> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let Some(end) = end_of_attribute(tokens, at) else {
            kept.push(tokens[at]);
            at += 1;
            continue;
        };
        let attribute: Vec<_> = tokens[at..end].iter().map(|token| token.text).collect();
        let for_tests = attribute.contains(&"cfg") && attribute.contains(&"test") && !attribute.contains(&"not");
        if !for_tests {
            kept.extend(&tokens[at..end]);
            at = end;
            continue;
        }
        if attribute.get(1) == Some(&"!") {
            return Vec::new();
        }
        at = end;
        while let Some(end) = end_of_attribute(tokens, at) {
            at = end;
        }
        let end = end_of_item(tokens, at);
        if tokens[at..end].last().is_some_and(|token| token.text == ";") {
            let declared = tokens[at..end].windows(2).find(|pair| pair[0].text == "mod");
            test_modules.extend(declared.map(|pair| pair[1].text.to_owned()));
        }
        at = end;
    }
    kept
}

/// The end of the attribute that begins at `at`, if one does.
fn end_of_attribute(tokens: &[Token<'_>], at: usize) -> Option<usize> {
    let text = |at: usize| tokens.get(at).map(|token| token.text);
    let bracket = at + if text(at + 1) == Some("!") { 2 } else { 1 };
    (text(at) == Some("#") && text(bracket) == Some("[")).then(|| end_of_group(tokens, bracket))
}

/// The end of an item: after its first `;` or block outside of parentheses.
fn end_of_item(tokens: &[Token<'_>], mut at: usize) -> usize {
    let is_import = tokens.get(at..).is_some_and(|rest| rest.iter().take(2).any(|token| token.text == "use"));
    while let Some(token) = tokens.get(at) {
        match token.text {
            ";" => return at + 1,
            "{" if !is_import => return end_of_group(tokens, at),
            "(" | "[" | "{" => at = end_of_group(tokens, at),
            _ => at += 1,
        }
    }
    tokens.len()
}

/// The end of the group of brackets that opens at `at`.
fn end_of_group(tokens: &[Token<'_>], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len()
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// Words, `::` and single characters. Comments, literals and lifetimes are left out.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < bytes.len() {
        let rest = &text.as_bytes()[at..];
        let word = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
        let skipped = match rest {
            [b'/', b'/', ..] => rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len()),
            [b'/', b'*', ..] => block_comment(rest),
            [b'"', ..] => string(rest),
            [b'\'', ..] => character_or_lifetime(rest),
            [b'r' | b'b' | b'c', ..] => raw_string(rest).unwrap_or(0),
            _ => 0,
        };
        let taken = if skipped > 0 {
            skipped
        } else if word > 0 {
            tokens.push(Token { text: &text[at..at + word], line });
            word
        } else if rest.starts_with(b"::") {
            tokens.push(Token { text: "::", line });
            2
        } else {
            if rest[0].is_ascii_punctuation() {
                tokens.push(Token { text: &text[at..=at], line });
            }
            1
        };
        line += rest[..taken].split(|b| *b == b'\n').count() - 1;
        at += taken;
    }
    tokens
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (at, depth) = (at + 2, depth + 1),
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn string(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != b'"' {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

fn character_or_lifetime(rest: &[u8]) -> usize {
    if rest.get(1) == Some(&b'\\') {
        return rest.iter().skip(3).position(|b| *b == b'\'').map_or(rest.len(), |at| at + 4);
    }
    // A character has at most four bytes; without a quote within these it is a lifetime, whose word follows.
    rest.iter()
        .take(6)
        .skip(2)
        .position(|b| *b == b'\'')
        .map_or(1, |at| if is_lifetime(&rest[1..2 + at]) { 1 } else { at + 3 })
}

/// `'a, 'b` has a quote nearby, too.
fn is_lifetime(between: &[u8]) -> bool {
    between.len() > 1 && between[0].is_ascii()
}

/// The length of `r"…"`, `r#"…"#`, `br"…"` and the like, if one begins here.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let letters = rest.iter().take_while(|b| matches!(b, b'r' | b'b' | b'c')).count();
    let hashes = rest[letters..].iter().take_while(|b| **b == b'#').count();
    let begin = letters + hashes;
    if letters > 2 || rest.get(letters - 1) != Some(&b'r') || rest.get(begin) != Some(&b'"') {
        return None;
    }
    let end = [&b"\""[..], &b"#".repeat(hashes)].concat();
    let length = rest[begin + 1..].windows(end.len()).position(|window| window == end)?;
    Some(begin + 1 + length + end.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let crates = ["poem", "sea_orm", "http"].map(str::to_owned).into();
        let found = find(text, &["domain", "services", "token"], &crates);
        found.imports.iter().map(|import| format!("{}: {}", import.line, import.path.join("::"))).collect()
    }

    #[test]
    fn a_use_tree_has_one_path_per_leaf() {
        let text = "pub use poem::{\n    Endpoint as E,\n    web::{self, Json},\n    listener::*,\n};\nuse std::fmt;\n";
        assert_eq!(found(text), ["2: poem::Endpoint", "3: poem::web", "3: poem::web::Json", "4: poem::listener"]);
        assert_eq!(found("pub(crate) use {poem::Error, ::http::Uri};"), ["1: poem::Error", "1: http::Uri"]);
    }

    #[test]
    fn paths_in_the_code_are_found_and_local_names_are_not() {
        let text = "fn a(b: Vec<sea_orm::Value>) -> crate::api::Answer {\n u16::MAX; http::get(); self::c()\n}";
        assert_eq!(
            found(text),
            ["1: sea_orm::Value", "1: crate::api::Answer", "2: http::get", "2: crate::domain::services::token::c"]
        );
        assert_eq!(found("use crate::edge::http;\nfn a() { http::get() }"), ["1: crate::edge::http"]);
        assert_eq!(found("mod http;\nfn a() -> impl Sized + use<'_> { http::get() }"), Vec::<String>::new());
    }

    #[test]
    fn super_is_where_it_leads() {
        assert_eq!(found("use super::super::api;"), ["1: crate::domain::api"]);
        assert_eq!(found("use super::*;"), ["1: crate::domain::services"]);
        assert_eq!(found("use self::super::x;"), ["1: crate::domain::services::x"]);
    }

    #[test]
    fn comments_and_literals_are_no_code() {
        let text = "// use poem::A;\n/* use poem::B; /* nested */ use poem::C; */\n//! `poem::D`\n\
                    const A: &str = \"use poem::E; \\\" poem::F\";\nconst B: &str = r#\"poem::G \" poem::H\"#;\n\
                    const C: [char; 3] = ['\"', '\\'', '가'];\nfn d<'a, 'b>(e: &'a poem::I, f: &'b str) {}\n";
        assert_eq!(found(text), ["7: poem::I"]);
    }

    #[test]
    fn test_only_code_is_left_out() {
        let text = "#[cfg(test)]\n#[path = \"x\"]\nmod tests {\n use poem::A;\n fn a() { poem::b() }\n}\nuse http::Uri;\n\
                    #[cfg(test)]\nuse poem::{B, C};\n#[cfg(all(test, unix))]\nfn d(e: [poem::E; 1]) -> poem::F { poem::G }\n\
                    #[cfg(not(test))]\nuse poem::H;\n#[cfg(test)] mod contract;\n";
        assert_eq!(found(text), ["7: http::Uri", "13: poem::H"]);
        assert_eq!(find(text, &[], &BTreeSet::new()).test_modules, ["contract"]);
        assert_eq!(found("#![cfg(test)]\nuse poem::A;"), Vec::<String>::new());
    }
}
