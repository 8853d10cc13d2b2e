//! A line that is being written: texts and numbers, straight into the block of lines, without a text of their own in between.

use std::{borrow::Cow, fmt::Display, io::Write, time::Duration};

/// The longest path that is written out.
pub(crate) const MAX_PATH: usize = 1024;

/// The longest name of a caller that is written out.
const MAX_NAME: usize = 64;

/// See the module.
pub(crate) struct Line<'l> {
    into: &'l mut Vec<u8>,
}

impl<'l> Line<'l> {
    /// One that stands behind what is there already.
    pub(crate) fn behind(into: &'l mut Vec<u8>) -> Self {
        Self { into }
    }

    /// A text as it is.
    pub(crate) fn raw(&mut self, text: &str) {
        self.into.extend_from_slice(text.as_bytes());
    }

    /// What shows itself, such as an address.
    pub(crate) fn shown(&mut self, value: impl Display) {
        // A `Vec` takes everything.
        let _ = write!(self.into, "{value}");
    }

    /// A path of a request, in a form that can be logged.
    pub(crate) fn path(&mut self, path: &str) {
        self.raw(&loggable(path));
    }

    /// A name as it may stand in a log: what does not print, and quotes and backslashes, give way to `?`.
    pub(crate) fn name(&mut self, name: &str) {
        let is_bad =
            |c: char| c.is_control() || matches!(c, '"' | '\\' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        for c in name.chars().take(MAX_NAME) {
            let shown = if is_bad(c) { '?' } else { c };
            self.raw(shown.encode_utf8(&mut [0; 4]));
        }
    }

    /// A number with at least so many digits.
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

    /// A duration to the microsecond: more digits would be noise.
    pub(crate) fn milliseconds(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.digits(micros / 1000, 1);
        self.raw(".");
        self.digits(micros % 1000, 3);
    }
}

/// A path as it may stand in a log: of printable ASCII, without quotes and backslashes, and not too long.
pub(crate) fn loggable(path: &str) -> Cow<'_, str> {
    let printable = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    if path.len() <= MAX_PATH && path.bytes().all(printable) {
        return Cow::Borrowed(path);
    }
    let mut escaped = String::new();
    for c in path.chars().take(MAX_PATH) {
        match u8::try_from(c) {
            Ok(byte) if printable(byte) => escaped.push(c),
            // A backslash would begin an escape of JSON's own.
            _ => escaped.extend(c.escape_unicode().map(|c| if c == '\\' { '%' } else { c })),
        }
    }
    if path.chars().count() > MAX_PATH {
        escaped.push('…');
    }
    Cow::Owned(escaped)
}
