//! Bounds for the contents of a document. Processing takes several times its memory, and some work on an object grows
//! with the square of its members, so the size in bytes is not a sufficient bound.

use super::Unreadable;
use crate::json::Json;

/// The maximum number of values in a document.
const MOST_VALUES: usize = 250_000;

/// The maximum number of members in an object: paths, schemas, properties of one schema.
const MOST_MEMBERS: usize = 2_000;

/// The maximum number of parameters in an operation.
const MOST_PARAMETERS: usize = 100;

/// Checked before parsing: each value but the first follows a comma, a bracket or a brace. Those inside texts count,
/// too.
pub(super) fn check_text(document: &[u8]) -> Result<(), Unreadable> {
    let values = document.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count();
    if values > MOST_VALUES { Err(Unreadable::TooMany("250,000 values")) } else { Ok(()) }
}

/// Checked after parsing, and after the upgrade.
pub(super) fn check(document: &Json) -> Result<(), Unreadable> {
    let mut left = MOST_VALUES;
    walk(document, &mut left)
}

fn walk(json: &Json, left: &mut usize) -> Result<(), Unreadable> {
    *left = left.checked_sub(1).ok_or(Unreadable::TooMany("250,000 values"))?;
    if json.members().len() > MOST_MEMBERS {
        return Err(Unreadable::TooMany("2,000 members in an object"));
    }
    for (name, value) in json.members() {
        if name == "parameters" && value.elements().len() > MOST_PARAMETERS {
            return Err(Unreadable::TooMany("100 parameters of an operation"));
        }
        walk(value, left)?;
    }
    json.elements().iter().try_for_each(|element| walk(element, left))
}
