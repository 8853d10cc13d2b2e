//! Follows the framing of what a client sends, so that every head is judged before hyper sees it, wherever in the stream it
//! stands. Where this reader and hyper could disagree about where a message ends, the stream is refused.

use thiserror::Error;

use super::head::{self, BadHead, Delimiter};

/// The longest extensions of one chunk, and the longest trailer section. Both are read and thrown away.
const MAX_EXTENSION_BYTES: usize = 256;
const MAX_TRAILER_BYTES: usize = 4 * 1024;

/// The chunks of a body do not follow the grammar (RFC 9112 §7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the chunked body is malformed")]
pub(super) struct BadChunk;

/// Why a stream cannot be followed any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The head that begins here is refused.
    Head(BadHead),
    /// The body that ends here is malformed.
    Body(BadChunk),
}

/// Where in the stream the reader is.
#[derive(Debug, Default)]
pub(super) struct Framing {
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// Before or in a head, of which so many bytes were searched for its end.
    Head { scanned: usize },
    /// In a body, with so many bytes to come.
    Body(u64),
    /// In a chunked body.
    Chunks(Chunk),
    /// Behind a request for an upgrade that is not answered yet.
    Undecided,
}

impl Default for Phase {
    fn default() -> Self {
        Self::Head { scanned: 0 }
    }
}

/// Where in a chunked body the reader is.
#[derive(Debug, Clone, Copy)]
enum Chunk {
    Size { digits: u8, size: u64 },
    Extension { bytes: usize, size: u64 },
    SizeLineFeed { size: u64 },
    Data(u64),
    DataReturn,
    DataLineFeed,
    Trailer { bytes: usize, in_line: bool },
    TrailerLineFeed { bytes: usize, last: bool },
    Done,
}

impl Framing {
    /// Whether the reader is inside a body.
    pub(super) fn in_body(&self) -> bool {
        matches!(self.phase, Phase::Body(_) | Phase::Chunks(_))
    }

    /// Whether nobody knows yet what the next bytes are: nothing is handed on until [`Framing::stay_http`].
    pub(super) fn is_undecided(&self) -> bool {
        matches!(self.phase, Phase::Undecided)
    }

    /// There was no upgrade: the next bytes are a head.
    pub(super) fn stay_http(&mut self) {
        self.phase = Phase::default();
    }

    /// Follows `bytes`, which continue what was passed before. Says how many of them may be handed on; the others begin a
    /// head that is not whole yet and must be presented again, with what follows them, or nobody knows yet what they are, or
    /// they are at fault.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> (usize, Option<Fault>) {
        let mut passed = 0;
        loop {
            let rest = &bytes[passed..];
            match &mut self.phase {
                Phase::Head { scanned } => {
                    if rest.is_empty() {
                        return (passed, None);
                    }
                    let whole = head::end(rest, scanned)
                        .and_then(|end| end.map(|end| Ok((end, head::judge(&rest[..end])?))).transpose());
                    let (end, delimiter) = match whole {
                        Ok(Some(whole)) => whole,
                        Ok(None) => return (passed, None),
                        Err(fault) => return (passed, Some(Fault::Head(fault))),
                    };
                    passed += end;
                    self.phase = match delimiter {
                        Delimiter::Length(0) => Phase::default(),
                        Delimiter::Length(length) => Phase::Body(length),
                        Delimiter::Chunked => Phase::Chunks(Chunk::Size { digits: 0, size: 0 }),
                        Delimiter::Undecided => Phase::Undecided,
                    };
                }
                Phase::Undecided => return (passed, None),
                Phase::Body(left) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    passed += taken;
                    *left -= taken as u64;
                    if *left > 0 {
                        return (passed, None);
                    }
                    self.phase = Phase::default();
                }
                Phase::Chunks(chunk) => {
                    let (taken, outcome) = chunk.follow(rest);
                    passed += taken;
                    match outcome {
                        Ok(true) => self.phase = Phase::default(),
                        Ok(false) => return (passed, None),
                        Err(fault) => return (passed, Some(Fault::Body(fault))),
                    }
                }
            }
        }
    }
}

impl Chunk {
    /// Follows `bytes` to the end of the body or to their own end. Says how many were followed and whether the body ended.
    fn follow(&mut self, bytes: &[u8]) -> (usize, Result<bool, BadChunk>) {
        let mut at = 0;
        while at < bytes.len() {
            if let Self::Data(left) = self {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len() - at);
                at += taken;
                *left -= taken as u64;
                if *left == 0 {
                    *self = Self::DataReturn;
                }
                continue;
            }
            match self.after(bytes[at]) {
                Ok(next) => *self = next,
                Err(fault) => return (at, Err(fault)),
            }
            at += 1;
            if matches!(self, Self::Done) {
                return (at, Ok(true));
            }
        }
        (at, Ok(false))
    }

    /// The place after one byte that is not data.
    fn after(self, byte: u8) -> Result<Self, BadChunk> {
        Ok(match (self, byte) {
            (Self::Size { digits, size }, _) if byte.is_ascii_hexdigit() => {
                // Fifteen digits are more than enough, and cannot overflow anybody's 64 bits.
                let digit = char::from(byte).to_digit(16).filter(|_| digits < 15).ok_or(BadChunk)?;
                Self::Size { digits: digits + 1, size: size * 16 + u64::from(digit) }
            }
            (Self::Size { digits: 1.., size } | Self::Extension { size, .. }, b'\r') => Self::SizeLineFeed { size },
            (Self::Size { digits: 1.., size }, b';') => Self::Extension { bytes: 0, size },
            (Self::Extension { bytes, size }, b'\t' | b' '..=b'~') if bytes < MAX_EXTENSION_BYTES => {
                Self::Extension { bytes: bytes + 1, size }
            }
            (Self::SizeLineFeed { size: 0 }, b'\n') => Self::Trailer { bytes: 0, in_line: false },
            (Self::SizeLineFeed { size }, b'\n') => Self::Data(size),
            (Self::DataReturn, b'\r') => Self::DataLineFeed,
            (Self::DataLineFeed, b'\n') => Self::Size { digits: 0, size: 0 },
            (Self::Trailer { bytes, in_line }, b'\r') => Self::TrailerLineFeed { bytes, last: !in_line },
            (Self::Trailer { bytes, .. }, b'\t' | b' '..=b'~' | 0x80..) if bytes < MAX_TRAILER_BYTES => {
                Self::Trailer { bytes: bytes + 1, in_line: true }
            }
            (Self::TrailerLineFeed { last: true, .. }, b'\n') => Self::Done,
            (Self::TrailerLineFeed { bytes, last: false }, b'\n') => Self::Trailer { bytes, in_line: false },
            (
                Self::Size { .. }
                | Self::Extension { .. }
                | Self::SizeLineFeed { .. }
                | Self::Data(_)
                | Self::DataReturn
                | Self::DataLineFeed
                | Self::Trailer { .. }
                | Self::TrailerLineFeed { .. }
                | Self::Done,
                _,
            ) => return Err(BadChunk),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";

    fn follow(stream: &str) -> (usize, Option<Fault>) {
        Framing::default().follow(stream.as_bytes())
    }

    #[test]
    fn requests_follow_one_another_however_the_bytes_arrive() {
        let with_body = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\nGET / H";
        let chunked = format!("{CHUNKED}3;a=\"b\"\r\nabc\r\n0a\r\n0123456789\r\n0\r\nX-T: 1\r\nX-U: 2\r\n\r\n");
        let stream = format!("{GET}{with_body}{GET}{chunked}\r\n{GET}");
        assert_eq!(follow(&stream), (stream.len(), None));
        for size in 1..40 {
            let mut framing = Framing::default();
            let (mut held, mut passed) = (Vec::new(), 0);
            for piece in stream.as_bytes().chunks(size) {
                held.extend_from_slice(piece);
                let (taken, fault) = framing.follow(&held);
                assert_eq!(fault, None);
                held.drain(..taken);
                passed += taken;
            }
            assert_eq!((passed, held.len()), (stream.len(), 0), "in pieces of {size}");
        }
    }

    #[test]
    fn a_head_that_is_not_whole_is_held_back() {
        assert_eq!(follow(&format!("{GET}GET / HT")), (GET.len(), None));
    }

    #[test]
    fn what_follows_a_request_for_an_upgrade_waits_for_the_answer() {
        let upgrade = "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
        let mut framing = Framing::default();
        let stream = format!("{GET}{upgrade}\0 anything\n at all");
        let known = GET.len() + upgrade.len();
        assert_eq!(framing.follow(stream.as_bytes()), (known, None));
        assert!(framing.is_undecided() && !framing.in_body());
        assert_eq!(framing.follow(&stream.as_bytes()[known..]), (0, None));
        framing.stay_http();
        assert_eq!(framing.follow(&stream.as_bytes()[known..]), (0, Some(Fault::Head(BadHead::LineEnd))));
        for with_body in ["Content-Length: 1\r\n\r\na", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"] {
            let request = upgrade.replacen("\r\n\r\n", &format!("\r\n{with_body}"), 1);
            assert_eq!(follow(&format!("{request}{GET}")).0, request.len() + GET.len(), "a body is no place for it");
        }
    }

    #[test]
    fn a_bad_head_is_found_behind_a_good_request() {
        let bad = "GET / HTTP/1.1\r\n\r\n";
        assert_eq!(follow(&format!("{GET}{bad}")), (GET.len(), Some(Fault::Head(BadHead::Host))));
        let body = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(follow(&format!("{body}{bad}")), (body.len(), Some(Fault::Head(BadHead::Host))));
        let chunks = format!("{CHUNKED}1\r\na\r\n0\r\n\r\n");
        assert_eq!(follow(&format!("{chunks}{bad}")), (chunks.len(), Some(Fault::Head(BadHead::Host))));
    }

    #[test]
    fn chunks_that_two_servers_could_read_differently_are_refused() {
        for chunks in [
            "\r\n",
            ";\r\n",
            " 3\r\nabc\r\n",
            "3 \r\nabc\r\n",
            "+3\r\nabc\r\n",
            "0x3\r\nabc\r\n",
            "-1\r\n",
            "g\r\n",
            "3\nabc\r\n",
            "3\r\nabcd\r\n",
            "3\r\nabc\n",
            "3\r\nabc\rx",
            "3;a\nb\r\nabc\r\n",
            "3;a\x01\r\nabc\r\n",
            "0000000000000003\r\nabc\r\n",
            "ffffffffffffffff\r\n",
            "0\r\n\n",
            "0\r\nX: 1\n\r\n",
            "0\r\nX: \x001\r\n\r\n",
            "0\r\n\rX",
        ] {
            let (_, fault) = follow(&format!("{CHUNKED}{chunks}"));
            assert_eq!(fault, Some(Fault::Body(BadChunk)), "{chunks:?}");
        }
        let long = format!("{CHUNKED}0\r\nX: {}", "a".repeat(MAX_TRAILER_BYTES));
        assert_eq!(follow(&long).1, Some(Fault::Body(BadChunk)));
        let long = format!("{CHUNKED}1;{}", "a".repeat(MAX_EXTENSION_BYTES + 1));
        assert_eq!(follow(&long).1, Some(Fault::Body(BadChunk)));
    }
}
