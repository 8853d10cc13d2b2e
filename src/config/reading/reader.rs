//! Reads variables and notes every mistake, so that all of them can be reported at once.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr, time::Duration};

use super::{
    certificate::Unfit,
    file::FileReader,
    report::{MAY_HOLD_PASSWORD, Mistake, Mistakes, broken, broken_by_hidden},
    source::Sources,
    units,
};
use crate::config::variables::{Fallback, GATEWAY_ENV, Variable};

/// Reads variables. A result of `None` means that a mistake was noted.
pub(in crate::config) struct Reader<'s> {
    sources: &'s Sources,
    mistakes: Vec<Mistake>,
    file: Option<FileReader<'s>>,
}

impl<'s> Reader<'s> {
    /// Starts with earlier mistakes: unreadable files.
    pub(in crate::config) fn new(sources: &'s Sources) -> Self {
        Self { sources, mistakes: sources.mistakes().to_vec(), file: None }
    }

    /// The settings, unless a mistake was noted.
    pub(in crate::config) fn finish<T>(mut self, settings: Option<T>) -> Result<T, Mistakes> {
        self.mistakes.extend(self.file.take().into_iter().flat_map(FileReader::into_mistakes));
        settings.filter(|_| self.mistakes.is_empty()).ok_or(Mistakes(self.mistakes))
    }

    /// The text of a variable, if it is set.
    pub(in crate::config) fn value(&self, variable: &Variable) -> Option<&'s str> {
        self.sources.value(variable.name)
    }

    /// The names of all variables, ours and others'.
    pub(in crate::config) fn names(&self) -> impl Iterator<Item = &'s str> + use<'s> {
        self.sources.names().into_iter()
    }

    /// `gateway.toml`; an empty one if there is none.
    pub(in crate::config) fn file(&mut self) -> &mut FileReader<'s> {
        self.file.get_or_insert_with(|| FileReader::of(self.sources.routes()))
    }

    /// The mistakes in the certificate's files, if they were validated.
    pub(in crate::config) fn unfit_tls_files(&self) -> &'s [Unfit] {
        self.sources.unfit_tls_files()
    }

    /// Reads a variable, or its default text.
    pub(in crate::config) fn read<T>(
        &mut self,
        variable: &Variable,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let fallback = match variable.fallback {
            Fallback::Text(text) => text,
            Fallback::Derived(_) => "",
        };
        self.read_or(variable, fallback, parse)
    }

    /// Reads a variable; `fallback` is its default.
    pub(in crate::config) fn read_or<T>(
        &mut self,
        variable: &Variable,
        fallback: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.value(variable).unwrap_or(fallback);
        let outcome = if text.chars().any(is_unfit) {
            Err("must be UTF-8 without control characters".to_owned())
        } else {
            parse(text)
        };
        outcome.map_err(|rule| self.wrong(variable, rule)).ok()
    }

    /// Reads a variable that may have several lines, such as a key in PEM.
    pub(in crate::config) fn read_lines<T>(
        &mut self,
        variable: &Variable,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.value(variable).unwrap_or_default();
        let outcome = if text.chars().any(|c| is_unfit(c) && !matches!(c, '\r' | '\n')) {
            Err("must be UTF-8 without control characters other than line ends".to_owned())
        } else {
            parse(text)
        };
        outcome.map_err(|rule| self.wrong(variable, rule)).ok()
    }

    /// Reads a duration within `bounds`.
    pub(in crate::config) fn duration(
        &mut self,
        variable: &Variable,
        bounds: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        self.read(variable, |text| {
            units::duration(text).filter(|duration| bounds.contains(duration)).ok_or_else(|| {
                let (least, most) = (units::show(*bounds.start()), units::show(*bounds.end()));
                format!("must be a duration from {least} to {most}, such as {}", variable.fallback.words())
            })
        })
    }

    /// Reads a whole number within `bounds`.
    pub(in crate::config) fn number<T: FromStr + PartialOrd + Display>(
        &mut self,
        variable: &Variable,
        bounds: RangeInclusive<T>,
    ) -> Option<T> {
        self.read(variable, |text| {
            text.parse()
                .ok()
                .filter(|number| bounds.contains(number))
                .ok_or_else(|| format!("must be {} to {}", bounds.start(), bounds.end()))
        })
    }

    /// Notes that a variable's value, or its default, breaks a rule: `must be …`, and perhaps `; ` and a hint.
    pub(in crate::config) fn wrong(&mut self, variable: &Variable, rule: impl Into<String>) {
        let rule: String = rule.into();
        let problem = match self.value(variable) {
            None => rule,
            Some(_) if variable.secret => broken_by_hidden(&rule, why_secret(variable)),
            Some(value) => broken(&rule, value),
        };
        self.note(Mistake::new(self.sources.place(variable.name), problem));
    }

    /// Notes that a variable is required but not set; `why` continues the sentence.
    pub(in crate::config) fn required(&mut self, variable: &Variable, why: impl Display) {
        self.note(Mistake::new(self.sources.place(variable.name), format!("is required {why}")));
    }

    /// Notes that production needs another value, how to repair it, and why this is production if `GATEWAY_ENV` is not
    /// set.
    pub(in crate::config) fn wrong_in_production(&mut self, variable: &Variable, need: &str, hint: &str) {
        let is_implied = self.value(&GATEWAY_ENV).is_none();
        let because = if is_implied { " (GATEWAY_ENV is not set, so this is production)" } else { "" };
        if self.value(variable).is_none() {
            self.required(variable, format!("in production{because}: {need}; {hint}"));
        } else {
            self.wrong(variable, format!("must be {need} in production{because}; {hint}"));
        }
    }

    /// Notes a mistake.
    pub(in crate::config) fn note(&mut self, mistake: Mistake) {
        self.mistakes.push(mistake);
    }

    /// The value of a variable without a row of its own (`<NAME>_SERVICE_URL`), and its name in mistakes.
    pub(in crate::config) fn value_and_place(&self, name: &str) -> Option<(&'s str, String)> {
        self.sources.value(name).map(|value| (value, self.sources.place(name)))
    }
}

/// Why the value of a secret variable is not shown.
fn why_secret(variable: &Variable) -> &'static str {
    if variable.name.ends_with("_URL") { MAY_HOLD_PASSWORD } else { "it is secret" }
}

/// Whether this character is invalid in a value. The replacement character stands for invalid UTF-8.
fn is_unfit(c: char) -> bool {
    c.is_control() || c == char::REPLACEMENT_CHARACTER
}

/// Parses one of a few words.
pub(in crate::config) fn one_of<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        format!("must be {}", alternatives(&words))
    })
}

/// `a, b or c`
fn alternatives(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [others @ .., last] => format!("{} or {last}", others.join(", ")),
    }
}

/// The entries of a list that is separated by commas. Blanks around entries and a comma at the end do not matter.
pub(in crate::config) fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}
