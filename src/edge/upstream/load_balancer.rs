//! Chooses an endpoint: round robin, per core and service.

use std::cell::Cell;

/// The next of `candidates`, by the `cursor`.
pub(crate) fn round_robin<'c, T>(candidates: &'c [T], cursor: &Cell<usize>) -> Option<&'c T> {
    let chosen = cursor.get().checked_rem(candidates.len())?;
    cursor.set(chosen + 1);
    candidates.get(chosen)
}

/// The next candidate that is not `unfit`. Does not advance the cursor; otherwise every fallback would make the dead
/// endpoint first choice again.
pub(crate) fn next_excluding<'c, T>(
    candidates: &'c [T],
    cursor: &Cell<usize>,
    unfit: impl Fn(&T) -> bool,
) -> Option<&'c T> {
    let first = cursor.get().checked_rem(candidates.len())?;
    let (before, after) = candidates.split_at(first);
    after.iter().chain(before).find(|candidate| !unfit(candidate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_chosen_round_robin() {
        let cursor = Cell::new(0);
        let chosen: Vec<_> = (0..5).filter_map(|_| round_robin(&['a', 'b', 'c'], &cursor)).collect();
        assert_eq!(chosen, [&'a', &'b', &'c', &'a', &'b']);
        cursor.set(usize::MAX);
        assert!(round_robin(&['a', 'b'], &cursor).is_some());
        assert_eq!(round_robin::<char>(&[], &cursor), None);
    }

    #[test]
    fn a_fallback_does_not_advance_the_cursor() {
        let cursor = Cell::new(0);
        assert_eq!(round_robin(&['a', 'b'], &cursor), Some(&'a'));
        assert_eq!(next_excluding(&['a', 'b'], &cursor, |&c| c == 'a'), Some(&'b'));
        assert_eq!(round_robin(&['a', 'b'], &cursor), Some(&'b'));
        assert_eq!(next_excluding(&['a'], &cursor, |&c| c == 'a'), None);
        assert_eq!(next_excluding::<char>(&[], &cursor, |_| false), None);
    }
}
