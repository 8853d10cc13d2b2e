//! The wall clock: the one place that reads it.

use chrono::{DateTime, Utc};

use crate::ports::Clock;

/// The time of this machine.
pub struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_does_not_run_backwards() {
        let before = WallClock.now();
        assert!(before <= WallClock.now() && before.timestamp() > 1_700_000_000);
    }
}
