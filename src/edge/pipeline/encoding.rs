//! Compresses a body part by part. What has come is sent on when nothing more is there yet, so that a slow response is
//! not held back; and a core that compresses yields to its other connections in between.

use std::{
    cell::Cell,
    io::{self, Write},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use flate2::write::GzEncoder;
use http_body::Frame;

use crate::edge::{limits::local_permit::LocalPermit, net::turn::end_turn};

/// The most bodies that a core compresses at once: each takes about a megabyte. Further ones are sent plain.
const MAX_ENCODERS: usize = 64;

thread_local! {
    static ENCODERS: Cell<usize> = const { Cell::new(0) };
}

/// How much is compressed before the core turns to its other connections: about a millisecond of work.
const TURN_BYTES: usize = 32 * 1024;

/// How much is compressed in one step.
const STEP_BYTES: usize = 8 * 1024;

/// So much output is sent on, even if more input is there.
const OUTPUT_BYTES: usize = 16 * 1024;

/// Levels at which a core compresses some tens of megabytes in a second: a slow response is worse than a larger one.
const GZIP_LEVEL: u32 = 5;
const BROTLI_QUALITY: u32 = 4;
const ZSTD_LEVEL: i32 = 3;

/// The window of Brotli and Zstandard, as a power of two: 256 KiB, as a larger one takes as much more memory.
const WINDOW_BITS: u32 = 18;

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// Brotli (RFC 7932).
    Brotli,
    /// gzip (RFC 1952).
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
}

impl Coding {
    /// The name in headers.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

enum Encoder {
    Gzip(Box<GzEncoder<Vec<u8>>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(Box<zstd::Encoder<'static, Vec<u8>>>),
    /// It has written its end.
    Ended,
}

impl Encoder {
    fn new(coding: Coding) -> io::Result<Self> {
        Ok(match coding {
            Coding::Gzip => Self::Gzip(Box::new(GzEncoder::new(Vec::new(), flate2::Compression::new(GZIP_LEVEL)))),
            Coding::Brotli => {
                let writer = brotli::CompressorWriter::new(Vec::new(), OUTPUT_BYTES, BROTLI_QUALITY, WINDOW_BITS);
                Self::Brotli(Box::new(writer))
            }
            Coding::Zstd => {
                let mut encoder = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.window_log(WINDOW_BITS)?;
                Self::Zstd(Box::new(encoder))
            }
        })
    }

    fn write(&mut self, part: &[u8]) -> io::Result<()> {
        match self {
            Self::Gzip(encoder) => encoder.write_all(part),
            Self::Brotli(encoder) => encoder.write_all(part),
            Self::Zstd(encoder) => encoder.write_all(part),
            Self::Ended => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Gzip(encoder) => encoder.flush(),
            Self::Brotli(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
            Self::Ended => Ok(()),
        }
    }

    /// Writes the end. Returns the rest of the output.
    fn finish(&mut self) -> io::Result<Vec<u8>> {
        match std::mem::replace(self, Self::Ended) {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Brotli(encoder) => Ok(encoder.into_inner()),
            Self::Zstd(encoder) => encoder.finish(),
            Self::Ended => Ok(Vec::new()),
        }
    }

    fn output(&mut self) -> Option<&mut Vec<u8>> {
        match self {
            Self::Gzip(encoder) => Some(encoder.get_mut()),
            Self::Brotli(encoder) => Some(encoder.get_mut()),
            Self::Zstd(encoder) => Some(encoder.get_mut()),
            Self::Ended => None,
        }
    }
}

/// The compression of one body.
pub(crate) struct Encoding {
    encoder: Encoder,
    /// What has come and is not compressed yet.
    input: Bytes,
    /// Whether the encoder holds something back.
    is_behind: bool,
    /// How much was compressed in this turn of the core.
    turn_bytes: usize,
    /// The trailers, which follow the end.
    trailers: Option<Frame<Bytes>>,
    _permit: LocalPermit,
}

impl Encoding {
    /// The compression of a body; `None` if the core has too many already, or no memory for another.
    pub(crate) fn new(coding: Coding) -> Option<Box<Self>> {
        let permit = LocalPermit::try_acquire(MAX_ENCODERS, &ENCODERS)?;
        Some(Box::new(Self {
            encoder: Encoder::new(coding).ok()?,
            input: Bytes::new(),
            is_behind: false,
            turn_bytes: 0,
            trailers: None,
            _permit: permit,
        }))
    }

    /// Whether nothing more follows.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.encoder, Encoder::Ended) && self.trailers.is_none()
    }

    /// The next compressed frame of a body; `next` polls for its plain ones.
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
        mut next: impl FnMut(&mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            if matches!(self.encoder, Encoder::Ended) {
                return Poll::Ready(self.trailers.take().map(Ok));
            }
            if !self.input.is_empty() {
                if let Some(frame) = ready!(self.poll_step(context)) {
                    return Poll::Ready(Some(frame));
                }
                continue;
            }
            let last = match next(context) {
                Poll::Pending => {
                    self.turn_bytes = 0;
                    if !std::mem::take(&mut self.is_behind) {
                        return Poll::Pending;
                    }
                    if let Err(error) = self.encoder.flush() {
                        return Poll::Ready(Some(Err(error)));
                    }
                    match self.take_output(1) {
                        // The body was polled, so it wakes the task, which now has something to send.
                        Some(output) => return Poll::Ready(Some(Ok(output))),
                        None => return Poll::Pending,
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        self.input = data;
                        continue;
                    }
                    Err(trailers) => Some(trailers),
                },
                Poll::Ready(None) => None,
            };
            self.trailers = last;
            let rest = match self.encoder.finish() {
                Ok(rest) => rest,
                Err(error) => return Poll::Ready(Some(Err(error))),
            };
            if !rest.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(rest.into()))));
            }
        }
    }

    /// Compresses a part of the input. Returns output if there is enough.
    fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.turn_bytes >= TURN_BYTES {
            self.turn_bytes = 0;
            end_turn(context);
            return Poll::Pending;
        }
        let part = self.input.split_to(self.input.len().min(STEP_BYTES));
        self.turn_bytes += part.len();
        self.is_behind = true;
        if let Err(error) = self.encoder.write(&part) {
            return Poll::Ready(Some(Err(error)));
        }
        Poll::Ready(self.take_output(OUTPUT_BYTES).map(Ok))
    }

    /// The output, if there are at least so many bytes.
    fn take_output(&mut self, least: usize) -> Option<Frame<Bytes>> {
        let output = self.encoder.output()?;
        (output.len() >= least).then(|| Frame::data(std::mem::take(output).into()))
    }
}

#[cfg(test)]
mod tests;
