//! What headers of signed tokens have in common, whoever signed them.

use serde::{Deserialize, Deserializer, de::IgnoredAny};

/// Whether a member is there, whatever its value: `null` is a value, too.
pub(super) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}
