//! The two things that every half of the gateway needs from outside: the time and random bytes. Both are ports, so that
//! tests can fix them.

use chrono::{DateTime, Utc};

#[cfg(test)]
pub(crate) mod testing;

/// A clock.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> DateTime<Utc>;
}

/// A source of unpredictable random bytes.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

impl dyn Entropy {
    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }
}
