//! Quotes names in statements.

/// Quotes an identifier, whatever characters it contains.
pub(super) fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
