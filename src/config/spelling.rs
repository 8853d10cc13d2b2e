//! Whether two names are the same but for a slip of the pen.

/// Whether one name is written for another by a slip; the case of letters does not count.
pub(super) fn is_near(name: &str, known: &str) -> bool {
    /// Short names have many neighbours that mean something else: one slip there, more in longer ones.
    const SLIPS: [(usize, usize); 2] = [(7, 1), (12, 2)];
    let slips = SLIPS.iter().find(|(longest, _)| known.len() <= *longest).map_or(3, |(_, slips)| *slips);
    strsim::osa_distance(&name.to_uppercase(), &known.to_uppercase()) <= slips
}
