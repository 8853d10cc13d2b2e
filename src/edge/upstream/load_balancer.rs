//! Chooses an endpoint: round robin, per core and service.

use std::cell::Cell;

/// The next of `candidates`, by the cursor `turn`.
pub(crate) fn round_robin<'c, T>(candidates: &'c [T], turn: &Cell<usize>) -> Option<&'c T> {
    let chosen = turn.get().checked_rem(candidates.len())?;
    turn.set(chosen + 1);
    candidates.get(chosen)
}

/// The next candidate that is not `unfit`. Does not advance the cursor; otherwise every fallback would make the dead
/// endpoint first choice again.
pub(crate) fn next_excluding<'c, T>(
    candidates: &'c [T],
    turn: &Cell<usize>,
    unfit: impl Fn(&T) -> bool,
) -> Option<&'c T> {
    let first = turn.get().checked_rem(candidates.len())?;
    let (before, after) = candidates.split_at(first);
    after.iter().chain(before).find(|candidate| !unfit(candidate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_chosen_round_robin() {
        let turn = Cell::new(0);
        let chosen: Vec<_> = (0..5).filter_map(|_| round_robin(&['a', 'b', 'c'], &turn)).collect();
        assert_eq!(chosen, [&'a', &'b', &'c', &'a', &'b']);
        turn.set(usize::MAX);
        assert!(round_robin(&['a', 'b'], &turn).is_some());
        assert_eq!(round_robin::<char>(&[], &turn), None);
    }

    #[test]
    fn a_fallback_does_not_advance_the_cursor() {
        let turn = Cell::new(0);
        assert_eq!(round_robin(&['a', 'b'], &turn), Some(&'a'));
        assert_eq!(next_excluding(&['a', 'b'], &turn, |&c| c == 'a'), Some(&'b'));
        assert_eq!(round_robin(&['a', 'b'], &turn), Some(&'b'));
        assert_eq!(next_excluding(&['a'], &turn, |&c| c == 'a'), None);
        assert_eq!(next_excluding::<char>(&[], &turn, |_| false), None);
    }
}
