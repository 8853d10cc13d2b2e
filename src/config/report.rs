//! All mistakes in the settings, in words for the person who wrote them. Contains no secret: the code that notes a
//! mistake decides which part of a value may be shown.

use std::fmt;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    place: String,
    problem: String,
    rule: String,
}

impl Mistake {
    /// `place` names the variable, or the file and line; `problem` describes the value (`is "80a"`); `rule` the
    /// expected value.
    pub(super) fn new(place: impl Into<String>, problem: impl Into<String>, rule: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into(), rule: rule.into() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.place, self.problem, self.rule)
    }
}

/// Every mistake in the settings: at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(pub(super) Vec<Mistake>);

impl Mistakes {
    /// One mistake after another, in the order in which the settings are read.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.0.iter()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("One setting needs your attention:")?,
            many => write!(f, "{many} settings need your attention:")?,
        }
        for mistake in &self.0 {
            write!(f, "\n  - {mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// A value in a mistake: quoted, with control characters escaped, truncated if long. A value with an `@` may contain a
/// password (`http://user:password@host`) and is not shown.
pub(super) fn shown(value: &str) -> String {
    const LONGEST: usize = 80;
    if value.contains('@') {
        return "has a value with an @ in it, which is not shown here".to_owned();
    }
    match value.char_indices().nth(LONGEST) {
        None => format!("is {value:?}"),
        Some((end, _)) => format!("is {:?}…", &value[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_says_how_many_and_shows_each() {
        let port = Mistake::new("PORT", shown("80a"), "a number");
        assert_eq!(
            Mistakes(vec![port.clone()]).to_string(),
            "One setting needs your attention:\n  - PORT is \"80a\": a number"
        );
        assert!(Mistakes(vec![port.clone(), port]).to_string().starts_with("2 settings need your attention:\n"));
    }

    #[test]
    fn a_value_cannot_forge_a_line_fill_the_screen_or_give_a_password_away() {
        assert_eq!(shown("a\nb"), "is \"a\\nb\"");
        assert_eq!(shown(&"가".repeat(81)), format!("is \"{}\"…", "가".repeat(80)));
        assert!(!shown("http://user:hunter2@host").contains("hunter2"));
    }
}
