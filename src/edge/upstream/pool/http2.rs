//! A core's HTTP/2 connections to one endpoint. One is enough for most requests; another is opened when all streams
//! that the endpoint allows on it are in use. Bodies share a connection only if its window has capacity for all of
//! them: so no other request has to wait if the endpoint does not read some of them. A body that is longer, or of
//! unknown length, has a connection to itself.

use std::{
    cell::{Cell, RefCell},
    io::{self, IoSlice},
    pin::Pin,
    rc::{Rc, Weak},
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use h2::client::{self, SendRequest};
use http::{Request, header::CONTENT_LENGTH};
use http_body::Body;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::watch,
    task::AbortHandle,
};

use super::frames::ServiceFrames;
use crate::edge::{
    body::request_body::RequestBody,
    error::Failure,
    http1::{body_framing::number, response_head::MAX_RESPONSE_HEAD_BYTES},
    http2::trailers::ExpectedTrailers,
    limits::permit::Permit,
    net::service_stream::ServiceStream,
    upstream::connector::Connector,
};

/// The most connections of a core to one endpoint. When all are full, requests wait for the one with the fewest.
const MAX_CONNECTIONS: usize = 8;

/// How much of a response may wait for its client.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;

/// The connection's window must never be the limit: otherwise a few clients that do not read could block all others. It
/// is the largest possible (RFC 9113 §6.9.1).
const CONNECTION_WINDOW_BYTES: u32 = (1 << 31) - 1;

/// How much of a request's body may wait for the service, in addition to its windows.
const UNSENT_BYTES: usize = 64 * 1024;

/// How many streams may violate the protocol before the connection is closed.
const MAX_RESETS: usize = 1024;

/// A longer body gets a connection to itself. The initial window of a connection is at least four times as large.
pub(crate) const MAX_SHARED_BODY_BYTES: u64 = 16 * 1024;

/// The effect of a request's body on the window of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// There is no body.
    Nothing,
    /// It uses at most this many bytes of the window.
    Light(u64),
    /// It may use up the whole window.
    Heavy,
}

impl Load {
    /// The load of a request.
    pub(crate) fn of(request: &Request<RequestBody>) -> Self {
        let headers = request.headers();
        let length = headers.get(CONTENT_LENGTH).and_then(|length| number(length.as_bytes()));
        if request.body().is_end_stream() {
            return Self::Nothing;
        }
        // Most gRPC calls declare no length, but have arrived completely.
        let length = length.or_else(|| request.body().upload()?.whole_bytes());
        match length {
            Some(length) if length <= MAX_SHARED_BODY_BYTES => Self::Light(length),
            Some(_) | None => Self::Heavy,
        }
    }
}

/// Receives the result of opening a connection.
type Opening = watch::Receiver<Option<Result<Weak<Connection>, Failure>>>;

/// The HTTP/2 connections to one endpoint.
#[derive(Default)]
pub(crate) struct Http2Pool {
    connections: RefCell<Vec<Rc<Connection>>>,
    /// The connection that is being opened, for all requests that wait for it.
    opening: RefCell<Option<Opening>>,
}

struct Connection {
    requests: RefCell<SendRequest<Bytes>>,
    /// Reads and writes for all streams, until the connection has ended.
    driver: AbortHandle,
    streams: Cell<usize>,
    used_at: Cell<Instant>,
    opened_at: Instant,
    /// A response took too long on it: it may be dead, and gets no more requests.
    suspect: Cell<bool>,
    /// The permit for this socket.
    _permit: Permit,
    /// Whether one request has it to itself.
    is_exclusive: Cell<bool>,
    /// How many bytes of bodies the requests on it may still send. Sent bytes count until their request ends.
    pledged: Cell<u64>,
    frames: Rc<RefCell<ServiceFrames>>,
}

impl Connection {
    fn is_usable(&self) -> bool {
        let takes_more = self.requests.borrow_mut().poll_ready(&mut Context::from_waker(Waker::noop()));
        !self.driver.is_finished() && !self.suspect.get() && !matches!(takes_more, Poll::Ready(Err(_)))
    }

    fn is_full(&self) -> bool {
        self.streams.get() >= self.requests.borrow().current_max_send_streams()
    }

    /// Whether a request with this load may use it, if a stream is free.
    fn suits(&self, load: Load) -> bool {
        match load {
            Load::Nothing => !self.is_exclusive.get(),
            Load::Light(bytes) => !self.is_exclusive.get() && self.frames.borrow().takes(self.pledged.get() + bytes),
            Load::Heavy => self.streams.get() == 0 && self.frames.borrow().takes(MAX_SHARED_BODY_BYTES),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// One request's stream on a connection. Dropping it frees the stream; dropping the exchange ends the request.
pub(crate) struct Stream {
    connection: Rc<Connection>,
    pledged: u64,
}

impl Stream {
    fn on(connection: &Rc<Connection>, load: Load) -> Self {
        let pledged = if let Load::Light(bytes) = load { bytes } else { 0 };
        connection.is_exclusive.set(load == Load::Heavy);
        connection.pledged.set(connection.pledged.get() + pledged);
        connection.streams.set(connection.streams.get() + 1);
        connection.used_at.set(Instant::now());
        Self { connection: Rc::clone(connection), pledged }
    }

    /// The handle for sending a request, once the service allows one more.
    pub(crate) fn requests(&self) -> SendRequest<Bytes> {
        self.connection.requests.borrow().clone()
    }

    /// Expects the trailers of the response on this stream.
    pub(crate) fn expect_trailers(&self, stream: u32) -> ExpectedTrailers {
        ExpectedTrailers::begin(self.connection.frames.borrow().trailers(), stream)
    }

    /// Whether the response on this stream may be the reason why the connection was closed.
    pub(crate) fn is_suspect(&self, stream: u32) -> bool {
        self.connection.frames.borrow().is_suspect(stream)
    }

    /// No response came in time: the next request opens another connection, and those in progress continue.
    pub(crate) fn quarantine(&self) {
        self.connection.suspect.set(true);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.connection.streams.set(self.connection.streams.get().saturating_sub(1));
        self.connection.is_exclusive.set(false);
        self.connection.pledged.set(self.connection.pledged.get().saturating_sub(self.pledged));
        self.connection.used_at.set(Instant::now());
    }
}

impl Http2Pool {
    /// A stream on an open connection that is younger than `max_age`, if one is free or no more connections may be opened. Connections that do not
    /// suit the request do not count towards the maximum: each is held by a request, and requests are limited.
    pub(crate) fn take(&self, load: Load, max_age: Option<Duration>) -> Option<Stream> {
        let mut connections = self.connections.borrow_mut();
        connections.retain(|connection| connection.is_usable());
        let is_young = |connection: &Connection| max_age.is_none_or(|most| connection.opened_at.elapsed() < most);
        let fit = || connections.iter().filter(|connection| connection.suits(load) && is_young(connection));
        let free = fit().find(|connection| !connection.is_full());
        let least = || fit().min_by_key(|connection| connection.streams.get());
        free.or_else(|| least().filter(|_| fit().count() >= MAX_CONNECTIONS))
            .map(|connection| Stream::on(connection, load))
    }

    /// Opens a connection, or waits for the one that is being opened. Opening continues even if no request waits any
    /// more. A connection that was opened and is already closed is an error, too: otherwise a waiter would open one
    /// after another.
    pub(crate) async fn open(
        self: &Rc<Self>,
        connector: &Rc<Connector>,
        limit: Duration,
        permit: Permit,
    ) -> Result<(), Failure> {
        let mut opening = self.opening(connector, limit, permit);
        let outcome = opening.wait_for(Option::is_some).await.map(|outcome| outcome.clone());
        let opened = outcome.ok().flatten().unwrap_or(Err(Failure::Unreachable))?;
        let is_usable = opened.upgrade().is_some_and(|connection| connection.is_usable());
        if is_usable { Ok(()) } else { Err(Failure::HungUp) }
    }

    fn opening(self: &Rc<Self>, connector: &Rc<Connector>, limit: Duration, permit: Permit) -> Opening {
        let mut opening = self.opening.borrow_mut();
        if let Some(known) = opening.as_ref().filter(|known| known.has_changed().is_ok()) {
            return known.clone();
        }
        let (told, receiver) = watch::channel(None);
        *opening = Some(receiver.clone());
        let (pool, connector) = (Rc::clone(self), Rc::clone(connector));
        tokio::task::spawn_local(async move {
            let outcome = connect(&connector, limit, permit).await;
            let outcome = outcome.map(|connection| {
                let connection = Rc::new(connection);
                let opened = Rc::downgrade(&connection);
                pool.connections.borrow_mut().push(connection);
                opened
            });
            pool.opening.take();
            // The receivers may be gone.
            let _ = told.send(Some(outcome));
        });
        receiver
    }

    /// Closes connections that are dead or were idle for `idle_timeout`.
    pub(crate) fn close_idle(&self, now: Instant, idle_timeout: Duration) {
        self.connections.borrow_mut().retain(|connection| {
            let idle = now.saturating_duration_since(connection.used_at.get());
            connection.is_usable() && (connection.streams.get() > 0 || idle < idle_timeout)
        });
    }
}

async fn connect(connector: &Rc<Connector>, limit: Duration, permit: Permit) -> Result<Connection, Failure> {
    let frames = Rc::new(RefCell::new(ServiceFrames::new()));
    let stream = Observed {
        stream: connector.connect(limit).await?,
        frames: Rc::clone(&frames),
        connector: Rc::clone(connector),
    };
    let (requests, driver) = client::Builder::new()
        .enable_push(false)
        .max_header_list_size(u32::try_from(MAX_RESPONSE_HEAD_BYTES).unwrap_or(u32::MAX))
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buffer_size(UNSENT_BYTES)
        .max_local_error_reset_streams(Some(MAX_RESETS))
        .handshake(stream)
        .await
        .map_err(|_| Failure::Unreachable)?;
    let driver = tokio::task::spawn_local(async move {
        // Each stream reports its own end; the result of the connection adds nothing.
        let _ = driver.await;
    });
    Ok(Connection {
        requests: RefCell::new(requests),
        driver: driver.abort_handle(),
        streams: Cell::new(0),
        used_at: Cell::new(Instant::now()),
        opened_at: Instant::now(),
        suspect: Cell::new(false),
        _permit: permit,
        is_exclusive: Cell::new(false),
        pledged: Cell::new(0),
        frames,
    })
}

/// The service's socket as h2 sees it; the frames on it are tracked.
struct Observed {
    stream: ServiceStream,
    frames: Rc<RefCell<ServiceFrames>>,
    connector: Rc<Connector>,
}

impl AsyncRead for Observed {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        // The library tells its streams only that the connection has broken, not why.
        ready!(Pin::new(&mut this.stream).poll_read(context, buf))
            .inspect_err(|error| this.connector.on_broken(error))?;
        this.frames.borrow_mut().read(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Observed {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write(context, bytes))?;
        this.frames.borrow_mut().written(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write_vectored(context, slices))?;
        let mut left = written;
        for slice in slices {
            let sent = left.min(slice.len());
            this.frames.borrow_mut().written(&slice[..sent]);
            left -= sent;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
