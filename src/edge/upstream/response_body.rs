//! A response's body from a service: on an HTTP/1.1 connection, or on an HTTP/2 stream.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{
    cluster::endpoint::Lease,
    exchange::{http1::Http1Exchange, http2::Http2Exchange, is_the_requests},
};
use crate::edge::{error::Failure, timer::stream_guard::Guard};

/// A response's body from a service.
pub(crate) struct UpstreamBody {
    exchange: Exchange,
    lease: Lease,
}

/// The exchange that a response belongs to.
pub(crate) enum Exchange {
    /// On an HTTP/1.1 connection.
    Http1(Box<Http1Exchange>),
    /// On an HTTP/2 stream.
    Http2(Box<Http2Exchange>),
}

impl UpstreamBody {
    /// `lease` is that of the endpoint.
    pub(crate) fn new(exchange: Exchange, lease: Lease) -> Self {
        Self { exchange, lease }
    }

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
        match &mut self.exchange {
            Exchange::Http1(exchange) => exchange.give_back(),
            Exchange::Http2(exchange) => exchange.give_back(),
        }
        self.lease.complete();
    }

    pub(crate) fn is_uploading(&self) -> bool {
        match &self.exchange {
            Exchange::Http1(exchange) => exchange.is_uploading(),
            Exchange::Http2(exchange) => exchange.is_uploading(),
        }
    }

    pub(crate) fn poll_upload(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        match &mut self.exchange {
            Exchange::Http1(exchange) => exchange.poll_upload(context),
            Exchange::Http2(exchange) => exchange.poll_upload(context),
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        let frame = match &mut this.exchange {
            Exchange::Http1(exchange) => exchange.poll_frame(context),
            Exchange::Http2(exchange) => exchange.poll_frame(context),
        };
        if let Poll::Ready(Some(Err(error))) = &frame
            && !is_the_requests(error)
        {
            this.lease.failed("it ended a response before its end");
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.exchange {
            Exchange::Http1(exchange) => exchange.is_answered(),
            Exchange::Http2(exchange) => exchange.is_answered(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        // The head declares the length.
        if self.is_end_stream() { SizeHint::with_exact(0) } else { SizeHint::default() }
    }
}
