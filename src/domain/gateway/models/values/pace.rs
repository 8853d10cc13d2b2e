//! One line in the log for many events of a kind: an outage is an event, not as many as there are requests.

use std::time::{Duration, Instant};

/// The shortest time between two lines.
const PAUSE: Duration = Duration::from_secs(10);

/// The lines about one kind of event.
#[derive(Debug)]
pub struct Pace {
    said_at: Option<Instant>,
    unsaid: u64,
}

impl Pace {
    /// Nothing was said yet.
    pub const NEW: Self = Self { said_at: None, unsaid: 0 };

    /// Counts an event. Returns the number of events since the last line, if another line is due.
    pub fn due(&mut self, now: Instant) -> Option<u64> {
        self.unsaid += 1;
        if self.said_at.is_some_and(|said_at| now.saturating_duration_since(said_at) < PAUSE) {
            return None;
        }
        self.said_at = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_events_share_a_line() {
        let (mut pace, now) = (Pace::NEW, Instant::now());
        let mut due = |seconds| pace.due(now + Duration::from_secs(seconds));
        assert_eq!((due(0), due(1), due(9), due(10), due(30)), (Some(1), None, None, Some(3), Some(1)));
    }
}
