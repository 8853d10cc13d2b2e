//! `revocation` and `revocation_max_age`: whether a route serves callers while revocations do not arrive.

use std::time::Duration;

use toml::Spanned;

use super::Parser;
use crate::domain::gateway::models::access::Access;

/// The two rules.
const AVAILABLE: &str = "available";
const STRICT: &str = "strict";

/// The default of `revocation_max_age`.
const MAX_AGE: Duration = Duration::from_secs(5);

/// The shortest one: the list is read twice a second.
const LEAST: Duration = Duration::from_secs(1);

/// The accepted words.
pub(super) fn revocation_words() -> Vec<&'static str> {
    vec![AVAILABLE, STRICT]
}

impl Parser<'_, '_> {
    /// How old the last news of revocations may be, if the route is strict; the outer `None` means that a mistake was
    /// noted.
    #[expect(clippy::option_option, reason = "the outer one means that a mistake was noted")]
    pub(super) fn strict_revocation(
        &mut self,
        rule: Option<&Spanned<String>>,
        given_age: Option<&Spanned<String>>,
        access: Option<&Access>,
    ) -> Option<Option<Duration>> {
        let max_age = self.time_limit("revocation_max_age", given_age)?;
        let is_strict = match rule {
            None => false,
            Some(given) => self.field("revocation", given, |text| match text.as_str() {
                AVAILABLE => Ok(false),
                STRICT => Ok(true),
                _ => Err(format!("must be \"{AVAILABLE}\" or \"{STRICT}\"")),
            })?,
        };
        match (rule, given_age) {
            (Some(given), _) if is_strict && access == Some(&Access::Open) => {
                self.note(
                    given,
                    "revocation = \"strict\" must not be set on an open route; nobody's token is checked there",
                );
                None
            }
            (_, Some(given)) if !is_strict => {
                self.note(given, "revocation_max_age has no effect without revocation = \"strict\"");
                None
            }
            (_, Some(given)) if max_age.is_some_and(|age| age < LEAST) => {
                self.note(
                    given,
                    "revocation_max_age must be at least 1s; the list of revocations is read twice a second",
                );
                None
            }
            _ => Some(is_strict.then(|| max_age.unwrap_or(MAX_AGE))),
        }
    }
}
