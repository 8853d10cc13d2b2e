//! A line under construction: texts and numbers are written straight into the block of lines, without intermediate
//! strings.

use std::{borrow::Cow, fmt::Display, io::Write, time::Duration};

/// The longest path that is written in full.
pub(crate) const MAX_PATH: usize = 1024;

/// The longest name of a caller that is written in full.
const MAX_NAME: usize = 64;

/// A line under construction.
pub(crate) struct Line<'l> {
    into: &'l mut Vec<u8>,
}

impl<'l> Line<'l> {
    /// A line after the existing ones.
    pub(crate) fn behind(into: &'l mut Vec<u8>) -> Self {
        Self { into }
    }

    /// Writes a text unchanged.
    pub(crate) fn raw(&mut self, text: &str) {
        self.into.extend_from_slice(text.as_bytes());
    }

    /// Writes the `Display` form of a value, such as an address.
    pub(crate) fn shown(&mut self, value: impl Display) {
        // Writing to a `Vec` cannot fail.
        let _ = write!(self.into, "{value}");
    }

    /// Writes a request's path, in a form that is safe to log.
    pub(crate) fn path(&mut self, path: &str) {
        self.raw(&loggable(path));
    }

    /// Writes a name in a form that is safe to log: unprintable characters, quotes and backslashes become `?`.
    pub(crate) fn name(&mut self, name: &str) {
        let is_bad =
            |c: char| c.is_control() || matches!(c, '"' | '\\' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        for c in name.chars().take(MAX_NAME) {
            let shown = if is_bad(c) { '?' } else { c };
            self.raw(shown.encode_utf8(&mut [0; 4]));
        }
    }

    /// Writes a number with at least `least` digits.
    pub(crate) fn digits(&mut self, number: u64, least: usize) {
        let mut digits = [b'0'; 20];
        let mut at = digits.len();
        let mut rest = number;
        while rest > 0 {
            at -= 1;
            digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
        }
        self.into.extend_from_slice(&digits[at.min(digits.len() - least)..]);
    }

    /// Writes a duration to the microsecond: more digits would be noise.
    pub(crate) fn milliseconds(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.digits(micros / 1000, 1);
        self.raw(".");
        self.digits(micros % 1000, 3);
    }
}

/// A path in a form that is safe to log: printable ASCII, without quotes and backslashes, and not too long.
pub(crate) fn loggable(path: &str) -> Cow<'_, str> {
    let printable = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    if path.len() <= MAX_PATH && path.bytes().all(printable) {
        return Cow::Borrowed(path);
    }
    let mut escaped = String::new();
    for c in path.chars().take(MAX_PATH) {
        match u8::try_from(c) {
            Ok(byte) if printable(byte) => escaped.push(c),
            // A backslash would begin a JSON escape.
            _ => escaped.extend(c.escape_unicode().map(|c| if c == '\\' { '%' } else { c })),
        }
    }
    if path.chars().count() > MAX_PATH {
        escaped.push('…');
    }
    Cow::Owned(escaped)
}
