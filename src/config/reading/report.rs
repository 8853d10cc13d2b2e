//! All mistakes in the settings, in words for the person who wrote them. Each says what a setting must be, then its
//! value, then how to repair it: `PORT must be 0 to 65535, not "80801"`. Contains no secret: the code that notes a
//! mistake decides which part of a value may be shown.

use std::fmt;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    place: String,
    problem: String,
}

impl Mistake {
    /// `place` names the variable, or the file and line, and is the subject of the sentence; `problem` is the rest of
    /// it: `must be …`, `needs …`, `must not …`.
    pub(in crate::config) fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into() }
    }

    /// The variable, or the file and line.
    pub fn place(&self) -> &str {
        self.place.trim_end_matches(':')
    }

    /// The rest of the sentence.
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.place, self.problem)
    }
}

/// Every mistake in the settings: at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(pub(in crate::config) Vec<Mistake>);

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

/// The reason why a URL is not shown: it may be `http://user:password@host`.
pub(in crate::config) const MAY_HOLD_PASSWORD: &str = "it may hold a password";

/// The problem of a value that breaks `rule`. A value with an `@` may contain a password and is not shown.
pub(in crate::config) fn broken(rule: &str, value: &str) -> String {
    if value.contains('@') { broken_by_hidden(rule, MAY_HOLD_PASSWORD) } else { broken_by(rule, &quoted(value)) }
}

/// The problem of a value that breaks `rule` and is not shown, for a `reason`.
pub(in crate::config) fn broken_by_hidden(rule: &str, reason: &str) -> String {
    format!("{rule}; its value is not shown because {reason}")
}

/// The problem of a value that breaks `rule`. The rule says what the value must be, and after the first `; ` how to
/// repair it: `must be a number; write digits` becomes `must be a number, not "80a"; write digits`.
pub(in crate::config) fn broken_by(rule: &str, shown: &str) -> String {
    match rule.split_once("; ") {
        None => format!("{rule}, not {shown}"),
        Some((rule, hint)) => format!("{rule}, not {shown}; {hint}"),
    }
}

/// The problem of a value in a file that breaks `rule`, as the file or a debugger writes it. It is hidden and truncated as
/// any other value.
pub(in crate::config) fn broken_by_source(rule: &str, source: &str) -> String {
    const LONGEST: usize = 80;
    if source.contains('@') {
        return broken_by_hidden(rule, MAY_HOLD_PASSWORD);
    }
    match source.char_indices().nth(LONGEST) {
        None => broken_by(rule, source),
        Some((end, _)) => broken_by(rule, &format!("{}…", &source[..end])),
    }
}

/// A value in quotes: control characters are escaped, and a long value is truncated.
pub(in crate::config) fn quoted(value: &str) -> String {
    const LONGEST: usize = 80;
    match value.char_indices().nth(LONGEST) {
        None => format!("{value:?}"),
        Some((end, _)) => format!("{:?}…", &value[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_says_how_many_and_shows_each() {
        let port = Mistake::new("PORT", broken("must be a number", "80a"));
        assert_eq!(
            Mistakes(vec![port.clone()]).to_string(),
            "One setting needs your attention:\n  - PORT must be a number, not \"80a\""
        );
        assert!(Mistakes(vec![port.clone(), port]).to_string().starts_with("2 settings need your attention:\n"));
    }

    #[test]
    fn the_value_comes_after_the_rule_and_before_the_hint() {
        let rule = "must be a number; write digits; no sign";
        assert_eq!(broken(rule, "80a"), "must be a number, not \"80a\"; write digits; no sign");
        assert_eq!(
            broken_by_hidden(rule, "it is secret"),
            format!("{rule}; its value is not shown because it is secret")
        );
    }

    #[test]
    fn a_value_cannot_forge_a_line_fill_the_screen_or_give_a_password_away() {
        assert_eq!(broken("must be a", "a\nb"), "must be a, not \"a\\nb\"");
        assert_eq!(broken("must be a", &"가".repeat(81)), format!("must be a, not \"{}\"…", "가".repeat(80)));
        assert_eq!(
            broken("must be a URL", "http://user:hunter2@host"),
            "must be a URL; its value is not shown because it may hold a password"
        );
        let source = broken_by_source("must be a", &"x".repeat(81));
        assert_eq!(source, format!("must be a, not {}…", "x".repeat(80)));
        assert!(!broken_by_source("must be a name", "\"http://u:hunter2@host\"").contains("hunter2"));
    }
}
