//! HTTP/2 with one client: hyper reads and writes it, the pipeline answers. The time is kept here, from the raw bytes: hyper
//! refuses malformed frames and heads by itself, but says nothing about what does not come.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use http::{Method, Response};
use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tracing::debug;

use super::{
    body::AnswerBody,
    client::Peer,
    client_body::ClientBody,
    frames::Frames,
    head::MAX_HEAD_BYTES,
    local::LocalTasks,
    pipeline,
    socket::{Goodbye, Socket},
    upload::Incoming,
    watchdog::{Order, Vitals},
    worker::Core,
};

/// Serves a client until the connection ends. `first` was read from the socket already.
pub(super) async fn serve(core: &Rc<Core>, socket: Socket, first: BytesMut, peer: Peer, vitals: &Rc<Vitals>) {
    let mut frames = Frames::new();
    frames.follow(&first);
    vitals.speaks_http2(frames.in_head());
    let noting =
        Noting { socket, first, frames, vitals: Rc::clone(vitals), goodbye: Goodbye::default(), is_shut: false };
    let (http, peer) = (core.http2.clone(), Rc::new(peer));
    let (core, of_requests) = (Rc::clone(core), Rc::clone(vitals));
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let (core, peer, vitals) = (Rc::clone(&core), Rc::clone(&peer), Rc::clone(&of_requests));
        async move {
            let is_head = request.method() == Method::HEAD;
            let (parts, body) = request.into_parts();
            let mut head = parts.into();
            let mut answer = pipeline::answer(&core, &peer, &vitals, &mut head, Incoming::http2(body)).await;
            if is_head {
                AnswerBody::withheld(&mut answer);
            }
            Ok::<_, Infallible>(Response::from(answer.map(ClientBody::of)))
        }
    });
    let mut connection = Box::pin(http.serve_connection(TokioIo::new(noting), service));
    let mut draining = false;
    let served = std::future::poll_fn(|context| {
        if vitals.order() == Order::Drain && !draining {
            draining = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(context)
    });
    if let Err(error) = served.await {
        debug!(%error, "a client's connection broke");
    }
}

/// How HTTP/2 is served. The watchdog keeps the time; all else is hyper's to refuse.
pub(super) fn builder() -> http2::Builder<LocalTasks> {
    /// Requests of one connection at a time. As many as RFC 9113 §6.5.2 wants at least, and as others have.
    const MOST_STREAMS: u32 = 100;
    /// Streams that a client may begin and take back before we come to them (CVE-2023-44487), and errors of its own making
    /// that it may have us answer (CVE-2025-8671).
    const MOST_RESETS: usize = 20;
    /// What may come of bodies before services take it: of one, and of all on a connection.
    const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
    const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
    /// What is kept of an answer that its client does not read.
    const UNREAD_BYTES: usize = 64 * 1024;

    let mut http = http2::Builder::new(LocalTasks);
    http.max_concurrent_streams(MOST_STREAMS)
        .max_pending_accept_reset_streams(MOST_RESETS)
        .max_local_error_reset_streams(MOST_RESETS * 5)
        .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(UNREAD_BYTES);
    http
}

/// The client's socket as hyper sees it; what goes through is noted for the watchdog.
struct Noting {
    socket: Socket,
    /// What was read before it was clear what the client speaks.
    first: BytesMut,
    frames: Frames,
    vitals: Rc<Vitals>,
    goodbye: Goodbye,
    is_shut: bool,
}

impl AsyncRead for Noting {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.first.is_empty() {
            let length = this.first.len().min(buf.remaining());
            buf.put_slice(&this.first[..length]);
            this.first.advance(length);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut this.socket).poll_read(context, buf);
        match &read {
            Poll::Pending => this.vitals.fell_silent(this.frames.in_body()),
            Poll::Ready(_) if buf.filled().len() > before => {
                this.frames.follow(&buf.filled()[before..]);
                this.vitals.spoke(this.frames.in_head());
            }
            Poll::Ready(_) => {}
        }
        read
    }
}

impl AsyncWrite for Noting {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write(context, bytes);
        this.vitals.client_read(written.is_ready());
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write_vectored(context, slices);
        this.vitals.client_read(written.is_ready());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.socket).poll_flush(context);
        this.vitals.client_read(flushed.is_ready());
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.is_shut {
            ready!(this.goodbye.poll(context, &mut this.socket, &this.vitals))?;
            this.is_shut = true;
        }
        Poll::Ready(Ok(()))
    }
}
