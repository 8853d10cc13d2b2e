//! Follows the frames that an HTTP/2 client sends (RFC 9113 §4.1), by their headers alone: whether it owes us the rest of a
//! head or of a body. hyper reads and judges them; it does not tell how long they take.

/// What an HTTP/2 connection begins with (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEADER_BYTES: usize = 9;
const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const CONTINUATION: u8 = 0x9;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// More open bodies than hyper lets a client have. Whoever begins more is refused, and need not be remembered.
const MOST_BODIES: usize = 128;

/// Where in the stream of frames the reader is.
#[derive(Debug)]
pub(super) struct Frames {
    header: [u8; HEADER_BYTES],
    /// How many bytes of the header have come.
    known: usize,
    /// How many bytes of the payload, or of the preface, are to come.
    left: usize,
    in_head: bool,
    /// The streams whose body has not ended. One that we have reset stays until the client resets or ends it, too.
    bodies: Vec<u32>,
}

impl Frames {
    /// Before the preface.
    pub(super) fn new() -> Self {
        Self { header: [0; HEADER_BYTES], known: 0, left: PREFACE.len(), in_head: false, bodies: Vec::new() }
    }

    /// Follows `bytes`, which continue what was followed before.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let wanted = if self.left > 0 { self.left } else { HEADER_BYTES - self.known };
            let (taken, rest) = bytes.split_at(wanted.min(bytes.len()));
            bytes = rest;
            if self.left > 0 {
                self.left -= taken.len();
            } else {
                self.header[self.known..self.known + taken.len()].copy_from_slice(taken);
                self.known += taken.len();
                if self.known < HEADER_BYTES {
                    continue;
                }
                let [high, middle, low, ..] = self.header;
                self.left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
                self.in_head |= matches!(self.header[3], HEADERS | CONTINUATION);
            }
            if self.left == 0 && self.known == HEADER_BYTES {
                self.known = 0;
                self.ended();
            }
        }
    }

    /// Takes note of a frame that is whole.
    fn ended(&mut self) {
        let [_, _, _, kind, flags, id @ ..] = self.header;
        // The first bit is reserved and means nothing.
        let id = u32::from_be_bytes(id) & !(1 << 31);
        if matches!(kind, HEADERS | CONTINUATION) && flags & END_HEADERS != 0 {
            self.in_head = false;
        }
        match kind {
            DATA | HEADERS if flags & END_STREAM != 0 => self.bodies.retain(|&known| known != id),
            RST_STREAM => self.bodies.retain(|&known| known != id),
            HEADERS if self.bodies.len() < MOST_BODIES && !self.bodies.contains(&id) => self.bodies.push(id),
            _ => {}
        }
    }

    /// Whether a head has begun and not ended.
    pub(super) fn in_head(&self) -> bool {
        self.in_head
    }

    /// Whether a body has begun and not ended.
    pub(super) fn in_body(&self) -> bool {
        !self.bodies.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
    }

    /// What is owed after each of these pieces: a head, a body.
    fn owed(pieces: &[Vec<u8>]) -> Vec<(bool, bool)> {
        let mut frames = Frames::new();
        frames.follow(PREFACE);
        let mut after = |piece: &Vec<u8>| {
            // However the bytes arrive, it comes to the same.
            piece.chunks(2).for_each(|bytes| frames.follow(bytes));
            (frames.in_head(), frames.in_body())
        };
        pieces.iter().map(&mut after).collect()
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
        ];
        let owed: Vec<bool> = owed(&pieces).into_iter().map(|(head, _)| head).collect();
        assert_eq!(owed, [false, true, false, true, true, false]);
    }

    #[test]
    fn a_body_is_owed_until_its_stream_ends_or_is_reset() {
        let last = frame(DATA, END_STREAM, 1, b"abc");
        let pieces = [
            frame(HEADERS, END_HEADERS, 1, b"abc"),
            frame(DATA, 0, 1, b"abc"),
            last[..11].to_vec(),
            last[11..].to_vec(),
            frame(HEADERS, END_HEADERS, 3, b"abc"),
            frame(HEADERS, END_HEADERS, 5, b"abc"),
            frame(RST_STREAM, 0, 3, &[0; 4]),
            frame(HEADERS, END_HEADERS | END_STREAM, 5, b"trailers"),
            frame(HEADERS, END_HEADERS | END_STREAM, 7, b"abc"),
        ];
        let owed: Vec<bool> = owed(&pieces).into_iter().map(|(_, body)| body).collect();
        assert_eq!(owed, [true, true, true, false, true, true, true, false, false]);
    }

    #[test]
    fn nobody_makes_us_remember_streams_without_end() {
        let mut frames = Frames::new();
        frames.follow(PREFACE);
        for stream in 0..=u8::MAX {
            frames.follow(&frame(HEADERS, END_HEADERS, stream, b""));
        }
        assert_eq!(frames.bodies.len(), MOST_BODIES);
    }
}
