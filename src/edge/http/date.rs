//! The value of `Date` (RFC 9110 §6.6.1), formatted once a second.

use std::cell::{Cell, RefCell};

use chrono::{DateTime, Utc};

/// A core's last `Date`.
#[derive(Debug, Default)]
pub(crate) struct HttpDate {
    second: Cell<Option<i64>>,
    text: RefCell<String>,
}

impl HttpDate {
    /// Calls `use_it` with the text of `now`.
    pub(crate) fn with<T>(&self, now: DateTime<Utc>, use_it: impl FnOnce(&str) -> T) -> T {
        if self.second.replace(Some(now.timestamp())) != Some(now.timestamp()) {
            *self.text.borrow_mut() = now.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        }
        use_it(&self.text.borrow())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_the_form_of_the_standard_and_follows_the_clock() {
        let date = HttpDate::default();
        let at = |seconds| date.with(DateTime::from_timestamp(seconds, 999_000_000).unwrap(), str::to_owned);
        assert_eq!(at(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(at(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(at(784_111_778), "Sun, 06 Nov 1994 08:49:38 GMT");
        assert_eq!(at(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    }
}
