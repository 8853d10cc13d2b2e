//! How much a document may hold. What is made of it takes several times its memory, and some work on an object grows with the
//! square of its members, so the size in bytes is no bound by itself.

use super::Unreadable;
use crate::json::Json;

/// The most values in a document.
const MOST_VALUES: usize = 250_000;

/// The most members of an object: paths, schemas, properties of one schema.
const MOST_MEMBERS: usize = 2_000;

/// The most parameters of an operation.
const MOST_PARAMETERS: usize = 100;

/// Before a document is read: each value but the first has a comma, a bracket or a brace before it. Those within texts are counted
/// with them.
pub(super) fn check_text(document: &[u8]) -> Result<(), Unreadable> {
    let values = document.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count();
    if values > MOST_VALUES { Err(Unreadable::TooMany("250,000 values")) } else { Ok(()) }
}

/// Once it is read, and once it is upgraded.
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
