//! What only a few of a core may have at a time, because it costs memory.

use std::{cell::Cell, thread::LocalKey};

/// How many of a core have it.
pub(crate) type Count = LocalKey<Cell<usize>>;

/// That one of them has it, until this is dropped.
#[derive(Debug)]
pub(crate) struct OneOf(&'static Count);

impl OneOf {
    /// `None` if so many have it already.
    pub(crate) fn at_most(most: usize, count: &'static Count) -> Option<Self> {
        (count.get() < most).then(|| {
            count.set(count.get() + 1);
            Self(count)
        })
    }
}

impl Drop for OneOf {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! {
        static COUNT: Cell<usize> = const { Cell::new(0) };
    }

    #[test]
    fn whoever_comes_too_late_gets_what_another_gives_back() {
        let (one, two) = (OneOf::at_most(2, &COUNT), OneOf::at_most(2, &COUNT));
        assert!(one.is_some() && two.is_some() && OneOf::at_most(2, &COUNT).is_none());
        drop(one);
        assert!(OneOf::at_most(2, &COUNT).is_some());
        drop(two);
        assert_eq!(COUNT.get(), 0);
    }
}
