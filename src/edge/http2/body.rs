//! The body on an HTTP/2 stream, from a client or from a service. The library reads it; this module validates its end.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::RecvStream;
use http_body::{Body, Frame};
use tokio::time::{Instant, timeout_at};

use super::{trailers::ExpectedTrailers, validate::are_malformed};
use crate::edge::{
    http::message::BodyLength,
    timer::client_timeouts::{LINGER, LINGER_SILENCE},
};

/// The body on an HTTP/2 stream.
pub(crate) struct Http2Body {
    stream: RecvStream,
    /// The number of bytes that are still to come, if the head declared a length.
    left: Option<u64>,
    trailers: ExpectedTrailers,
    is_malformed: bool,
}

impl Http2Body {
    /// A body of unknown length.
    pub(crate) fn new(stream: RecvStream, trailers: ExpectedTrailers) -> Self {
        Self { stream, left: None, trailers, is_malformed: false }
    }

    /// Whether it has ended with trailers that make its message malformed.
    pub(crate) fn is_malformed(&self) -> bool {
        self.is_malformed
    }

    /// Sets the length that the head declares. No byte of the body may have been read before.
    pub(crate) fn expect(&mut self, length: BodyLength) {
        self.left = length.expected();
    }

    /// Discards the rest of the body, for as long as an HTTP/1 connection lingers. A response may end before its
    /// request (RFC 9113 §8.1); many clients that are still sending lose the response if their stream is reset at once.
    pub(crate) async fn discard(body: &RefCell<Self>) {
        let end = Instant::now() + LINGER;
        let next = || std::future::poll_fn(|context| Pin::new(&mut *body.borrow_mut()).poll_frame(context));
        // A stream that was reset, or has ended, yields nothing more.
        while let Ok(Some(Ok(_))) = timeout_at(end.min(Instant::now() + LINGER_SILENCE), next()).await {}
    }

    /// Whether `frame` is valid as the next one.
    fn check(&mut self, frame: Option<&Frame<Bytes>>) -> io::Result<()> {
        let Some(frame) = frame else {
            // Only END_STREAM ends a message (RFC 9113 §8.1). If it came before a reset, as it does when a service
            // responds early, the message is complete.
            if !self.stream.is_end_stream() {
                return Err(io::Error::other("the stream was reset before the end of the body"));
            }
            return if self.left.is_none_or(|left| left == 0) { Ok(()) } else { Err(wrong_length()) };
        };
        if let (Some(data), Some(left)) = (frame.data_ref(), &mut self.left) {
            *left = left.checked_sub(data.len() as u64).ok_or_else(wrong_length)?;
        }
        // RFC 9113 §8.1: a message with pseudo-headers in its trailers is malformed.
        if frame.trailers_ref().is_some_and(|trailers| are_malformed(trailers) || !self.trailers.are_whole(trailers)) {
            self.is_malformed = true;
            return Err(io::Error::other(
                "the trailers have a forbidden field, a blank around a value, or too many fields",
            ));
        }
        Ok(())
    }
}

impl Body for Http2Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        // Pass the error on as text only: otherwise the error code of this stream could be taken for one of the stream
        // on the other side, and `REFUSED_STREAM` there means that nothing was done.
        let frame = ready!(poll_stream(&mut this.stream, context))
            .transpose()
            .map_err(|error| io::Error::other(error.to_string()));
        let validated = frame.and_then(|frame| this.check(frame.as_ref()).map(|()| frame));
        Poll::Ready(validated.transpose())
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }
}

/// The next part of a body. Lets the sender send as many bytes more.
fn poll_stream(stream: &mut RecvStream, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
    if let Some(data) = ready!(stream.poll_data(context)?) {
        stream.flow_control().release_capacity(data.len())?;
        return Poll::Ready(Some(Ok(Frame::data(data))));
    }
    let trailers = ready!(stream.poll_trailers(context))?;
    Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
}

fn wrong_length() -> io::Error {
    io::Error::other("the body does not have the length in its head")
}
