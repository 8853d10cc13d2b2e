//! A connection after an upgrade: copies bytes in both directions with back-pressure, until both sides have closed
//! theirs or the stream must not go on.

use std::{
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::edge::{
    observe::access_log::Record,
    timer::stream_guard::Stream,
    upstream::{cluster::endpoint::Lease, pool::http1::Connection},
};

/// The service's side, with the state of the stream.
pub(crate) struct Tunnel {
    service: Connection,
    /// The connection counts as a request in flight.
    lease: Lease,
    stream: Rc<Stream>,
    record: Option<Box<Record>>,
}

impl Tunnel {
    /// `service` is the connection after the 101.
    pub(crate) fn new(service: Connection, lease: Lease, stream: Rc<Stream>) -> Self {
        Self { service, lease, stream, record: None }
    }

    /// Logs `record` when the tunnel has ended.
    pub(crate) fn record(&mut self, record: Box<Record>) {
        self.record = Some(record);
    }

    /// Runs until it ends. `first` was read from the client already.
    pub(crate) async fn run(self, client: impl AsyncRead + AsyncWrite + Unpin, first: Bytes) {
        let Self { mut service, lease, stream, mut record } = self;
        stream.restart_idle_timer();
        let first_of_service = service.input.split().freeze();
        let service = End { io: &mut service.stream, first: first_of_service, stream: &stream, record: None };
        let client = End { io: client, first, stream: &stream, record: record.as_deref() };
        let ended = join(client, service, &stream).await;
        match (&mut record, ended) {
            (Some(record), Ok(())) => record.complete(),
            (Some(record), Err(error)) => record.break_off(&error),
            (None, _) => {}
        }
        drop(lease);
    }
}

/// Copies in both directions until both sides have closed theirs, or the stream must not go on.
async fn join(
    mut client: End<'_, impl AsyncRead + AsyncWrite + Unpin>,
    mut service: End<'_, impl AsyncRead + AsyncWrite + Unpin>,
    stream: &Stream,
) -> io::Result<()> {
    let mut copying = pin!(tokio::io::copy_bidirectional(&mut client, &mut service));
    std::future::poll_fn(|context| match stream.end_reason(context.waker()) {
        Some(over) => Poll::Ready(Err(io::Error::other(over))),
        None => copying.as_mut().poll(context).map_ok(|_bytes| ()),
    })
    .await
}

/// One side. Its activity restarts the stream's idle timer.
struct End<'s, T> {
    io: T,
    first: Bytes,
    stream: &'s Stream,
    /// Counts the bytes read and written here; only the client's side has it.
    record: Option<&'s Record>,
}

impl<T: AsyncRead + Unpin> AsyncRead for End<'_, T> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        if this.first.is_empty() {
            ready!(Pin::new(&mut this.io).poll_read(context, buf))?;
        } else {
            let length = this.first.len().min(buf.remaining());
            buf.put_slice(&this.first[..length]);
            this.first.advance(length);
        }
        if let Some(record) = this.record {
            record.received(buf.filled().len() - before);
        }
        this.stream.restart_idle_timer();
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for End<'_, T> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.io).poll_write(context, bytes))?;
        if let Some(record) = this.record {
            record.sent(written);
        }
        this.stream.restart_idle_timer();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }
}
