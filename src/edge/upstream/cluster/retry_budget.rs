//! Limits retries to a fifth of the requests sent. When all endpoints fail, retries must not double the load.

use std::cell::Cell;

/// The cost of one retry; each request pays in one: 20 %.
const COST: u32 = 5;

/// The most that can be saved: a burst of this many retries.
const MOST: u32 = 20 * COST;

/// The retry budget of a core.
#[derive(Debug)]
pub(crate) struct RetryBudget(Cell<u32>);

impl Default for RetryBudget {
    fn default() -> Self {
        // Not empty at first, so that the first requests after a start can be retried, too.
        Self(Cell::new(MOST / 2))
    }
}

impl RetryBudget {
    /// Pays in for a request that was sent.
    pub(crate) fn deposit(&self) {
        self.0.set((self.0.get() + 1).min(MOST));
    }

    /// Whether one more retry is affordable; if so, pays for it.
    pub(crate) fn withdraw(&self) -> bool {
        let left = self.0.get().checked_sub(COST);
        if let Some(left) = left {
            self.0.set(left);
        }
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_requests_may_be_retried() {
        let budget = RetryBudget::default();
        while budget.withdraw() {}
        let retried = (0..1000).filter(|_| {
            budget.deposit();
            budget.withdraw()
        });
        assert_eq!(retried.count(), 200);
    }

    #[test]
    fn savings_are_limited() {
        let budget = RetryBudget::default();
        (0..10_000).for_each(|_| budget.deposit());
        assert_eq!((0..100).filter(|_| budget.withdraw()).count(), 20);
    }
}
