//! A request's body as it comes from the client, whatever version of HTTP it comes in.

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

/// See the module.
pub(crate) enum Incoming {
    /// None.
    Empty,
    /// On a connection of HTTP/1.x, until the request has been answered.
    Http1(BodyReader),
    /// On a stream of HTTP/2, which discards the rest after the response; the guard says when not to wait for it, until the
    /// response has begun.
    Http2(Rc<RefCell<Http2Body>>, Option<Guard>),
}

impl Incoming {
    /// What comes on a client's stream. A client that owes it may be silent for as long as `idle`.
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

    /// What has to be read of a stream of HTTP/2 after the response, if there is a body.
    pub(crate) fn http2_body(&self) -> Option<Rc<RefCell<Http2Body>>> {
        if let Self::Http2(body, _) = self { Some(Rc::clone(body)) } else { None }
    }

    /// The client may be silent for so long. Over HTTP/1 the watchdog is told.
    pub(crate) fn may_idle(&mut self, idle: Duration) {
        if let Self::Http2(_, Some(guard)) = self {
            guard.may_idle(idle);
        }
    }

    /// The body has to be as long as its head says. On a connection of HTTP/1 no other length can come of it.
    pub(crate) fn expect(&mut self, length: BodyLength) {
        if let Self::Http2(body, _) = self {
            body.borrow_mut().expect(length);
        }
    }

    /// The response has begun: a client that reads that need not send.
    pub(crate) fn answer_begun(&mut self) {
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

/// The next part of a body that has something in it, as long as it may be waited for.
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
            // An empty frame is no sign of life.
            (Poll::Ready(Some(Ok(frame))), _) if frame.data_ref().is_some_and(Bytes::is_empty) => continue,
            (Poll::Pending, Some(guard)) => guard.start_idle_timer(context.waker()),
            (Poll::Ready(_), Some(guard)) => guard.pause_idle_timer(),
            (_, None) => {}
        }
        return frame;
    }
}
