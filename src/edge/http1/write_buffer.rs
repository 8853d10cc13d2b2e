//! The pending output of an HTTP/1.x connection. Small parts are joined, so that a head and a short body cost one
//! system call; large parts are written without a copy.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

/// The most bytes that are joined before a write.
const SMALL_BYTES: usize = 16 * 1024;

/// How many buffers a core keeps for the next messages.
const MAX_SPARE: usize = 64;

/// Fits the head of most messages, with a short body.
const ROOM: usize = 4 * 1024;

thread_local! {
    /// The unused buffers of a core.
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// The pending output of a connection.
#[derive(Debug)]
pub(crate) struct WriteBuffer {
    small: Vec<u8>,
    /// How many of the small bytes were written.
    written: usize,
    large: Bytes,
    /// The bytes after the large part.
    tail: &'static [u8],
    /// The number of body bytes that were added, without those that [`WriteBuffer::body_written`] has reported.
    body: usize,
    /// Whether the stream may still hold some of the written bytes.
    is_unflushed: bool,
}

impl WriteBuffer {
    /// An empty buffer, with space for a head.
    pub(crate) fn new() -> Self {
        let spare = SPARE.with_borrow_mut(Vec::pop);
        Self::with(spare.unwrap_or_else(|| Vec::with_capacity(ROOM)))
    }

    /// A buffer with these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self::with(bytes.to_vec())
    }

    fn with(small: Vec<u8>) -> Self {
        Self { small, written: 0, large: Bytes::new(), tail: &[], body: 0, is_unflushed: false }
    }

    /// The buffer for heads and framing bytes.
    pub(crate) fn head(&mut self) -> &mut Vec<u8> {
        &mut self.small
    }

    /// Whether all of it has left: TLS accepts more than the socket does, and writes the rest only when it is flushed.
    pub(crate) fn is_empty(&self) -> bool {
        !self.is_unflushed && self.is_taken()
    }

    /// Whether the stream has accepted all of it.
    fn is_taken(&self) -> bool {
        self.written == self.small.len() && self.large.is_empty() && self.tail.is_empty()
    }

    /// The number of bytes still to be written.
    pub(crate) fn left(&self) -> usize {
        self.small.len() - self.written + self.large.len() + self.tail.len()
    }

    /// The number of body bytes written since the last call. Bodies come last: the bytes left are a body's, except for
    /// a few framing bytes.
    pub(crate) fn body_written(&mut self) -> usize {
        let left = self.body.min(self.left());
        std::mem::replace(&mut self.body, left) - left
    }

    /// Whether some of it was written, but not all.
    pub(crate) fn is_begun(&self) -> bool {
        self.written > 0 && !self.is_taken()
    }

    /// Whether more may be added before the present bytes are written.
    pub(crate) fn has_room(&self) -> bool {
        self.large.is_empty() && self.tail.is_empty() && self.small.len() < SMALL_BYTES
    }

    /// Adds a part of a body, and the bytes `behind` it. The buffer must have space for it.
    pub(crate) fn add_body(&mut self, data: Bytes, behind: &'static [u8]) {
        self.body += data.len();
        if self.small.len() + data.len() <= SMALL_BYTES {
            self.small.extend_from_slice(&data);
            self.small.extend_from_slice(behind);
        } else {
            self.large = data;
            self.tail = behind;
        }
    }

    /// Writes as much as the connection takes; ready when all was written and flushed.
    pub(crate) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        stream: &mut S,
    ) -> Poll<io::Result<()>> {
        while !self.is_taken() {
            let small = &self.small[self.written..];
            let written = if self.large.is_empty() && self.tail.is_empty() {
                ready!(Pin::new(&mut *stream).poll_write(context, small))?
            } else {
                let parts = [IoSlice::new(small), IoSlice::new(&self.large), IoSlice::new(self.tail)];
                ready!(Pin::new(&mut *stream).poll_write_vectored(context, &parts))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.is_unflushed = true;
            self.advance(written);
        }
        self.small.clear();
        self.written = 0;
        ready!(Pin::new(stream).poll_flush(context))?;
        self.is_unflushed = false;
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, written: usize) {
        let of_small = written.min(self.small.len() - self.written);
        self.written += of_small;
        let of_large = (written - of_small).min(self.large.len());
        self.large.advance(of_large);
        if self.large.is_empty() {
            // Release its memory: it is reused for the next read.
            self.large = Bytes::new();
        }
        self.tail = &self.tail[written - of_small - of_large..];
    }
}

impl Drop for WriteBuffer {
    fn drop(&mut self) {
        // A buffer that has grown is not worth keeping.
        if self.small.capacity() != ROOM {
            return;
        }
        self.small.clear();
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < MAX_SPARE {
                spare.push(std::mem::take(&mut self.small));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use http::HeaderMap;
    use http_body::Frame;

    use super::super::body_encoder::{BodyEncoder, WrongLength};
    use super::*;

    /// Accepts this many bytes, and then nothing until it is polled again.
    struct Slow {
        most: usize,
        got: Vec<u8>,
        ready: bool,
    }

    impl AsyncWrite for Slow {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            let this = self.get_mut();
            this.ready = !this.ready;
            if !this.ready {
                return Poll::Pending;
            }
            let length = bytes.len().min(this.most);
            this.got.extend_from_slice(&bytes[..length]);
            Poll::Ready(Ok(length))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Accepts everything at once, and releases one byte on every second flush, as TLS does with a slow reader.
    #[derive(Default)]
    struct HoldsBack {
        held: std::collections::VecDeque<u8>,
        got: Vec<u8>,
        ready: bool,
    }

    impl AsyncWrite for HoldsBack {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.get_mut().held.extend(bytes);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            let this = self.get_mut();
            this.ready = !this.ready;
            if this.ready {
                this.got.extend(this.held.pop_front());
            }
            if this.held.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn it_is_empty_only_if_the_stream_holds_nothing_back() {
        let (mut output, mut stream) = (WriteBuffer::of(b"the last event"), HoldsBack::default());
        let mut context = Context::from_waker(Waker::noop());
        let mut polls = 0;
        while !output.is_empty() {
            let written = output.poll_write(&mut context, &mut stream);
            assert_eq!(written.is_ready(), output.is_empty());
            polls += 1;
        }
        assert_eq!((stream.got.as_slice(), polls), (b"the last event".as_slice(), 27));
        // More may be added while the stream holds some back.
        let mut encoder = BodyEncoder::UntilClose;
        for part in ["one ", "two"] {
            assert!(output.has_room());
            encoder.put(Frame::data(Bytes::from(part)), &mut output).unwrap();
            let _ = output.poll_write(&mut context, &mut stream);
        }
        while !output.is_empty() {
            let _ = output.poll_write(&mut context, &mut stream);
        }
        assert_eq!(stream.got, b"the last eventone two");
    }

    /// The written bytes of `parts`, if the stream accepts at most `most` bytes at a time.
    fn written(mut encoder: BodyEncoder, parts: &[&[u8]], most: usize) -> Result<Vec<u8>, WrongLength> {
        let mut output = WriteBuffer::of(b"head|");
        let mut stream = Slow { most, got: Vec::new(), ready: false };
        let mut context = Context::from_waker(Waker::noop());
        for part in parts {
            while !output.has_room() {
                let _ = output.poll_write(&mut context, &mut stream);
            }
            encoder.put(Frame::data(Bytes::copy_from_slice(part)), &mut output)?;
        }
        encoder.finish(&mut output)?;
        while output.poll_write(&mut context, &mut stream).is_pending() {}
        assert!(output.is_empty() && output.has_room());
        Ok(stream.got)
    }

    #[test]
    fn a_body_is_framed_as_its_head_declares_however_slowly_it_is_written() {
        let large = vec![b'x'; SMALL_BYTES + 1];
        for most in [1, 7, 1_000_000] {
            assert_eq!(written(BodyEncoder::Length(5), &[b"ab", b"cde"], most).unwrap(), b"head|abcde");
            assert_eq!(
                written(BodyEncoder::Chunked { trailers: false }, &[b"ab", b"", b"0123456789abcdef"], most).unwrap(),
                b"head|2\r\nab\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"
            );
            let expected = [b"head|4001\r\n", &large[..], b"\r\n1\r\na\r\n0\r\n\r\n"].concat();
            assert!(written(BodyEncoder::Chunked { trailers: false }, &[&large, b"a"], most).unwrap() == expected);
            assert_eq!(written(BodyEncoder::UntilClose, &[b"ab"], most).unwrap(), b"head|ab");
            assert_eq!(written(BodyEncoder::Nothing, &[b"ab"], most).unwrap(), b"head|");
        }
        assert_eq!(written(BodyEncoder::Length(1), &[b"ab"], 9), Err(WrongLength));
        assert_eq!(written(BodyEncoder::Length(3), &[b"ab"], 9), Err(WrongLength));
    }

    #[test]
    fn body_bytes_are_reported_once_they_are_written() {
        let large = vec![b'x'; SMALL_BYTES + 1];
        for (mut encoder, parts) in [
            (BodyEncoder::Length(7), vec![&b"abc"[..], b"defg"]),
            (BodyEncoder::UntilClose, vec![b"", b"ab"]),
            (BodyEncoder::Length(large.len() as u64), vec![&large]),
            (BodyEncoder::Chunked { trailers: false }, vec![b"a", &large]),
            (BodyEncoder::Chunked { trailers: false }, vec![&large, b"a"]),
            (BodyEncoder::Nothing, vec![b"abc"]),
        ] {
            let marks = matches!(encoder, BodyEncoder::Chunked { .. });
            let sent: usize =
                if encoder == BodyEncoder::Nothing { 0 } else { parts.iter().map(|part| part.len()).sum() };
            let mut output = WriteBuffer::of(b"head|");
            let mut stream = Slow { most: 1, got: Vec::new(), ready: false };
            let mut context = Context::from_waker(Waker::noop());
            let mut told = 0;
            assert_eq!(output.body_written(), 0);
            for part in &parts {
                while !output.has_room() {
                    let _ = output.poll_write(&mut context, &mut stream);
                    told += output.body_written();
                    let written = stream.got.len().saturating_sub("head|".len());
                    assert!(if marks { told <= written } else { told == written }, "{told} of {written}");
                }
                encoder.put(Frame::data(Bytes::copy_from_slice(part)), &mut output).unwrap();
            }
            encoder.finish(&mut output).unwrap();
            while output.poll_write(&mut context, &mut stream).is_pending() {
                told += output.body_written();
            }
            told += output.body_written();
            assert_eq!((told, output.body_written()), (sent, 0));
        }
    }

    #[test]
    fn trailers_are_sent_only_to_clients_that_accept_them() {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "7".parse().unwrap());
        for (takes, expected) in [(true, &b"0\r\nx-sum: 7\r\n\r\n"[..]), (false, b"0\r\n\r\n")] {
            let (mut encoder, mut output) = (BodyEncoder::Chunked { trailers: takes }, WriteBuffer::new());
            encoder.put(Frame::trailers(trailers.clone()), &mut output).unwrap();
            encoder.finish(&mut output).unwrap();
            assert_eq!(output.small, expected);
        }
    }
}
