//! Follows the frames of an HTTP/2 connection (RFC 9113 §4.1): whether a client owes us the rest of a head, whether it sends
//! fragments, and how much a service lets us send. The h2 library reads and judges them; it does not tell any of this.

use super::{head::MAX_HEAD_BYTES, header_block};

/// What an HTTP/2 connection begins with (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEADER_BYTES: usize = 9;
const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const WINDOW_UPDATE: u8 = 0x8;
const CONTINUATION: u8 = 0x9;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// What `PRIORITY` puts before a header block (RFC 9113 §6.2).
const PRIORITY_BYTES: usize = 5;

/// How many bytes a connection may carry before the receiver grants more (RFC 9113 §6.9.2).
const INITIAL_CONNECTION_WINDOW: i64 = 65_535;

/// Below this, a connection's window is close to keeping requests waiting: it is the size of one frame.
const LOW_WINDOW: i64 = 16 * 1024;

/// One frame, by its header.
#[derive(Debug, Default, Clone, Copy)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    length: usize,
    /// The first bytes of the payload: all of a `WINDOW_UPDATE`.
    start: [u8; 4],
}

/// How far a frame has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage<'b> {
    /// Its header is complete.
    Begun,
    /// Some of its payload, or all.
    Payload(&'b [u8]),
    /// All of it is.
    Ended,
}

/// Splits one direction of a connection into frames.
#[derive(Debug)]
struct Splitter {
    header: [u8; HEADER_BYTES],
    /// How many bytes of the header have come.
    known: usize,
    /// How many bytes of the payload, or of the preface, are to come.
    left: usize,
    frame: Frame,
}

impl Splitter {
    /// `skipped` bytes come before the first frame.
    fn after(skipped: usize) -> Self {
        Self { header: [0; HEADER_BYTES], known: 0, left: skipped, frame: Frame::default() }
    }

    /// Follows `bytes`, which continue those before, and reports each frame.
    fn follow(&mut self, mut bytes: &[u8], mut report: impl FnMut(Stage<'_>, &Frame)) {
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
                // The first bit of the id is reserved and means nothing.
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

/// What a client sends.
#[derive(Debug)]
pub(super) struct Frames {
    splitter: Splitter,
    in_head: bool,
    heads: Heads,
}

/// Finds fragments in the heads of requests.
#[derive(Debug, Default)]
struct Heads {
    /// A header block that does not come in one piece, as far as it has come.
    block: Vec<u8>,
    has_fragment: bool,
}

impl Heads {
    /// Some of the payload of a frame of a header block.
    fn take(&mut self, frame: &Frame, payload: &[u8]) {
        let is_whole = payload.len() == frame.length && frame.flags & END_HEADERS != 0;
        if is_whole && frame.kind == HEADERS {
            self.has_fragment |= header_block::has_fragment(block_in(frame, payload));
        } else if self.block.len() < MAX_HEAD_BYTES {
            self.block.extend_from_slice(payload);
        }
    }

    /// A frame of a header block has ended.
    fn end(&mut self, frame: &Frame) {
        if self.block.is_empty() {
            return;
        }
        if frame.kind == HEADERS {
            self.block = block_in(frame, &self.block).to_vec();
        }
        if frame.flags & END_HEADERS != 0 {
            self.has_fragment |= header_block::has_fragment(&std::mem::take(&mut self.block));
        }
    }
}

/// The part of a header block in the payload of `HEADERS`.
fn block_in<'b>(frame: &Frame, payload: &'b [u8]) -> &'b [u8] {
    let is_padded = frame.flags & PADDED != 0;
    let padding = if is_padded { payload.first().copied().unwrap_or_default().into() } else { 0 };
    let priority = if frame.flags & PRIORITY != 0 { PRIORITY_BYTES } else { 0 };
    payload.get(usize::from(is_padded) + priority..payload.len().saturating_sub(padding)).unwrap_or_default()
}

impl Frames {
    /// Before the preface.
    pub(super) fn new() -> Self {
        Self { splitter: Splitter::after(PREFACE.len()), in_head: false, heads: Heads::default() }
    }

    /// Follows `bytes`, which continue what was followed before.
    pub(super) fn follow(&mut self, bytes: &[u8]) {
        let Self { splitter, in_head, heads } = self;
        splitter.follow(bytes, |stage, frame| {
            if matches!(frame.kind, HEADERS | CONTINUATION) {
                match stage {
                    Stage::Begun => *in_head = true,
                    Stage::Payload(payload) => heads.take(frame, payload),
                    Stage::Ended => {
                        heads.end(frame);
                        *in_head &= frame.flags & END_HEADERS == 0;
                    }
                }
            }
        });
    }

    /// Whether a head has begun and not ended.
    pub(super) fn in_head(&self) -> bool {
        self.in_head
    }

    /// Whether the target of a request had a fragment.
    pub(super) fn has_fragment(&self) -> bool {
        self.heads.has_fragment
    }
}

/// How many bytes of bodies a service still takes on a connection, all streams together. The streams' own windows are the library's
/// to keep.
#[derive(Debug)]
pub(super) struct SendWindow {
    read: Splitter,
    written: Splitter,
    left: i64,
}

impl SendWindow {
    /// That of a connection before our preface.
    pub(super) fn new() -> Self {
        let (read, written) = (Splitter::after(0), Splitter::after(PREFACE.len()));
        Self { read, written, left: INITIAL_CONNECTION_WINDOW }
    }

    /// The service has sent `bytes`.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        let left = &mut self.left;
        self.read.follow(bytes, |stage, frame| {
            if (stage, frame.kind, frame.stream) == (Stage::Ended, WINDOW_UPDATE, 0) {
                *left = left.saturating_add((u32::from_be_bytes(frame.start) & !(1 << 31)).into());
            }
        });
    }

    /// We have sent `bytes`.
    pub(super) fn written(&mut self, bytes: &[u8]) {
        let left = &mut self.left;
        self.written.follow(bytes, |stage, frame| {
            if (stage, frame.kind) == (Stage::Begun, DATA) {
                // A length has 24 bits.
                *left = left.saturating_sub(i64::try_from(frame.length).unwrap_or(i64::MAX));
            }
        });
    }

    /// Whether a body that begins now may have to wait for others.
    pub(super) fn is_low(&self) -> bool {
        self.left < LOW_WINDOW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RST_STREAM: u8 = 0x3;
    const END_STREAM: u8 = 0x1;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let [_, _, high, low] = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&[0, high, low, kind, flags, 0, 0, 0, stream], payload].concat()
    }

    #[test]
    fn a_fragment_is_found_however_its_head_comes() {
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
    fn a_head_is_owed_until_its_last_frame_is_whole() {
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
            // However the bytes arrive, it comes to the same.
            piece.chunks(2).for_each(|bytes| frames.follow(bytes));
            frames.in_head()
        };
        let owed: Vec<bool> = pieces.iter().map(&mut after).collect();
        assert_eq!(owed, [false, true, false, true, true, false, false, false]);
    }

    #[test]
    fn a_window_shrinks_by_what_is_sent_and_grows_by_what_is_granted_to_the_connection() {
        for size in [1, 3, 100_000] {
            let mut window = SendWindow::new();
            let send = |window: &mut SendWindow, bytes: &[u8]| bytes.chunks(size).for_each(|part| window.written(part));
            let receive = |window: &mut SendWindow, bytes: &[u8]| bytes.chunks(size).for_each(|part| window.read(part));
            send(&mut window, PREFACE);
            send(&mut window, &frame(HEADERS, END_HEADERS, 1, &[0; 5_000]));
            send(&mut window, &frame(DATA, 0, 1, &[0; 49_151]));
            assert!(!window.is_low() && window.left == LOW_WINDOW);
            send(&mut window, &frame(DATA, 0, 3, &[0; 1]));
            assert!(window.is_low());
            // The grant of a stream is not the connection's, and the reserved bit means nothing.
            receive(&mut window, &frame(WINDOW_UPDATE, 0, 3, &[0, 0, 1, 0]));
            receive(&mut window, &frame(DATA, 0, 3, &[0xff; 9]));
            assert!(window.is_low());
            receive(&mut window, &frame(WINDOW_UPDATE, 0, 0, &[0x80, 0, 0, 1]));
            assert!(!window.is_low() && window.left == LOW_WINDOW);
        }
    }
}
