//! A request's body as it comes from the client, independent of the HTTP version.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use h2::RecvStream;
use http_body::{Body, Frame};

use crate::edge::{
    http::message::BodyLength,
    http1::connection::BodyReader,
    http2::{body::Http2Body, trailers::ExpectedTrailers},
    timer::stream_guard::{Guard, StreamLimits, StreamRegistry},
};

/// A request's body from the client.
pub(crate) enum Incoming {
    /// There is no body.
    Empty,
    /// On an HTTP/1.x connection, until the response has been sent.
    Http1(BodyReader),
    /// On an HTTP/2 stream, which discards the rest after the response. The guard ends the wait for a silent client,
    /// until the response has begun.
    Http2(Rc<RefCell<Http2Body>>, Option<Guard>),
}

impl Incoming {
    /// The body of a client's HTTP/2 stream. A client that has more to send may be silent for `idle`.
    pub(crate) fn http2(
        stream: RecvStream,
        trailers: ExpectedTrailers,
        streams: &Rc<StreamRegistry>,
        idle: Duration,
    ) -> Self {
        if stream.is_end_stream() {
            return Self::Empty;
        }
        let guard = Guard::new(streams, StreamLimits { idle, deadline: None, token: None }, None);
        Self::Http2(Rc::new(RefCell::new(Http2Body::new(stream, trailers))), Some(guard))
    }

    /// The HTTP/2 stream of the body, if there is one: the rest of it must be read after the response.
    pub(crate) fn http2_body(&self) -> Option<Rc<RefCell<Http2Body>>> {
        if let Self::Http2(body, _) = self { Some(Rc::clone(body)) } else { None }
    }

    /// Allows the client to be silent for `idle`. Over HTTP/1, `ClientTimeouts` enforces this instead.
    pub(crate) fn may_idle(&mut self, idle: Duration) {
        if let Self::Http2(_, Some(guard)) = self {
            guard.may_idle(idle);
        }
    }

    /// Sets the length that the head declares. Over HTTP/1, the decoder cannot yield any other length.
    pub(crate) fn expect(&mut self, length: BodyLength) {
        if let Self::Http2(body, _) = self {
            body.borrow_mut().expect(length);
        }
    }

    /// The response has begun: a client that reads it need not send.
    pub(crate) fn response_begun(&mut self) {
        if let Self::Http2(_, guard) = self {
            *guard = None;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Http1(body) => body.poll(context).map_err(io::Error::other),
            Self::Http2(body, guard) => poll_guarded(&mut body.borrow_mut(), guard.as_mut(), context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Http1(body) => body.is_over(),
            Self::Http2(body, _) => body.borrow().is_end_stream(),
        }
    }
}

/// The next non-empty part of a body, while its guard allows the wait.
fn poll_guarded(
    body: &mut Http2Body,
    mut guard: Option<&mut Guard>,
    context: &mut Context<'_>,
) -> Poll<Option<io::Result<Frame<Bytes>>>> {
    if let Some(over) = guard.as_ref().and_then(|guard| guard.end_reason()) {
        return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, over))));
    }
    loop {
        let frame = Pin::new(&mut *body).poll_frame(context);
        match (&frame, &mut guard) {
            // An empty frame does not count as activity.
            (Poll::Ready(Some(Ok(frame))), _) if frame.data_ref().is_some_and(Bytes::is_empty) => continue,
            (Poll::Pending, Some(guard)) => guard.start_idle_timer(context.waker()),
            (Poll::Ready(_), Some(guard)) => guard.pause_idle_timer(),
            (_, None) => {}
        }
        return frame;
    }
}
