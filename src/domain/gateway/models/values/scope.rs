//! Scope: a set of words (RFC 6749 §3.3).

use std::{collections::BTreeSet, fmt, str::FromStr};

use thiserror::Error;

/// The text is not a list of scope words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "a scope must be a list of words separated by one space; a word must be printable ASCII without quotes and backslashes"
)]
pub struct InvalidScope;

/// A set of scope words, sorted so that equal sets print the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope(BTreeSet<String>);

impl Scope {
    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it contains `word`.
    pub fn contains(&self, word: &str) -> bool {
        self.0.contains(word)
    }

    /// Whether it contains a word of `other`.
    pub fn has_any_of(&self, other: &Scope) -> bool {
        !other.0.is_disjoint(&self.0)
    }

    /// Whether it contains every word of `other`.
    pub fn covers(&self, other: &Scope) -> bool {
        other.0.is_subset(&self.0)
    }
}

impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let allowed = |c: u8| matches!(c, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        text.split(' ')
            .map(|word| (!word.is_empty() && word.bytes().all(allowed)).then(|| word.to_owned()).ok_or(InvalidScope))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, word) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            f.write_str(word)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_a_set() {
        let scope: Scope = "write read write".parse().unwrap();
        assert_eq!(scope.to_string(), "read write");
        assert!(scope.contains("read") && !scope.contains("rea"));
        assert!(scope.covers(&"read".parse().unwrap()) && !scope.covers(&"read admin".parse().unwrap()));
        assert!(scope.has_any_of(&"admin read".parse().unwrap()) && !scope.has_any_of(&"admin".parse().unwrap()));
        assert!(Scope::default().is_empty() && scope.covers(&Scope::default()));
    }

    #[test]
    fn texts_outside_of_the_grammar_are_refused() {
        for text in [" ", "a  b", " a", "a ", "a\"b", "a\\b", "a\tb", "a\nb", "쓰기"] {
            assert_eq!(text.parse::<Scope>(), Err(InvalidScope), "{text:?}");
        }
    }
}
