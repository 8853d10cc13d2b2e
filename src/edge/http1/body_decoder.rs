//! Extracts a body from the input of an HTTP/1.x connection: by its length, by chunks, or up to the end of the
//! connection (RFC 9112 §6). Input that two readers could decode differently is refused.

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use thiserror::Error;

use super::{body_framing::BodyFraming, request_head};

/// The longest extensions of one chunk, and the longest trailer section.
const MAX_EXTENSION_BYTES: usize = 256;
const MAX_TRAILER_BYTES: usize = 4 * 1024;

/// The body breaks off, or its chunks do not follow the grammar (RFC 9112 §7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the body is incomplete or malformed")]
pub(crate) struct BadBody;

/// A part of a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BodyPart {
    /// Some of its bytes, at least one.
    Data(Bytes),
    /// The trailers of a chunked body, if there are any.
    Trailers(HeaderMap),
}

/// The decoder's position in a body.
#[derive(Debug)]
pub(crate) enum BodyDecoder {
    /// This many bytes are to come.
    Length(u64),
    /// The body ends with the connection.
    UntilClose,
    /// In the chunks, with the trailers received so far.
    Chunks {
        chunk: Chunk,
        trailers: Vec<u8>,
        /// Whether blanks may follow a chunk's size: some services write them.
        padded: bool,
    },
    /// All of the body was read.
    Ended,
}

/// The decoder's position in a chunked body.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Chunk {
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

impl BodyDecoder {
    /// The decoder of a request's body.
    pub(crate) fn of_request(framing: BodyFraming) -> Self {
        Self::new(framing, false)
    }

    /// The decoder of a response's body.
    pub(crate) fn of_response(framing: BodyFraming) -> Self {
        Self::new(framing, true)
    }

    fn new(framing: BodyFraming, padded: bool) -> Self {
        match framing {
            BodyFraming::Length(0) => Self::Ended,
            BodyFraming::Length(length) => Self::Length(length),
            BodyFraming::Chunked => {
                Self::Chunks { chunk: Chunk::Size { digits: 0, size: 0 }, trailers: Vec::new(), padded }
            }
            BodyFraming::UntilClose => Self::UntilClose,
        }
    }

    /// Whether all of the body was read.
    pub(crate) fn is_ended(&self) -> bool {
        matches!(self, Self::Ended)
    }

    /// The number of bytes that one read may request.
    pub(crate) fn size_hint(&self) -> u64 {
        match self {
            Self::Length(left) | Self::Chunks { chunk: Chunk::Data(left), .. } => *left,
            Self::UntilClose => u64::MAX,
            Self::Chunks { .. } => 1,
            Self::Ended => 0,
        }
    }

    /// Takes the next part out of `input`; `None` if more input is needed, or if the body has ended.
    pub(crate) fn next(&mut self, input: &mut BytesMut) -> Result<Option<BodyPart>, BadBody> {
        match self {
            Self::Ended => Ok(None),
            Self::UntilClose => Ok(data(input, u64::MAX)),
            Self::Length(left) => {
                let piece = data(input, *left);
                if let Some(BodyPart::Data(data)) = &piece {
                    *left -= data.len() as u64;
                    if *left == 0 {
                        *self = Self::Ended;
                    }
                }
                Ok(piece)
            }
            Self::Chunks { chunk, trailers, padded } => {
                let piece = chunk.next(input, trailers, *padded)?;
                if !matches!(chunk, Chunk::Done) || piece.is_some() {
                    return Ok(piece);
                }
                let section = Bytes::from(std::mem::take(trailers));
                *self = Self::Ended;
                if section.is_empty() {
                    return Ok(None);
                }
                request_head::parse_trailers(&section)
                    .map(|trailers| Some(BodyPart::Trailers(trailers)))
                    .map_err(|_| BadBody)
            }
        }
    }

    /// Handles the end of the connection, and so of `input`.
    pub(crate) fn close(&mut self) -> Result<(), BadBody> {
        match self {
            Self::Ended => Ok(()),
            Self::UntilClose => {
                *self = Self::Ended;
                Ok(())
            }
            Self::Length(_) | Self::Chunks { .. } => Err(BadBody),
        }
    }
}

/// At most `most` bytes of `input`.
fn data(input: &mut BytesMut, most: u64) -> Option<BodyPart> {
    let length = usize::try_from(most).unwrap_or(usize::MAX).min(input.len());
    (length > 0).then(|| BodyPart::Data(input.split_to(length).freeze()))
}

impl Chunk {
    /// The next data; `None` if more input is needed, or if the body has ended.
    fn next(
        &mut self,
        input: &mut BytesMut,
        trailers: &mut Vec<u8>,
        padded: bool,
    ) -> Result<Option<BodyPart>, BadBody> {
        let mut at = 0;
        while at < input.len() && !matches!(self, Self::Done) {
            if let Self::Data(left) = self {
                input.advance(at);
                let piece = data(input, *left);
                if let Some(BodyPart::Data(data)) = &piece {
                    *left -= data.len() as u64;
                    if *left == 0 {
                        *self = Self::DataReturn;
                    }
                }
                return Ok(piece);
            }
            *self = match (*self, input[at]) {
                (Self::Size { digits: 1.., size }, b' ' | b'\t') if padded => Self::Extension { bytes: 0, size },
                (chunk, byte) => chunk.after(byte)?,
            };
            if matches!(self, Self::Trailer { bytes: 1.., .. } | Self::TrailerLineFeed { last: false, .. }) {
                trailers.push(input[at]);
            }
            at += 1;
        }
        input.advance(at);
        Ok(None)
    }

    /// The position after one byte that is not data.
    fn after(self, byte: u8) -> Result<Self, BadBody> {
        Ok(match (self, byte) {
            (Self::Size { digits, size }, _) if byte.is_ascii_hexdigit() => {
                // Fifteen digits are more than enough, and cannot overflow 64 bits in any recipient.
                let digit = char::from(byte).to_digit(16).filter(|_| digits < 15).ok_or(BadBody)?;
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
            ) => return Err(BadBody),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes a body that arrives in pieces of this size. Returns its data, its trailers, what is left, and how it
    /// ended.
    fn taken(framing: BodyFraming, stream: &str, size: usize) -> Result<(String, usize, String), BadBody> {
        let mut decoder = BodyDecoder::of_request(framing);
        let (mut input, mut data, mut trailers) = (BytesMut::new(), String::new(), 0);
        for piece in stream.as_bytes().chunks(size) {
            input.extend_from_slice(piece);
            while let Some(piece) = decoder.next(&mut input)? {
                match piece {
                    BodyPart::Data(bytes) => data += std::str::from_utf8(&bytes).unwrap(),
                    BodyPart::Trailers(lines) => trailers += lines.len(),
                }
            }
        }
        if !decoder.is_ended() {
            decoder.close()?;
        }
        Ok((data, trailers, String::from_utf8(input.to_vec()).unwrap()))
    }

    #[test]
    fn a_body_ends_where_its_head_says_however_the_bytes_arrive() {
        let chunks = "3;a=\"b\"\r\nabc\r\n011\r\n0123456789abcdefg\r\n0\r\nX-T: 1\r\nX-U: 2\r\n\r\nGET /";
        for size in 1..60 {
            let whole = |text: &str, trailers, rest: &str| Ok((text.to_owned(), trailers, rest.to_owned()));
            assert_eq!(
                taken(BodyFraming::Chunked, chunks, size),
                whole("abc0123456789abcdefg", 2, "GET /"),
                "in pieces of {size}"
            );
            assert_eq!(taken(BodyFraming::Chunked, "0\r\n\r\nGET /", size), whole("", 0, "GET /"));
            assert_eq!(taken(BodyFraming::Length(3), "abcGET /", size), whole("abc", 0, "GET /"));
            assert_eq!(taken(BodyFraming::Length(0), "GET /", size), whole("", 0, "GET /"));
            assert_eq!(taken(BodyFraming::UntilClose, "abc", size), whole("abc", 0, ""));
        }
    }

    #[test]
    fn a_service_may_pad_the_size_of_a_chunk() {
        let mut input = BytesMut::from("3  \r\nabc\r\n0 \r\n\r\n");
        let mut decoder = BodyDecoder::of_response(BodyFraming::Chunked);
        assert_eq!(decoder.next(&mut input), Ok(Some(BodyPart::Data(Bytes::from_static(b"abc")))));
        assert_eq!((decoder.next(&mut input), decoder.is_ended(), input.len()), (Ok(None), true, 0));
    }

    #[test]
    fn a_body_that_breaks_off_is_incomplete() {
        for (framing, stream) in [
            (BodyFraming::Length(4), "abc"),
            (BodyFraming::Chunked, "3\r\nabc\r\n"),
            (BodyFraming::Chunked, "3\r\nabc\r\n0\r\n"),
            (BodyFraming::Chunked, "5\r\nabc"),
        ] {
            assert_eq!(taken(framing, stream, 100), Err(BadBody), "{stream:?}");
        }
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
            "0\r\nno colon\r\n\r\n",
            "0\r\nX : 1\r\n\r\n",
            "0\r\nX: 1\r\n folded\r\n\r\n",
        ] {
            let whole = format!("{chunks}0\r\n\r\n0\r\n\r\n");
            assert_eq!(taken(BodyFraming::Chunked, &whole, 100), Err(BadBody), "{chunks:?}");
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let with_trailer = |bytes: usize| format!("0\r\nX: {}\r\n\r\n", "a".repeat(bytes - "X: ".len()));
        let in_lines = |bytes: usize| format!("0\r\nX: {}\r\nY: 1\r\n\r\n", "a".repeat(bytes - "X: Y: 1".len()));
        for whole in [with_trailer, in_lines] {
            assert!(taken(BodyFraming::Chunked, &whole(4096), 100).is_ok());
            assert_eq!(taken(BodyFraming::Chunked, &whole(4097), 100), Err(BadBody));
        }
        let with_extension = |bytes: usize| format!("1;{}\r\na\r\n0\r\n\r\n", "a".repeat(bytes));
        assert_eq!(taken(BodyFraming::Chunked, &with_extension(256), 100).unwrap().0, "a");
        assert_eq!(taken(BodyFraming::Chunked, &with_extension(257), 100), Err(BadBody));
    }
}
