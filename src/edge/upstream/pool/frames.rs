//! Tracks the frames of an HTTP/2 connection to a service: how much the service allows to be sent, how many fields the
//! trailers of its responses have, and which responses came last. The h2 library does not expose any of this.

use crate::edge::http2::{
    frame_tracker::{Blocks, CONTINUATION, DATA, HEADERS, PREFACE, Splitter, Stage, WINDOW_UPDATE},
    trailers::SharedTrailerCounts,
};

/// How many bytes a connection may carry before the receiver grants more (RFC 9113 §6.9.2).
const INITIAL_CONNECTION_WINDOW: i64 = 65_535;

/// Tracks the frames of a connection to a service.
#[derive(Debug)]
pub(crate) struct ServiceFrames {
    read: Splitter,
    written: Splitter,
    /// How many bytes of bodies the service still accepts on the connection, over all streams. The windows of the
    /// streams are managed by the library.
    window: i64,
    blocks: Blocks,
    trailers: SharedTrailerCounts,
    /// The streams whose responses had frames in the last read.
    read_last: Vec<u32>,
}

impl ServiceFrames {
    /// Starts before our preface.
    pub(crate) fn new() -> Self {
        let (read, written) = (Splitter::after(0), Splitter::after(PREFACE.len()));
        Self {
            read,
            written,
            window: INITIAL_CONNECTION_WINDOW,
            blocks: Blocks::default(),
            trailers: SharedTrailerCounts::default(),
            read_last: Vec::new(),
        }
    }

    /// Processes `bytes` from the service.
    pub(crate) fn read(&mut self, bytes: &[u8]) {
        let Self { read, window, blocks, trailers, read_last, .. } = self;
        read_last.clear();
        read.follow(bytes, |stage, frame| match frame.kind {
            WINDOW_UPDATE if stage == Stage::Ended && frame.stream == 0 => {
                *window = window.saturating_add((u32::from_be_bytes(frame.start) & !(1 << 31)).into());
            }
            DATA | HEADERS | CONTINUATION => {
                if read_last.last() != Some(&frame.stream) {
                    read_last.push(frame.stream);
                }
                if frame.kind != DATA {
                    blocks.follow(stage, frame, |block| {
                        // The head of a response without a body, or trailers; only trailers are looked up.
                        if block.ends_stream {
                            trailers.borrow_mut().came(block.stream, block.fields());
                        }
                    });
                }
            }
            _ => {}
        });
    }

    /// Processes `bytes` to the service.
    pub(crate) fn written(&mut self, bytes: &[u8]) {
        let window = &mut self.window;
        self.written.follow(bytes, |stage, frame| {
            if (stage, frame.kind) == (Stage::Begun, DATA) {
                // A length has 24 bits.
                *window = window.saturating_sub(i64::try_from(frame.length).unwrap_or(i64::MAX));
            }
        });
    }

    /// Whether this many bytes of bodies can be sent even if the service reads none of them.
    pub(crate) fn takes(&self, bytes: u64) -> bool {
        i64::try_from(bytes).is_ok_and(|bytes| bytes <= self.window)
    }

    /// The counts of the responses' trailers.
    pub(crate) fn trailers(&self) -> &SharedTrailerCounts {
        &self.trailers
    }

    /// Whether the response on this stream may be the reason why the library has closed the connection. The library
    /// validates all complete frames before it reads on, so the response at fault is among those in the last read. If
    /// there was none, all responses are suspect.
    pub(crate) fn is_suspect(&self, stream: u32) -> bool {
        self.read_last.is_empty() || self.read_last.contains(&stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::{
        http2::trailers::{ExpectedTrailers, Section},
        tests::support::frame,
    };

    const END_STREAM: u8 = 0x1;
    const END_HEADERS: u8 = 0x4;

    #[test]
    fn a_window_shrinks_by_sent_bytes_and_grows_by_grants_to_the_connection() {
        for size in [1, 3, 100_000] {
            let mut window = ServiceFrames::new();
            let send =
                |window: &mut ServiceFrames, bytes: &[u8]| bytes.chunks(size).for_each(|part| window.written(part));
            let receive =
                |window: &mut ServiceFrames, bytes: &[u8]| bytes.chunks(size).for_each(|part| window.read(part));
            send(&mut window, PREFACE);
            send(&mut window, &frame(HEADERS, END_HEADERS, 1, &[0; 5_000]));
            send(&mut window, &frame(DATA, 0, 1, &vec![0; 49_151]));
            assert!(window.takes(16_384) && !window.takes(16_385) && !window.takes(u64::MAX));
            send(&mut window, &frame(DATA, 0, 3, &[0; 257]));
            assert!(!window.takes(16_384));
            // A grant to a stream is not one to the connection, and the reserved bit is ignored.
            receive(&mut window, &frame(WINDOW_UPDATE, 0, 3, &[0, 0, 1, 0]));
            receive(&mut window, &frame(DATA, 0, 3, &[0xff; 9]));
            assert!(!window.takes(16_384));
            receive(&mut window, &frame(WINDOW_UPDATE, 0, 0, &[0x80, 0, 1, 1]));
            assert!(window.takes(16_384) && !window.takes(16_385));
        }
    }

    #[test]
    fn the_fields_of_trailers_are_counted_if_they_are_expected() {
        let mut frames = ServiceFrames::new();
        let _first = ExpectedTrailers::begin(frames.trailers(), 1);
        let bytes = [
            // An interim response and a head: neither ends the stream.
            frame(HEADERS, END_HEADERS, 1, b"\x08\x03103"),
            frame(HEADERS, END_HEADERS, 1, b"\x88"),
            frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x88\0\x01a\x011"),
            frame(HEADERS, END_HEADERS | END_STREAM, 3, b"\x88"),
        ];
        bytes.concat().chunks(3).for_each(|part| frames.read(part));
        assert_eq!(frames.trailers().borrow().known(1), Some(Section::Came(2)));
        assert_eq!(frames.trailers().borrow().known(3), None);
    }

    #[test]
    fn the_response_at_fault_is_among_those_read_last() {
        let mut frames = ServiceFrames::new();
        assert!(frames.is_suspect(1), "nothing has come");
        frames.read(&[frame(HEADERS, END_HEADERS, 1, b"\x88"), frame(DATA, 0, 3, b"abc")].concat());
        assert!(frames.is_suspect(1) && frames.is_suspect(3) && !frames.is_suspect(5));
        let next = frame(CONTINUATION, END_HEADERS, 5, b"\x88");
        frames.read(&next[..10]);
        assert!(!frames.is_suspect(1) && frames.is_suspect(5));
        frames.read(b"HTTP/1.1 400 Bad Request");
        frames.read(b"\r\n\r\n");
        assert!(frames.is_suspect(7), "it speaks something else");
    }
}
