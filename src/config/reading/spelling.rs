//! Whether two names are equal except for a typing error.

/// Whether one name is a misspelling of another; case does not count.
pub(in crate::config) fn is_near(name: &str, known: &str) -> bool {
    /// Short names have many neighbours with other meanings: one error there, more in longer names.
    const SLIPS: [(usize, usize); 2] = [(7, 1), (12, 2)];
    let slips = SLIPS.iter().find(|(longest, _)| known.len() <= *longest).map_or(3, |(_, slips)| *slips);
    strsim::osa_distance(&name.to_uppercase(), &known.to_uppercase()) <= slips
}
