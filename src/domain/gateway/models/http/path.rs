//! Paths in the one form in which they are matched and sent, and the other ways in which a server may read them.
//!
//! In that form, a character that may stand unescaped in a path does so (RFC 3986 §3.3), and every other is
//! percent-encoded in upper case. So two paths that decode to the same characters are the same text, and matching the
//! text matches the decoded path.

use std::{
    collections::BTreeSet,
    fmt::{self, Write},
    str::FromStr,
};

use thiserror::Error;

/// Whether a byte may stand unescaped in a path: RFC 3986's `pchar` without `;`, which servers read in different ways.
pub fn stands_for_itself(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',')
        || matches!(byte, b'=' | b':' | b'@')
}

/// The text is not a path prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "a path must begin with / and must not have a / at its end, an empty segment, a dot segment or any of % ? # \\ ; in it; its characters are not percent-encoded"
)]
pub struct InvalidPrefix;

/// A path prefix that ends at a segment boundary: `/api/users` matches `/api/users` and `/api/users/1`, not
/// `/api/usersettings`. The root is the empty prefix. It is written decoded and stored in the form of this module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathPrefix(String);

impl PathPrefix {
    /// The prefix: empty, or `/…` without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part of `path` after this prefix (empty or beginning with `/`), if the prefix matches.
    pub fn rest<'p>(&self, path: &'p str) -> Option<&'p str> {
        path.strip_prefix(self.0.as_str()).filter(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The part of this prefix below `above`, if `above` is a prefix of it.
    pub fn below(&self, above: &Self) -> Option<Self> {
        above.rest(&self.0).map(|rest| Self(rest.to_owned()))
    }

    /// The prefix as a case-insensitive server sees it.
    pub fn without_case(&self) -> String {
        without_case(&self.0)
    }

    /// The prefix extended by one segment.
    pub(in crate::domain::gateway::models) fn join(&self, segment: &str) -> Self {
        Self(format!("{}/{segment}", self.0))
    }
}

impl FromStr for PathPrefix {
    type Err = InvalidPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidPrefix> {
        if text.is_empty() || text == "/" {
            return Ok(Self(String::new()));
        }
        let segments = text.strip_prefix('/').ok_or(InvalidPrefix)?;
        let good = |segment: &str| {
            !matches!(segment, "" | "." | "..")
                && segment.trim() == segment
                && !segment.chars().any(|c| c.is_control() || matches!(c, '%' | '?' | '#' | '\\' | ';'))
        };
        if !segments.split('/').all(good) {
            return Err(InvalidPrefix);
        }
        let mut prefix = String::with_capacity(text.len());
        for byte in text.bytes() {
            if byte == b'/' || stands_for_itself(byte) {
                prefix.push(char::from(byte));
            } else {
                // Writing to a `String` cannot fail.
                let _ = write!(prefix, "%{byte:02X}");
            }
        }
        Ok(Self(prefix))
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "/" } else { &self.0 })
    }
}

/// A part of a path that servers read in different ways. The gateway refuses it unless the route allows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// `%2F`: a character of the segment, or a slash.
    EncodedSlash,
    /// `%5C`: a character of the segment, or a slash.
    EncodedBackslash,
    /// `;`, plain or encoded: a character of the segment, or the beginning of ignored parameters.
    Semicolon,
    /// `//`: an empty segment, or one slash.
    DoubleSlash,
}

impl Spelling {
    /// All of them, with their names in route settings.
    pub const ALL: [(&'static str, Self); 4] = [
        ("encoded-slash", Self::EncodedSlash),
        ("encoded-backslash", Self::EncodedBackslash),
        ("semicolon", Self::Semicolon),
        ("double-slash", Self::DoubleSlash),
    ];

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of spellings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spellings(u8);

impl Spellings {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// Adds a spelling.
    pub fn insert(&mut self, spelling: Spelling) {
        self.0 |= spelling.bit();
    }

    /// Whether the set contains a spelling.
    pub fn contains(self, spelling: Spelling) -> bool {
        self.0 & spelling.bit() != 0
    }

    /// Whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The first spelling of the set that is not in `allowed`.
    pub fn first_not_in(self, allowed: Self) -> Option<Spelling> {
        self.iter().find(|&spelling| !allowed.contains(spelling))
    }

    /// The names of its spellings.
    pub fn names(self) -> Vec<&'static str> {
        Spelling::ALL.into_iter().filter(|&(_, spelling)| self.contains(spelling)).map(|(name, _)| name).collect()
    }

    fn iter(self) -> impl Iterator<Item = Spelling> {
        Spelling::ALL.into_iter().map(|(_, spelling)| spelling).filter(move |&spelling| self.contains(spelling))
    }
}

impl FromIterator<Spelling> for Spellings {
    fn from_iter<T: IntoIterator<Item = Spelling>>(spellings: T) -> Self {
        let mut set = Self::NONE;
        spellings.into_iter().for_each(|spelling| set.insert(spelling));
        set
    }
}

impl fmt::Display for Spellings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(", "))
    }
}

/// A path or prefix as a case-insensitive server reads it, with full case folding for all scripts: one letter may equal
/// two others (`ß` and `ss`, `ﬁ` and `fi`).
pub(in crate::domain::gateway::models) fn without_case(path: &str) -> String {
    let mut folded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        let (before, escapes) = rest.split_at(at);
        folded.extend(before.chars().map(|c| c.to_ascii_lowercase()));
        let (letters, length) = letters(escapes);
        if letters.is_empty() {
            // An ASCII character that is not a letter.
            folded.push('%');
            rest = &escapes[1..];
        } else {
            for letter in letters.chars().flat_map(folded_letter) {
                // `İ` is `i` for some servers, and `i̇` (with a dot above) by the rules of Unicode: so the latter
                // becomes `i`, too.
                if letter != DOT_ABOVE || !folded.ends_with('i') {
                    folded.push(letter);
                }
            }
            rest = &escapes[length..];
        }
    }
    folded.extend(rest.chars().map(|c| c.to_ascii_lowercase()));
    folded
}

/// The character after the `i` in the lower case of `İ`.
const DOT_ABOVE: char = '\u{307}';

/// The non-ASCII characters at the beginning of `escapes`, decoded, and the number of bytes that they take there.
fn letters(escapes: &str) -> (String, usize) {
    let mut bytes = Vec::new();
    let mut rest = escapes;
    while let Some(byte) = rest.strip_prefix('%').and_then(|digits| u8::from_str_radix(digits.get(..2)?, 16).ok())
        && !byte.is_ascii()
    {
        bytes.push(byte);
        rest = &rest[3..];
    }
    (String::from_utf8_lossy(&bytes).into_owned(), escapes.len() - rest.len())
}

/// One form for all characters that a language's case-insensitive comparison treats as equal: `K` (the Kelvin sign) for
/// `k`, `ſ` for `s`, `ı` for `i`.
fn folded_letter(letter: char) -> impl Iterator<Item = char> {
    letter.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

/// Every other path that a server may read `path` as, by interpreting one or more of its spellings differently, in any
/// order.
pub(in crate::domain::gateway::models) fn other_readings(path: &str, mut spellings: Spellings) -> BTreeSet<String> {
    if !spellings.is_empty() {
        // Each of the other spellings may leave two adjacent slashes.
        spellings.insert(Spelling::DoubleSlash);
    }
    let mut readings = BTreeSet::from([path.to_owned()]);
    let mut new: Vec<String> = readings.iter().cloned().collect();
    while let Some(reading) = new.pop() {
        for step in spellings.iter().flat_map(steps) {
            let next = step(&reading);
            if readings.insert(next.clone()) {
                new.push(next);
            }
        }
    }
    readings.remove(path);
    readings
}

type Step = fn(&str) -> String;

/// The transformations that a server may apply to a spelling. Each shortens the path or leaves it alone, so there are
/// few readings.
fn steps(spelling: Spelling) -> &'static [Step] {
    match spelling {
        Spelling::EncodedSlash => &[|path| path.replace("%2F", "/")],
        Spelling::EncodedBackslash => &[|path| path.replace("%5C", "/")],
        Spelling::Semicolon => &[
            |path| path.replace("%3B", ";"),
            |path| {
                let names = path.split('/').map(|segment| segment.split(';').next().unwrap_or_default());
                names.collect::<Vec<_>>().join("/")
            },
        ],
        Spelling::DoubleSlash => &[|path| {
            let mut single = String::with_capacity(path.len());
            for c in path.chars() {
                if c != '/' || !single.ends_with('/') {
                    single.push(c);
                }
            }
            single
        }],
    }
}

#[cfg(test)]
mod tests;
