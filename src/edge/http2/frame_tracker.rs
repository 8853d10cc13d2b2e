//! Tracks the frames of an HTTP/2 connection (RFC 9113 §4.1): whether a client has sent only part of a head, whether a
//! request target has a fragment, and how many fields its trailers have. The h2 library reads and validates the frames,
//! but does not expose any of this.

use std::rc::Rc;

use super::{header_block, trailers::SharedTrailerCounts};

/// The preface of an HTTP/2 connection (RFC 9113 §3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEADER_BYTES: usize = 9;
pub(crate) const DATA: u8 = 0x0;
pub(crate) const HEADERS: u8 = 0x1;
pub(crate) const WINDOW_UPDATE: u8 = 0x8;
pub(crate) const CONTINUATION: u8 = 0x9;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// The length of the priority fields before a header block (RFC 9113 §6.2).
const PRIORITY_BYTES: usize = 5;

/// The longest header block that is decoded: longer than the longest that the library accepts, which limits its frames.
const MAX_BLOCK_BYTES: usize = 256 * 1024;

/// For how many requests with a body the trailers are tracked. A client has fewer in progress.
const MAX_EXPECTED: usize = 256;

/// A frame, with the contents of its header.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    flags: u8,
    pub(crate) stream: u32,
    pub(crate) length: usize,
    /// The first bytes of the payload: all of a `WINDOW_UPDATE`.
    pub(crate) start: [u8; 4],
}

/// The stage of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage<'b> {
    /// The frame's header is complete.
    Begun,
    /// Some of its payload, or all.
    Payload(&'b [u8]),
    /// The frame is complete.
    Ended,
}

/// Splits one direction of a connection into frames.
#[derive(Debug)]
pub(crate) struct Splitter {
    header: [u8; HEADER_BYTES],
    /// How many bytes of the header have come.
    known: usize,
    /// How many bytes of the payload, or of the preface, are still to come.
    left: usize,
    frame: Frame,
}

impl Splitter {
    /// `skipped` bytes come before the first frame.
    pub(crate) fn after(skipped: usize) -> Self {
        Self { header: [0; HEADER_BYTES], known: 0, left: skipped, frame: Frame::default() }
    }

    /// Processes `bytes`, which continue the previous ones, and reports each frame.
    pub(crate) fn follow(&mut self, mut bytes: &[u8], mut report: impl FnMut(Stage<'_>, &Frame)) {
        while !bytes.is_empty() {
            let wanted = if self.left > 0 { self.left } else { HEADER_BYTES - self.known };
            let (taken, rest) = bytes.split_at(wanted.min(bytes.len()));
            bytes = rest;
            if self.left > 0 {
                if self.known == HEADER_BYTES {
                    let done = self.frame.length - self.left;
                    for (place, byte) in self.frame.start.iter_mut().skip(done).zip(taken) {
                        *place = *byte;
                    }
                    report(Stage::Payload(taken), &self.frame);
                }
                self.left -= taken.len();
            } else {
                self.header[self.known..self.known + taken.len()].copy_from_slice(taken);
                self.known += taken.len();
                if self.known < HEADER_BYTES {
                    continue;
                }
                let [high, middle, low, kind, flags, id @ ..] = self.header;
                self.left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
                // The first bit of the id is reserved and ignored.
                let stream = u32::from_be_bytes(id) & !(1 << 31);
                self.frame = Frame { kind, flags, stream, length: self.left, start: [0; 4] };
                report(Stage::Begun, &self.frame);
            }
            if self.left == 0 && self.known == HEADER_BYTES {
                self.known = 0;
                report(Stage::Ended, &self.frame);
            }
        }
    }
}

/// A complete header block (RFC 9113 §4.3).
pub(crate) struct Block<'b> {
    pub(crate) stream: u32,
    /// Whether nothing follows on its stream.
    pub(crate) ends_stream: bool,
    bytes: &'b [u8],
}

impl Block<'_> {
    /// The number of its fields, if it can be decoded.
    pub(crate) fn fields(&self) -> Option<usize> {
        if self.bytes.len() < MAX_BLOCK_BYTES { header_block::fields(self.bytes) } else { None }
    }
}

/// Reassembles header blocks that come in several pieces.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    /// The received part of a block that comes in several pieces.
    begun: Vec<u8>,
    ends_stream: bool,
    /// Whether the current frame held a complete block.
    is_done: bool,
}

impl Blocks {
    /// Processes a frame of a header block; reports the block when it is complete.
    pub(crate) fn follow(&mut self, stage: Stage<'_>, frame: &Frame, report: impl FnOnce(Block<'_>)) {
        let is_last = frame.flags & END_HEADERS != 0;
        match stage {
            Stage::Begun => {
                self.is_done = false;
                if frame.kind == HEADERS {
                    self.begun.clear();
                    self.ends_stream = frame.flags & END_STREAM != 0;
                }
            }
            Stage::Payload(payload) if payload.len() == frame.length && is_last && frame.kind == HEADERS => {
                self.is_done = true;
                report(self.block(frame, block_in(frame, payload)));
            }
            Stage::Payload(payload) => {
                let room = MAX_BLOCK_BYTES - self.begun.len();
                self.begun.extend_from_slice(&payload[..payload.len().min(room)]);
            }
            Stage::Ended if self.is_done => {}
            Stage::Ended => {
                if frame.kind == HEADERS {
                    self.begun = block_in(frame, &self.begun).to_vec();
                }
                if is_last {
                    let bytes = std::mem::take(&mut self.begun);
                    report(self.block(frame, &bytes));
                }
            }
        }
    }

    fn block<'b>(&self, frame: &Frame, bytes: &'b [u8]) -> Block<'b> {
        Block { stream: frame.stream, ends_stream: self.ends_stream, bytes }
    }
}

/// The header block fragment in the payload of `HEADERS`.
fn block_in<'b>(frame: &Frame, payload: &'b [u8]) -> &'b [u8] {
    let is_padded = frame.flags & PADDED != 0;
    let padding = if is_padded { payload.first().copied().unwrap_or_default().into() } else { 0 };
    let priority = if frame.flags & PRIORITY != 0 { PRIORITY_BYTES } else { 0 };
    payload.get(usize::from(is_padded) + priority..payload.len().saturating_sub(padding)).unwrap_or_default()
}

/// Tracks the frames that a client sends.
#[derive(Debug)]
pub(crate) struct Frames {
    splitter: Splitter,
    in_head: bool,
    blocks: Blocks,
    has_fragment: bool,
    /// The newest stream with a request: a header block on an older stream holds trailers.
    newest: u32,
    trailers: SharedTrailerCounts,
}

impl Frames {
    /// Starts before the preface.
    pub(crate) fn new() -> Self {
        Self {
            splitter: Splitter::after(PREFACE.len()),
            in_head: false,
            blocks: Blocks::default(),
            has_fragment: false,
            newest: 0,
            trailers: SharedTrailerCounts::default(),
        }
    }

    /// Processes `bytes`, which continue the previous ones.
    pub(crate) fn follow(&mut self, bytes: &[u8]) {
        let Self { splitter, in_head, blocks, has_fragment, newest, trailers } = self;
        splitter.follow(bytes, |stage, frame| {
            if !matches!(frame.kind, HEADERS | CONTINUATION) {
                return;
            }
            match stage {
                Stage::Begun => *in_head = true,
                Stage::Payload(_) => {}
                Stage::Ended => *in_head &= frame.flags & END_HEADERS == 0,
            }
            blocks.follow(stage, frame, |block| {
                // Trailers are checked, too: they share the dynamic table with heads.
                *has_fragment |= header_block::has_fragment(block.bytes);
                if block.stream > *newest {
                    *newest = block.stream;
                    if !block.ends_stream {
                        trailers.borrow_mut().expect_of(block.stream, MAX_EXPECTED);
                    }
                } else if block.ends_stream {
                    trailers.borrow_mut().came(block.stream, block.fields());
                }
            });
        });
    }

    /// Whether a head has begun and not ended.
    pub(crate) fn in_head(&self) -> bool {
        self.in_head
    }

    /// Whether the target of a request had a fragment.
    pub(crate) fn has_fragment(&self) -> bool {
        self.has_fragment
    }

    /// The counts of the requests' trailers.
    pub(crate) fn trailers(&self) -> SharedTrailerCounts {
        Rc::clone(&self.trailers)
    }
}

#[cfg(test)]
mod tests {
    use super::super::trailers::Section;
    use super::*;
    use crate::edge::tests::support::frame;

    const RST_STREAM: u8 = 0x3;

    #[test]
    fn a_fragment_is_found_however_its_head_is_split() {
        let block = b"\x83\x86\x04\x0c/api/users#a\x41\x03www";
        let padded = [&[3, 0, 0, 0, 0, 9], &block[..], b"\x04#\0"].concat();
        let (start, rest) = block.split_at(9);
        let whole = [
            frame(HEADERS, END_HEADERS, 1, block),
            frame(HEADERS, END_HEADERS | PADDED | PRIORITY, 1, &padded),
            [frame(HEADERS, 0, 1, start), frame(CONTINUATION, END_HEADERS, 1, rest)].concat(),
            [frame(HEADERS, 0, 1, b""), frame(CONTINUATION, 0, 1, b""), frame(CONTINUATION, END_HEADERS, 1, block)]
                .concat(),
        ];
        let found = |bytes: &[u8], size: usize| {
            let mut frames = Frames::new();
            frames.follow(PREFACE);
            frames.follow(&frame(HEADERS, END_HEADERS, 3, b"\x83\x86\x84\x41\x03www\x0f\x11\x03a=#"));
            frames.follow(&frame(DATA, 0, 3, block));
            assert!(!frames.has_fragment(), "elsewhere a # is welcome");
            bytes.chunks(size).for_each(|piece| frames.follow(piece));
            frames.has_fragment()
        };
        for bytes in whole {
            for size in [1, 7, bytes.len()] {
                assert!(found(&bytes, size), "{bytes:?} in pieces of {size}");
            }
            let good: Vec<u8> = bytes.iter().map(|&byte| if byte == b'#' { b'x' } else { byte }).collect();
            assert!(!found(&good, 7));
        }
    }

    #[test]
    fn a_head_is_incomplete_until_its_last_frame_has_ended() {
        let whole = frame(HEADERS, END_HEADERS | END_STREAM, 1, b"abc");
        let pieces = [
            frame(0x4, 0, 0, &[0; 6]),
            whole[..10].to_vec(),
            whole[10..].to_vec(),
            frame(HEADERS, END_STREAM, 3, b""),
            frame(CONTINUATION, 0, 3, b"abc"),
            frame(CONTINUATION, END_HEADERS, 3, b""),
            frame(DATA, 0, 1, &[0xff; 300]),
            frame(RST_STREAM, 0, 1, &[0; 4]),
        ];
        let mut frames = Frames::new();
        frames.follow(PREFACE);
        let mut after = |piece: &Vec<u8>| {
            // The result does not depend on how the bytes are split.
            piece.chunks(2).for_each(|bytes| frames.follow(bytes));
            frames.in_head()
        };
        let owed: Vec<bool> = pieces.iter().map(&mut after).collect();
        assert_eq!(owed, [false, true, false, true, true, false, false, false]);
    }

    #[test]
    fn the_fields_of_trailers_are_counted_and_those_of_heads_are_not() {
        let head = b"\x83\x86\x84\x41\x03www";
        // Two fields, one of them a pseudo-header.
        let section = b"\x84\0\x01a\x011";
        let (start, rest) = section.split_at(3);
        let whole = END_HEADERS | END_STREAM;
        for (trailers, expected) in [
            (frame(HEADERS, whole, 1, section), Some(Section::Came(2))),
            (frame(HEADERS, whole | PADDED, 1, &[&[1], &section[..], b"\0"].concat()), Some(Section::Came(2))),
            (
                [frame(HEADERS, END_STREAM, 1, start), frame(CONTINUATION, END_HEADERS, 1, rest)].concat(),
                Some(Section::Came(2)),
            ),
            (
                [frame(HEADERS, END_STREAM, 1, b""), frame(CONTINUATION, END_HEADERS, 1, b"")].concat(),
                Some(Section::Came(0)),
            ),
            (frame(HEADERS, whole, 1, b""), Some(Section::Came(0))),
            (frame(HEADERS, whole, 1, b"\0"), Some(Section::Unreadable)),
            (
                [frame(HEADERS, END_STREAM, 1, b""), frame(CONTINUATION, END_HEADERS, 1, &[0x84; 2_000])].concat(),
                Some(Section::Came(2_000)),
            ),
            // The first bit of a stream's number is ignored.
            (frame(HEADERS, whole, 1 | 1 << 31, section), Some(Section::Came(2))),
            // The first section counts. One after the end of the stream, or without an announced body, is ignored.
            ([frame(HEADERS, whole, 1, section), frame(HEADERS, whole, 1, b"\x84")].concat(), Some(Section::Came(2))),
            (frame(HEADERS, END_HEADERS, 1, section), Some(Section::Awaited)),
            (frame(HEADERS, whole, 5, section), Some(Section::Awaited)),
        ] {
            let first = frame(HEADERS, END_HEADERS, 1, head);
            let both = [&first[..], &frame(HEADERS, whole, 3, head)].concat();
            for (size, heads) in [(1, &both), (7, &both), (1_000, &both), (1_000, &first)] {
                let mut frames = Frames::new();
                let bytes = [PREFACE, heads, &frame(DATA, 0, 1, &vec![0x84; 70_000]), &trailers].concat();
                bytes.chunks(size).for_each(|piece| frames.follow(piece));
                assert_eq!(frames.trailers().borrow().known(1), expected, "{trailers:?} in pieces of {size}");
                assert_eq!(frames.trailers().borrow().known(3), None);
            }
        }
    }

    #[test]
    fn an_endless_block_is_not_buffered() {
        let mut frames = Frames::new();
        frames.follow(&[PREFACE, &frame(HEADERS, 0, 1, b"\x83")].concat());
        for _ in 0..40 {
            frames.follow(&frame(CONTINUATION, 0, 1, &[0x84; 16_384]));
        }
        assert_eq!(frames.blocks.begun.len(), MAX_BLOCK_BYTES);
        assert!(frames.in_head());
    }
}
