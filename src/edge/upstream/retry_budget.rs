//! How much may be sent again: a fifth of what was sent. When all instances fail, retries must not double the load.

use std::cell::Cell;

/// What one retry costs, with each request paying in one: 20 %.
const COST: u32 = 5;

/// What can be saved up: a burst of this many retries.
const MOST: u32 = 20 * COST;

/// A core's account.
#[derive(Debug)]
pub(crate) struct RetryBudget(Cell<u32>);

impl Default for RetryBudget {
    fn default() -> Self {
        // Something to begin with, so that the first requests after a start can be saved, too.
        Self(Cell::new(MOST / 2))
    }
}

impl RetryBudget {
    /// A request was sent.
    pub(crate) fn deposit(&self) {
        self.0.set((self.0.get() + 1).min(MOST));
    }

    /// Whether one more retry is affordable; if so, it is paid for.
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
    fn a_fifth_of_the_requests_may_be_sent_again() {
        let budget = RetryBudget::default();
        while budget.withdraw() {}
        let retried = (0..1000).filter(|_| {
            budget.deposit();
            budget.withdraw()
        });
        assert_eq!(retried.count(), 200);
    }

    #[test]
    fn what_is_saved_up_has_a_limit() {
        let budget = RetryBudget::default();
        (0..10_000).for_each(|_| budget.deposit());
        assert_eq!((0..100).filter(|_| budget.withdraw()).count(), 20);
    }
}
