//! The time at which a request ended, as its line shows it. Within the last written second, the time is derived from
//! the request's own `Instant`, which is taken anyway: the clock is read once a second.

use std::{cell::RefCell, sync::Arc, time::Instant};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::line::Line;
use crate::{config::LogFormat, ports::Clock};

/// Formats the times of the access log.
pub(crate) struct Times {
    clock: Arc<dyn Clock>,
    format: LogFormat,
    timezone: Tz,
    second: RefCell<Option<Second>>,
}

impl Times {
    /// Times are in UTC for machines, and in this zone for people.
    pub(crate) fn new(clock: Arc<dyn Clock>, format: LogFormat, timezone: Tz) -> Self {
        Self { clock, format, timezone, second: RefCell::default() }
    }

    /// Writes the second and a point. Returns how many microseconds of the second have passed.
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
    /// How many microseconds of the second had passed when the clock was read.
    micros: u64,
}

impl Second {
    fn of(text: String, time: DateTime<Utc>, read: Instant) -> Self {
        Self { text, read, micros: time.timestamp_subsec_micros().into() }
    }

    /// How many microseconds have passed by then, if the second is not over.
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
    fn the_clock_is_not_read_again_until_the_second_is_over() {
        let read = Instant::now();
        let second = Second::of("00:00:01.".to_owned(), DateTime::from_timestamp(1, 400_000_000).unwrap(), read);
        let after = |millis| second.micros_at(read + Duration::from_millis(millis));
        assert_eq!((second.text.as_str(), after(0), after(599)), ("00:00:01.", Some(400_000), Some(999_000)));
        assert_eq!(after(600), None);
    }
}
