//! Header rules that all signed tokens share.

use serde::{Deserialize, Deserializer, de::IgnoredAny};

/// Whether a member exists, with any value: `null` is a value, too.
pub(super) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}
