//! A core's connections of HTTP/2 to one instance. One is enough for all requests; another is opened only while all that the
//! instance allows on it are under way.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::Pin,
    rc::Rc,
    task::Poll,
    time::{Duration, Instant},
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http2::{self, SendRequest},
    },
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, sync::watch, task::AbortHandle};

use super::{
    error::Failure, exchange::MAX_ANSWER_HEAD_BYTES, local::LocalTasks, permits::Permit, pool, upload::RequestBody,
    view::Target,
};

/// The most connections of a core to one instance. When all are full, requests wait for the one with the fewest.
const MOST_CONNECTIONS: usize = 8;

/// What may come of answers before clients take it: of one, and of all on a connection.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

type Driver = http2::Connection<TokioIo<TcpStream>, RequestBody, LocalTasks>;

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
    requests: SendRequest<RequestBody>,
    /// Gone when the connection has ended, so that what still waits in it is given back.
    driver: Rc<RefCell<Option<Pin<Box<Driver>>>>>,
    task: AbortHandle,
    streams: Cell<usize>,
    used_at: Cell<Instant>,
    /// It kept somebody waiting for too long: it may be dead, and is given no more requests.
    doubtful: Cell<bool>,
    /// That the process may have this socket.
    _permit: Permit,
}

impl Connection {
    fn is_usable(&self) -> bool {
        self.driver.borrow().is_some() && !self.requests.is_closed() && !self.doubtful.get()
    }

    fn is_full(&self) -> bool {
        self.driver.borrow().as_ref().is_none_or(|driver| self.streams.get() >= driver.current_max_send_streams())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One request's place on a connection. Dropping it gives the place back; the request is ended by dropping its answer.
pub(super) struct Stream(Rc<Connection>);

impl Stream {
    fn on(connection: &Rc<Connection>) -> Self {
        connection.streams.set(connection.streams.get() + 1);
        connection.used_at.set(Instant::now());
        Self(Rc::clone(connection))
    }

    /// Sends a request.
    pub(super) fn try_send_request(
        &self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> {
        self.0.requests.clone().try_send_request(request)
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
    pub(super) async fn open(target: &Rc<Target>, limit: Duration, permit: Permit) -> Result<(), Failure> {
        let mut opening = Self::opening(target, limit, permit);
        let Ok(outcome) = opening.wait_for(Option::is_some).await.map(|outcome| outcome.clone()) else {
            return Err(Failure::Unreachable);
        };
        outcome.unwrap_or(Err(Failure::Unreachable))
    }

    fn opening(target: &Rc<Target>, limit: Duration, permit: Permit) -> Opening {
        let mut opening = target.multiplex.opening.borrow_mut();
        if let Some(known) = opening.as_ref().filter(|known| known.has_changed().is_ok()) {
            return known.clone();
        }
        let (told, receiver) = watch::channel(None);
        *opening = Some(receiver.clone());
        let target = Rc::clone(target);
        tokio::task::spawn_local(async move {
            let outcome = connect(&target, limit, permit).await;
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

async fn connect(target: &Target, limit: Duration, permit: Permit) -> Result<Connection, Failure> {
    let stream = pool::reach(target, limit).await?;
    let (requests, driver) = http2::Builder::new(LocalTasks)
        .max_header_list_size(u32::try_from(MAX_ANSWER_HEAD_BYTES).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| Failure::Unreachable)?;
    let driver = Rc::new(RefCell::new(Some(Box::pin(driver))));
    let of_task = Rc::clone(&driver);
    let task = tokio::task::spawn_local(async move {
        std::future::poll_fn(|context| match of_task.borrow_mut().as_mut() {
            // Whoever waits for an answer on it is told by hyper; nobody else needs to know how it ended.
            Some(driver) => driver.as_mut().poll(context).map(drop),
            None => Poll::Ready(()),
        })
        .await;
        let ended = of_task.borrow_mut().take();
        drop(ended);
    });
    Ok(Connection {
        requests,
        driver,
        task: task.abort_handle(),
        streams: Cell::new(0),
        used_at: Cell::new(Instant::now()),
        doubtful: Cell::new(false),
        _permit: permit,
    })
}
