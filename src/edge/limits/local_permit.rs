//! Per-core permits for things that cost memory.

use std::{cell::Cell, thread::LocalKey};

/// How many permits a core has given out.
pub(crate) type Count = LocalKey<Cell<usize>>;

/// A held permit; dropping it releases it.
#[derive(Debug)]
pub(crate) struct LocalPermit(&'static Count);

impl LocalPermit {
    /// A permit; `None` if `most` are held already.
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
    fn a_released_permit_can_be_acquired_again() {
        let (one, two) = (LocalPermit::try_acquire(2, &COUNT), LocalPermit::try_acquire(2, &COUNT));
        assert!(one.is_some() && two.is_some() && LocalPermit::try_acquire(2, &COUNT).is_none());
        drop(one);
        assert!(LocalPermit::try_acquire(2, &COUNT).is_some());
        drop(two);
        assert_eq!(COUNT.get(), 0);
    }
}
