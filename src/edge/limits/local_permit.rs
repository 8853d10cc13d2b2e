//! What only a few of a core may have at a time, because it costs memory.

use std::{cell::Cell, thread::LocalKey};

/// How many of a core have it.
pub(crate) type Count = LocalKey<Cell<usize>>;

/// That one of them has it, until this is dropped.
#[derive(Debug)]
pub(crate) struct LocalPermit(&'static Count);

impl LocalPermit {
    /// `None` if so many have it already.
    pub(crate) fn try_acquire(most: usize, count: &'static Count) -> Option<Self> {
        (count.get() < most).then(|| {
            count.set(count.get() + 1);
            Self(count)
        })
    }
}

impl Drop for LocalPermit {
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
        let (one, two) = (LocalPermit::try_acquire(2, &COUNT), LocalPermit::try_acquire(2, &COUNT));
        assert!(one.is_some() && two.is_some() && LocalPermit::try_acquire(2, &COUNT).is_none());
        drop(one);
        assert!(LocalPermit::try_acquire(2, &COUNT).is_some());
        drop(two);
        assert_eq!(COUNT.get(), 0);
    }
}
