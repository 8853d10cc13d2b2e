//! Checks whether the trailers of an HTTP/2 message arrived completely. The h2 library drops some fields of trailers
//! silently: pseudo-headers, which make the message malformed (RFC 9113 §8.1), and fields beyond the size limit of a
//! head. So the fields are counted in the raw bytes, and a section that has lost one is refused.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use http::HeaderMap;

/// The state of a stream's trailers.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    /// They may still come.
    #[default]
    Awaited,
    /// They have come, with this many fields.
    Came(usize),
    /// They have come, and cannot be decoded.
    Unreadable,
}

/// The streams of a connection on which trailers may come.
#[derive(Debug, Default)]
pub(crate) struct TrailerCounts(BTreeMap<u32, Section>);

/// The counts of one connection, shared by the tracker of its frames and the bodies on its streams.
pub(crate) type SharedTrailerCounts = Rc<RefCell<TrailerCounts>>;

impl TrailerCounts {
    /// Expects trailers on this stream.
    pub(crate) fn expect(&mut self, stream: u32) {
        self.0.entry(stream).or_default();
    }

    /// Like [`Self::expect`], for at most `most` streams. The oldest is removed, and its trailers are treated as
    /// malformed.
    pub(crate) fn expect_of(&mut self, stream: u32, most: usize) {
        self.expect(stream);
        while self.0.len() > most {
            self.0.pop_first();
        }
    }

    /// Records the last header block of a stream, with its number of fields. A later block is a protocol error and
    /// changes nothing.
    pub(crate) fn came(&mut self, stream: u32, fields: Option<usize>) {
        if let Some(known @ Section::Awaited) = self.0.get_mut(&stream) {
            *known = fields.map_or(Section::Unreadable, Section::Came);
        }
    }

    /// The state of a stream's trailers, if they are expected.
    pub(crate) fn known(&self, stream: u32) -> Option<Section> {
        self.0.get(&stream).copied()
    }
}

/// The expected trailers of one stream. Dropping it removes their state.
#[derive(Debug)]
pub(crate) struct ExpectedTrailers {
    counts: SharedTrailerCounts,
    stream: u32,
}

impl ExpectedTrailers {
    /// The trailers of this stream.
    pub(crate) fn of(counts: &SharedTrailerCounts, stream: u32) -> Self {
        Self { counts: Rc::clone(counts), stream }
    }

    /// Expects the trailers of this stream, on which nothing has come yet.
    pub(crate) fn begin(counts: &SharedTrailerCounts, stream: u32) -> Self {
        counts.borrow_mut().expect(stream);
        Self::of(counts, stream)
    }

    /// Whether `trailers` has all the fields that were sent.
    pub(crate) fn are_whole(&self, trailers: &HeaderMap) -> bool {
        self.counts.borrow().known(self.stream) == Some(Section::Came(trailers.len()))
    }
}

impl Drop for ExpectedTrailers {
    fn drop(&mut self) {
        self.counts.borrow_mut().0.remove(&self.stream);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn trailers(fields: usize) -> HeaderMap {
        // Two values of one name are two fields.
        std::iter::repeat_n((http::header::ACCEPT, HeaderValue::from_static("a")), fields).fold(
            HeaderMap::new(),
            |mut map, (name, value)| {
                map.append(name, value);
                map
            },
        )
    }

    #[test]
    fn trailers_are_complete_if_all_sent_fields_arrive() {
        let counts = SharedTrailerCounts::default();
        let expected = ExpectedTrailers::begin(&counts, 1);
        assert!(!expected.are_whole(&trailers(0)), "none have come");
        counts.borrow_mut().came(1, Some(2));
        counts.borrow_mut().came(1, Some(3));
        counts.borrow_mut().came(3, Some(2));
        assert!(
            expected.are_whole(&trailers(2)) && !expected.are_whole(&trailers(1)) && !expected.are_whole(&trailers(3))
        );
        let unreadable = ExpectedTrailers::begin(&counts, 5);
        counts.borrow_mut().came(5, None);
        assert!((0..9).all(|fields| !unreadable.are_whole(&trailers(fields))));
        drop((expected, unreadable));
        assert!(counts.borrow().0.is_empty(), "what is over is forgotten, and what nobody expects was not noted");
    }

    #[test]
    fn the_number_of_tracked_streams_is_bounded() {
        let counts = SharedTrailerCounts::default();
        for stream in 0..100 {
            counts.borrow_mut().expect_of(stream, 3);
        }
        assert_eq!(counts.borrow().0.keys().copied().collect::<Vec<_>>(), [97, 98, 99]);
        counts.borrow_mut().came(1, Some(0));
        assert!(!ExpectedTrailers::of(&counts, 1).are_whole(&trailers(0)));
    }
}
