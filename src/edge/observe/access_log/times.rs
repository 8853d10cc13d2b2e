//! When a request ended, as its line says it. Within the second that was told last, the time follows from the instant that the
//! request has taken note of anyway: the clock is read once a second.

use std::{cell::RefCell, sync::Arc, time::Instant};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::line::Line;
use crate::{config::LogFormat, ports::Clock};

/// See the module.
pub(crate) struct Times {
    clock: Arc<dyn Clock>,
    format: LogFormat,
    timezone: Tz,
    second: RefCell<Option<Second>>,
}

impl Times {
    /// Times are UTC for machines, and of this zone for people.
    pub(crate) fn new(clock: Arc<dyn Clock>, format: LogFormat, timezone: Tz) -> Self {
        Self { clock, format, timezone, second: RefCell::default() }
    }

    /// Writes the second and a point; how many microseconds of the second have passed.
    pub(crate) fn put_second(&self, now: Instant, line: &mut Line<'_>) -> u64 {
        let mut second = self.second.borrow_mut();
        let known = second.as_ref().and_then(|second| second.micros_at(now));
        let micros = known.unwrap_or_else(|| second.insert(self.second_of(self.clock.now(), now)).micros);
        line.raw(second.as_ref().map_or("", |second| &second.text));
        micros
    }

    fn second_of(&self, time: DateTime<Utc>, read: Instant) -> Second {
        let text = match self.format {
            LogFormat::Json => time.format("%Y-%m-%dT%H:%M:%S.").to_string(),
            LogFormat::Text => time.with_timezone(&self.timezone).format("%H:%M:%S.").to_string(),
        };
        Second::of(text, time, read)
    }
}

/// The second that was written last.
struct Second {
    text: String,
    read: Instant,
    /// How far the second had come when the clock was read.
    micros: u64,
}

impl Second {
    fn of(text: String, time: DateTime<Utc>, read: Instant) -> Self {
        Self { text, read, micros: time.timestamp_subsec_micros().into() }
    }

    /// How far it has come by then, if it has not passed.
    fn micros_at(&self, now: Instant) -> Option<u64> {
        let since = u64::try_from(now.saturating_duration_since(self.read).as_micros()).ok()?;
        Some(self.micros + since).filter(|&micros| micros < 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_time_is_told_without_the_clock_until_the_second_is_over() {
        let read = Instant::now();
        let second = Second::of("00:00:01.".to_owned(), DateTime::from_timestamp(1, 400_000_000).unwrap(), read);
        let after = |millis| second.micros_at(read + Duration::from_millis(millis));
        assert_eq!((second.text.as_str(), after(0), after(599)), ("00:00:01.", Some(400_000), Some(999_000)));
        assert_eq!(after(600), None);
    }
}
