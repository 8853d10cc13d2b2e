//! A response's body from a service: on an HTTP/1.1 connection, or on an HTTP/2 stream.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::exchange::{http1::Http1Exchange, http2::Http2Exchange};
use crate::edge::{error::Failure, timer::stream_guard::Guard};

/// A response's body from a service.
pub(crate) enum UpstreamBody {
    /// On an HTTP/1.1 connection.
    Http1(Box<Http1Exchange>),
    /// On an HTTP/2 stream.
    Http2(Box<Http2Exchange>),
}

impl UpstreamBody {
    /// The next frame from a service, while the guard allows the wait.
    pub(crate) fn poll_guarded(
        &mut self,
        guard: &mut Guard,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(over) = guard.end_reason() {
            return Poll::Ready(Some(Err(io::Error::other(over))));
        }
        let frame = Pin::new(self).poll_frame(context);
        if frame.is_pending() {
            guard.start_idle_timer(context.waker());
        } else {
            guard.pause_idle_timer();
        }
        frame
    }

    /// Gives the connection back for reuse.
    pub(crate) fn give_back(&mut self) {
        match self {
            Self::Http1(exchange) => exchange.give_back(),
            Self::Http2(exchange) => exchange.give_back(),
        }
    }

    pub(crate) fn is_uploading(&self) -> bool {
        match self {
            Self::Http1(exchange) => exchange.is_uploading(),
            Self::Http2(exchange) => exchange.is_uploading(),
        }
    }

    pub(crate) fn poll_upload(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        match self {
            Self::Http1(exchange) => exchange.poll_upload(context),
            Self::Http2(exchange) => exchange.poll_upload(context),
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Http1(exchange) => exchange.poll_frame(context),
            Self::Http2(exchange) => exchange.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(exchange) => exchange.is_answered(),
            Self::Http2(exchange) => exchange.is_answered(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        // The head declares the length.
        if self.is_end_stream() { SizeHint::with_exact(0) } else { SizeHint::default() }
    }
}
