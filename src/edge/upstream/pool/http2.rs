//! A core's connections of HTTP/2 to one instance. One is enough for most requests; another is opened while all that the
//! instance allows on it are under way. Bodies share a connection only as far as its window has room for all of them: if the
//! instance does not read some, no other request waits. A body that is longer, or of unknown length, has a connection to itself.

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
    net::TcpStream,
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
    upstream::connector::Connector,
};

/// The most connections of a core to one instance. When all are full, requests wait for the one with the fewest.
const MAX_CONNECTIONS: usize = 8;

/// How much of an answer may wait for its client.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;

/// The connection's window never binds, as a few clients that do not read could otherwise keep all others waiting. It is the
/// largest that there is (RFC 9113 §6.9.1).
const CONNECTION_WINDOW_BYTES: u32 = (1 << 31) - 1;

/// How much of a request's body may wait for the service, besides what is in its windows.
const UNSENT_BYTES: usize = 64 * 1024;

/// How many streams may break a rule of the protocol until the connection is closed.
const MAX_RESETS: usize = 1024;

/// A longer body gets a connection to itself. The window of a connection is at least four times as large at first.
pub(crate) const MAX_SHARED_BODY_BYTES: u64 = 16 * 1024;

/// What a request's body does to the window of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// There is none.
    Nothing,
    /// It takes this many bytes of it at most.
    Light(u64),
    /// It may use up all of it.
    Heavy,
}

impl Load {
    /// That of a request.
    pub(crate) fn of(request: &Request<RequestBody>) -> Self {
        let headers = request.headers();
        let length = headers.get(CONTENT_LENGTH).and_then(|length| number(length.as_bytes()));
        if request.body().is_end_stream() {
            return Self::Nothing;
        }
        // Most calls of gRPC say no length, but are there as a whole.
        let length = length.or_else(|| request.body().upload()?.whole_bytes());
        match length {
            Some(length) if length <= MAX_SHARED_BODY_BYTES => Self::Light(length),
            Some(_) | None => Self::Heavy,
        }
    }
}

/// Holds what opening a connection came to, once it is known.
type Opening = watch::Receiver<Option<Result<Weak<Connection>, Failure>>>;

/// See the module.
#[derive(Default)]
pub(crate) struct Http2Pool {
    connections: RefCell<Vec<Rc<Connection>>>,
    /// What is being opened, for all who wait for it.
    opening: RefCell<Option<Opening>>,
}

struct Connection {
    requests: RefCell<SendRequest<Bytes>>,
    /// Reads and writes for all streams, until the connection has ended.
    driver: AbortHandle,
    streams: Cell<usize>,
    used_at: Cell<Instant>,
    /// It kept somebody waiting for too long: it may be dead, and is given no more requests.
    suspect: Cell<bool>,
    /// That the process may have this socket.
    _permit: Permit,
    /// One request has it to itself.
    is_exclusive: Cell<bool>,
    /// How many bytes of bodies the requests on it may still send. What was sent is counted until its request ends.
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

    /// Whether a request may be put here, if there is room.
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

/// One request's place on a connection. Dropping it gives the place back; the request is ended by dropping its exchange.
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

    /// Sends a request, when the service allows one more.
    pub(crate) fn requests(&self) -> SendRequest<Bytes> {
        self.connection.requests.borrow().clone()
    }

    /// What is to be known of the trailers of the answer on this stream.
    pub(crate) fn expect_trailers(&self, stream: u32) -> ExpectedTrailers {
        ExpectedTrailers::begin(self.connection.frames.borrow().trailers(), stream)
    }

    /// Whether the answer on this stream may be what the connection was ended for.
    pub(crate) fn is_suspect(&self, stream: u32) -> bool {
        self.connection.frames.borrow().is_suspect(stream)
    }

    /// No answer came in time: who comes next opens another connection, and those that are under way go on.
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
    /// A place on a connection that is open, if there is room or no more may be opened. Connections that do not suit the request
    /// are not counted: each of them is held by a request, and those are limited.
    pub(crate) fn take(&self, load: Load) -> Option<Stream> {
        let mut connections = self.connections.borrow_mut();
        connections.retain(|connection| connection.is_usable());
        let fit = || connections.iter().filter(|connection| connection.suits(load));
        let free = fit().find(|connection| !connection.is_full());
        let least = || fit().min_by_key(|connection| connection.streams.get());
        free.or_else(|| least().filter(|_| fit().count() >= MAX_CONNECTIONS))
            .map(|connection| Stream::on(connection, load))
    }

    /// Opens a connection, or waits for the one that is being opened. It goes on though nobody waits any more. A connection that
    /// was opened and is gone again is an error, too: whoever asked would otherwise open one after the other.
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
            // Whoever waited may be gone.
            let _ = told.send(Some(outcome));
        });
        receiver
    }

    /// Closes what is dead or was not used for `idle_timeout`.
    pub(crate) fn close_idle(&self, now: Instant, idle_timeout: Duration) {
        self.connections.borrow_mut().retain(|connection| {
            let idle = now.saturating_duration_since(connection.used_at.get());
            connection.is_usable() && (connection.streams.get() > 0 || idle < idle_timeout)
        });
    }
}

async fn connect(connector: &Connector, limit: Duration, permit: Permit) -> Result<Connection, Failure> {
    let frames = Rc::new(RefCell::new(ServiceFrames::new()));
    let stream = Observed { stream: connector.connect(limit).await?, frames: Rc::clone(&frames) };
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
        // Each stream tells how it ended; the end of the connection tells no more.
        let _ = driver.await;
    });
    Ok(Connection {
        requests: RefCell::new(requests),
        driver: driver.abort_handle(),
        streams: Cell::new(0),
        used_at: Cell::new(Instant::now()),
        suspect: Cell::new(false),
        _permit: permit,
        is_exclusive: Cell::new(false),
        pledged: Cell::new(0),
        frames,
    })
}

/// The service's socket as h2 sees it; the frames that go through are followed.
struct Observed {
    stream: TcpStream,
    frames: Rc<RefCell<ServiceFrames>>,
}

impl AsyncRead for Observed {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buf))?;
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
