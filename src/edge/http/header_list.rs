//! The headers of one message, in their original order. A message has about a dozen: a linear search costs less than
//! hashing names, and far less than building a map for a few lookups. The values stay in the message's head, and so do
//! whole header lines, which are sent on unchanged.

use std::{fmt, ops::Range};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::field_line::put_header;

/// The headers of one message, in their original order.
#[derive(Clone, Default)]
pub(crate) struct HeaderList {
    lines: Vec<Line>,
    /// The head as it was received.
    head: Bytes,
    /// The values that were added later, one after the other.
    added: Vec<u8>,
}

/// One header of a list.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    name: HeaderName,
    value: Range<usize>,
    storage: Storage,
}

/// The location of a value.
#[derive(Debug, Clone, Copy)]
enum Storage {
    /// In the head, in a line that begins at `line`.
    Head { line: usize },
    /// In the added bytes.
    Added,
}

impl Line {
    /// A header whose line begins at `at` in the head. Its name and value must be valid.
    pub(crate) fn new(name: HeaderName, at: usize, value: Range<usize>) -> Self {
        Self { name, value, storage: Storage::Head { line: at } }
    }

    fn value<'h>(&self, head: &'h [u8], added: &'h [u8]) -> &'h [u8] {
        let text = match self.storage {
            Storage::Head { .. } => head,
            Storage::Added => added,
        };
        text.get(self.value.clone()).unwrap_or_default()
    }

    /// The range of the whole line in the head, with its line end, if it has exactly the format that the gateway
    /// writes.
    fn whole(&self, head: &[u8]) -> Option<Range<usize>> {
        let Storage::Head { line } = self.storage else { return None };
        let (begins, ends) = (self.value.start.checked_sub(2)?, self.value.end + 2);
        let is_plain = head.get(begins..self.value.start)? == b": " && head.get(self.value.end..ends)? == b"\r\n";
        is_plain.then_some(line..ends)
    }
}

impl HeaderList {
    /// The headers of a received head.
    pub(crate) fn new(head: Bytes, lines: Vec<Line>) -> Self {
        Self { lines, head, added: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// All headers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&HeaderName, &[u8])> {
        self.lines.iter().map(|line| (&line.name, self.value(line)))
    }

    /// The values of a name, in order.
    pub(crate) fn all(&self, name: HeaderName) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().filter(move |line| line.name == name).map(|line| self.value(line))
    }

    /// The first value of a name.
    pub(crate) fn get(&self, name: &HeaderName) -> Option<&[u8]> {
        self.line(name).map(|line| self.value(line))
    }

    /// Like [`Self::get`], if the value is printable ASCII.
    pub(crate) fn text(&self, name: &HeaderName) -> Option<&str> {
        std::str::from_utf8(self.get(name)?)
            .ok()
            .filter(|text| text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')))
    }

    /// Like [`Self::get`], for use beyond the lifetime of the list.
    pub(crate) fn share(&self, name: &HeaderName) -> Option<Bytes> {
        let line = self.line(name)?;
        Some(match line.storage {
            Storage::Head { .. } => self.head.slice(line.value.clone()),
            Storage::Added => Bytes::copy_from_slice(self.value(line)),
        })
    }

    pub(crate) fn contains(&self, name: &HeaderName) -> bool {
        self.line(name).is_some()
    }

    /// Adds a header.
    pub(crate) fn append(&mut self, name: HeaderName, value: impl AsRef<[u8]>) {
        let begins = self.added.len();
        self.added.extend_from_slice(value.as_ref());
        self.lines.push(Line { name, value: begins..self.added.len(), storage: Storage::Added });
    }

    /// Replaces all headers of this name by one.
    pub(crate) fn insert(&mut self, name: HeaderName, value: impl AsRef<[u8]>) {
        self.remove(&name);
        self.append(name, value);
    }

    /// Removes all headers of this name.
    pub(crate) fn remove(&mut self, name: &HeaderName) {
        if self.contains(name) {
            self.retain(|known, _| known != name);
        }
    }

    /// Removes the headers for which `is_kept` is false.
    pub(crate) fn retain(&mut self, mut is_kept: impl FnMut(&HeaderName, &[u8]) -> bool) {
        let Self { lines, head, added } = self;
        lines.retain(|line| is_kept(&line.name, line.value(head, added)));
    }

    /// Writes all headers. Lines that already have the gateway's format are copied unchanged, adjacent ones together.
    pub(crate) fn put(&self, into: &mut Vec<u8>) {
        let mut run = 0..0;
        for line in &self.lines {
            match line.whole(&self.head) {
                Some(whole) if whole.start == run.end => run.end = whole.end,
                Some(whole) => into.extend_from_slice(&self.head[std::mem::replace(&mut run, whole)]),
                None => {
                    into.extend_from_slice(&self.head[std::mem::take(&mut run)]);
                    put_header(line.name.as_str(), self.value(line), into);
                }
            }
        }
        into.extend_from_slice(&self.head[run]);
    }

    fn line(&self, name: &HeaderName) -> Option<&Line> {
        self.lines.iter().find(|line| line.name == *name)
    }

    fn value<'h>(&'h self, line: &Line) -> &'h [u8] {
        line.value(&self.head, &self.added)
    }
}

/// Only the names: values may be secrets.
impl fmt::Debug for HeaderList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.lines.iter().map(|line| &line.name)).finish()
    }
}

impl<V: AsRef<[u8]>> FromIterator<(HeaderName, V)> for HeaderList {
    fn from_iter<I: IntoIterator<Item = (HeaderName, V)>>(lines: I) -> Self {
        let (lines, mut list) = (lines.into_iter(), Self::default());
        list.lines.reserve(lines.size_hint().0);
        for (name, value) in lines {
            list.append(name, value);
        }
        list
    }
}

impl From<HeaderMap> for HeaderList {
    fn from(map: HeaderMap) -> Self {
        map.iter().map(|(name, value)| (name.clone(), value)).collect()
    }
}

impl From<HeaderList> for HeaderMap {
    fn from(list: HeaderList) -> Self {
        let mut map = Self::with_capacity(list.len());
        let added = Bytes::from(list.added);
        for Line { name, value, storage } in list.lines {
            let text = if matches!(storage, Storage::Head { .. }) { &list.head } else { &added };
            // Every value in a list is a valid header value.
            if let Ok(value) = HeaderValue::from_maybe_shared(text.slice(value)) {
                map.append(name, value);
            }
        }
        map
    }
}

#[cfg(test)]
impl PartialEq for HeaderList {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

#[cfg(test)]
impl std::ops::Index<&str> for HeaderList {
    type Output = str;

    fn index(&self, name: &str) -> &str {
        self.text(&name.parse().unwrap()).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT, COOKIE, HOST};

    use super::*;

    fn list(lines: &[(HeaderName, &'static str)]) -> HeaderList {
        lines.iter().cloned().collect()
    }

    #[test]
    fn a_name_addresses_all_its_headers() {
        let mut headers = list(&[(COOKIE, "a"), (HOST, "h"), (COOKIE, "b")]);
        assert_eq!(headers.get(&COOKIE).unwrap(), b"a");
        assert_eq!(headers.all(COOKIE).collect::<Vec<_>>(), [b"a", b"b"]);
        assert!(headers.contains(&HOST) && !headers.contains(&ACCEPT));
        headers.insert(COOKIE, "c");
        assert_eq!(headers, list(&[(HOST, "h"), (COOKIE, "c")]));
        headers.append(COOKIE, "d");
        headers.remove(&COOKIE);
        assert_eq!(headers, list(&[(HOST, "h")]));
    }

    /// The list of a head with these headers.
    fn came(text: &'static str) -> HeaderList {
        let mut at = 0;
        let lines = text.split_inclusive("\r\n").map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            let begins = at + name.len() + 1 + (value.len() - value.trim_start_matches(' ').len());
            let line = Line::new(name.parse().unwrap(), at, begins..begins + value.trim().len());
            at += name.len() + 1 + value.len();
            line
        });
        let lines = lines.collect();
        HeaderList::new(Bytes::from_static(text.as_bytes()), lines)
    }

    #[test]
    fn lines_in_our_format_are_copied_unchanged() {
        let mut headers = came("Host: h\r\nX-A: 1\r\nX-b:2\r\nX-c:  3\r\nX-d: 4 \r\nX-E: 5: 6\r\nX-f: \r\nX-g:\r\n");
        headers.append(COOKIE, "c");
        let put = |headers: &HeaderList| {
            let mut text = Vec::new();
            headers.put(&mut text);
            String::from_utf8(text).unwrap()
        };
        let behind = "x-b: 2\r\nx-c: 3\r\nx-d: 4\r\nX-E: 5: 6\r\nX-f: \r\nx-g: \r\ncookie: c\r\n";
        assert_eq!(put(&headers), format!("Host: h\r\nX-A: 1\r\n{behind}"));
        headers.remove(&"x-a".parse().unwrap());
        assert_eq!(put(&headers), format!("Host: h\r\n{behind}"));
        headers.remove(&HOST);
        assert_eq!((put(&headers), put(&HeaderList::default())), (behind.to_owned(), String::new()));
        assert_eq!(headers.share(&"x-e".parse().unwrap()).unwrap(), "5: 6");
        assert_eq!(headers.share(&COOKIE).unwrap(), "c");
    }

    #[test]
    fn a_header_map_holds_the_same_headers() {
        let headers = list(&[(COOKIE, "a"), (COOKIE, "b"), (HOST, "h")]);
        let map = HeaderMap::from(headers.clone());
        assert_eq!(map.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(HeaderList::from(map), headers);
    }
}
