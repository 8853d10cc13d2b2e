//! One line in the log for many failures of the same kind: an outage is an event, not as many as there are requests.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The shortest time between two lines.
const PAUSE: Duration = Duration::from_secs(10);

/// The lines about one kind of failure.
#[derive(Debug)]
pub struct Pace(Mutex<State>);

#[derive(Debug)]
struct State {
    said_at: Option<Instant>,
    unsaid: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self::new()
    }
}

impl Pace {
    /// Nothing was said yet.
    pub const fn new() -> Self {
        Self(Mutex::new(State { said_at: None, unsaid: 0 }))
    }

    /// Counts a failure. Returns the number of failures since the last line, if another line is due.
    pub fn due(&self, now: Instant) -> Option<u64> {
        // Each change is complete in itself.
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.unsaid += 1;
        if state.said_at.is_some_and(|said_at| now.saturating_duration_since(said_at) < PAUSE) {
            return None;
        }
        state.said_at = Some(now);
        Some(std::mem::take(&mut state.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_failures_share_a_line() {
        let (pace, now) = (Pace::new(), Instant::now());
        let due = |seconds| pace.due(now + Duration::from_secs(seconds));
        assert_eq!((due(0), due(1), due(9), due(10), due(30)), (Some(1), None, None, Some(3), Some(1)));
    }
}
