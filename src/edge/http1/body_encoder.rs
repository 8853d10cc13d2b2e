//! Frames an outgoing body as its head declares: by its length, in chunks, or by the end of the connection (RFC 9112
//! §6).

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;

use super::write_buffer::WriteBuffer;
use crate::edge::http::field_line::put_headers;

/// The framing of an outgoing body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyEncoder {
    /// No body is sent.
    Nothing,
    /// This many bytes are to come.
    Length(u64),
    /// In chunks; `trailers` is whether the other end accepts trailers.
    Chunked { trailers: bool },
    /// By the end of the connection.
    UntilClose,
}

/// A body does not have the length that its head declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrongLength;

impl BodyEncoder {
    /// Adds a part of the body. The buffer must have space for it.
    pub(crate) fn put(&mut self, frame: Frame<Bytes>, output: &mut WriteBuffer) -> Result<(), WrongLength> {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(other) => {
                if let (Self::Chunked { trailers: true }, Ok(trailers)) = (&self, other.into_trailers()) {
                    self.finish_with(&trailers, output);
                }
                return Ok(());
            }
        };
        match self {
            Self::Nothing => return Ok(()),
            Self::Length(left) => *left = left.checked_sub(data.len() as u64).ok_or(WrongLength)?,
            Self::Chunked { .. } if data.is_empty() => return Ok(()),
            Self::Chunked { .. } => {
                let mut hex = [0; 16];
                output.head().extend_from_slice(hexadecimal(data.len(), &mut hex));
                output.head().extend_from_slice(b"\r\n");
            }
            Self::UntilClose => {}
        }
        output.add_body(data, if matches!(self, Self::Chunked { .. }) { b"\r\n" } else { b"" });
        Ok(())
    }

    /// Ends the body.
    pub(crate) fn finish(&mut self, output: &mut WriteBuffer) -> Result<(), WrongLength> {
        match self {
            Self::Length(1..) => Err(WrongLength),
            Self::Chunked { .. } => {
                self.finish_with(&HeaderMap::new(), output);
                Ok(())
            }
            Self::Nothing | Self::Length(0) | Self::UntilClose => Ok(()),
        }
    }

    fn finish_with(&mut self, trailers: &HeaderMap, output: &mut WriteBuffer) {
        output.head().extend_from_slice(b"0\r\n");
        put_headers(trailers.iter(), output.head());
        output.head().extend_from_slice(b"\r\n");
        *self = Self::Nothing;
    }
}

fn hexadecimal(number: usize, digits: &mut [u8; 16]) -> &[u8] {
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b"0123456789abcdef"[rest % 16];
        rest /= 16;
        if rest == 0 {
            return &digits[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_numbers_are_written_in_full() {
        assert_eq!(hexadecimal(usize::MAX, &mut [0; 16]), b"ffffffffffffffff");
        assert_eq!(hexadecimal(0, &mut [0; 16]), b"0");
    }
}
