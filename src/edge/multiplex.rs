//! A core's connections of HTTP/2 to one instance. One is enough for all requests; another is opened only while all that the
//! instance allows on it are under way.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use h2::client::{self, SendRequest};
use tokio::{sync::watch, task::AbortHandle};

use super::{error::Failure, exchange::MAX_ANSWER_HEAD_BYTES, pool, view::Target};

/// The most connections of a core to one instance. When all are full, requests wait for the one with the fewest.
const MOST_CONNECTIONS: usize = 8;

/// What may come of answers before clients take it: of one, and of all on a connection.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// How much of a request's body may wait until the socket takes it.
const UNSENT_BYTES: usize = 256 * 1024;

/// How many streams may break a rule of the protocol until the connection is closed.
const MOST_RESETS: usize = 1024;

/// Holds what opening a connection came to, once it is known.
type Opening = watch::Receiver<Option<Result<(), Failure>>>;

/// See the module.
#[derive(Default)]
pub(super) struct Multiplex {
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
    doubtful: Cell<bool>,
}

impl Connection {
    fn is_usable(&self) -> bool {
        let takes_more = self.requests.borrow_mut().poll_ready(&mut Context::from_waker(Waker::noop()));
        !self.driver.is_finished() && !self.doubtful.get() && !matches!(takes_more, Poll::Ready(Err(_)))
    }

    fn is_full(&self) -> bool {
        self.streams.get() >= self.requests.borrow().current_max_send_streams()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// One request's place on a connection. Dropping it gives the place back; the request is ended by dropping its exchange.
pub(super) struct Stream(Rc<Connection>);

impl Stream {
    fn on(connection: &Rc<Connection>) -> Self {
        connection.streams.set(connection.streams.get() + 1);
        connection.used_at.set(Instant::now());
        Self(Rc::clone(connection))
    }

    /// Sends a request, when the service allows one more.
    pub(super) fn requests(&self) -> SendRequest<Bytes> {
        self.0.requests.borrow().clone()
    }

    /// No answer came in time: who comes next opens another connection, and those that are under way go on.
    pub(super) fn doubt(&self) {
        self.0.doubtful.set(true);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get().saturating_sub(1));
        self.0.used_at.set(Instant::now());
    }
}

impl Multiplex {
    /// A place on a connection that is open, if there is room or no more may be opened.
    pub(super) fn take(&self) -> Option<Stream> {
        let mut connections = self.connections.borrow_mut();
        connections.retain(|connection| connection.is_usable());
        let free = connections.iter().find(|connection| !connection.is_full());
        let least = || connections.iter().min_by_key(|connection| connection.streams.get());
        free.or_else(|| least().filter(|_| connections.len() >= MOST_CONNECTIONS)).map(Stream::on)
    }

    /// Opens a connection, or waits for the one that is being opened. It goes on though nobody waits any more.
    pub(super) async fn open(target: &Rc<Target>, limit: Duration) -> Result<(), Failure> {
        let mut opening = Self::opening(target, limit);
        let Ok(outcome) = opening.wait_for(Option::is_some).await.map(|outcome| outcome.clone()) else {
            return Err(Failure::Unreachable);
        };
        outcome.unwrap_or(Err(Failure::Unreachable))
    }

    fn opening(target: &Rc<Target>, limit: Duration) -> Opening {
        let mut opening = target.multiplex.opening.borrow_mut();
        if let Some(known) = opening.as_ref().filter(|known| known.has_changed().is_ok()) {
            return known.clone();
        }
        let (told, receiver) = watch::channel(None);
        *opening = Some(receiver.clone());
        let target = Rc::clone(target);
        tokio::task::spawn_local(async move {
            let outcome = connect(&target, limit).await;
            let outcome = outcome.map(|connection| target.multiplex.connections.borrow_mut().push(Rc::new(connection)));
            target.multiplex.opening.take();
            // Whoever waited may be gone.
            let _ = told.send(Some(outcome));
        });
        receiver
    }

    /// Closes what is dead or was not used for `idle_timeout`.
    pub(super) fn close_idle(&self, now: Instant, idle_timeout: Duration) {
        self.connections.borrow_mut().retain(|connection| {
            let idle = now.saturating_duration_since(connection.used_at.get());
            connection.is_usable() && (connection.streams.get() > 0 || idle < idle_timeout)
        });
    }
}

async fn connect(target: &Target, limit: Duration) -> Result<Connection, Failure> {
    let stream = pool::reach(target, limit).await?;
    let (requests, driver) = client::Builder::new()
        .enable_push(false)
        .max_header_list_size(u32::try_from(MAX_ANSWER_HEAD_BYTES).unwrap_or(u32::MAX))
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buffer_size(UNSENT_BYTES)
        .max_local_error_reset_streams(Some(MOST_RESETS))
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
        doubtful: Cell::new(false),
    })
}
