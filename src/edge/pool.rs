//! A core's open connections to one instance: a plain list, the most recently used on top, so that the others grow old and
//! are closed.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http1::{Builder, Parts, SendRequest},
    },
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::oneshot,
    task::AbortHandle,
};

use super::{body::RequestBody, error::Failure, multiplex::Stream, view::Target};
/// The most idle connections that are kept to one instance.
const MOST_IDLE: usize = 256;

/// The longest answer head that is read.
pub(super) const MAX_ANSWER_HEAD_BYTES: usize = 64 * 1024;

/// Sends requests on one connection. Dropping it ends the connection at once, whatever it is waiting for.
pub(super) struct Sender {
    requests: SendRequest<RequestBody>,
    head: Rc<Cell<usize>>,
    task: AbortHandle,
    ended: oneshot::Receiver<Parts<TokioIo<Bounded>>>,
}

impl Sender {
    fn is_closed(&self) -> bool {
        self.requests.is_closed()
    }

    fn is_ready(&self) -> bool {
        self.requests.is_ready()
    }

    /// Sends a request. Until [`Sender::answered`], only so much is read as a head may have.
    pub(super) fn try_send_request(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> {
        self.head.set(MAX_ANSWER_HEAD_BYTES * 2);
        self.requests.try_send_request(request)
    }

    /// The answer's head is there.
    pub(super) fn answered(&self) {
        self.head.set(usize::MAX);
    }

    /// The connection itself after a 101, and what was read from it behind that; `None` if it has broken.
    pub(super) async fn switched(mut self) -> Option<(TcpStream, Bytes)> {
        let Parts { io, read_buf, .. } = (&mut self.ended).await.ok()?;
        Some((io.into_inner().stream, read_buf))
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A connection of which, before an answer's head has come, no more is read than heads may have: hyper would read interim
/// answers (1xx) without end, and without ever yielding.
struct Bounded {
    stream: TcpStream,
    head: Rc<Cell<usize>>,
}

impl AsyncRead for Bounded {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let left = this.head.get();
        if left == usize::MAX {
            return Pin::new(&mut this.stream).poll_read(context, buf);
        }
        if left == 0 {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "the answer's head does not end")));
        }
        let mut part = buf.take(left);
        ready!(Pin::new(&mut this.stream).poll_read(context, &mut part))?;
        let length = part.filled().len();
        let bytes = part.filled().to_vec();
        buf.put_slice(&bytes);
        this.head.set(left - length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, slices)
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

/// See the module.
#[derive(Default)]
pub(super) struct Pool(RefCell<Vec<Idle>>);

struct Idle {
    sender: Sender,
    since: Instant,
}

impl Pool {
    /// A connection that is ready for a request, if there is one. Dead and old ones that come up are closed.
    pub(super) fn take(&self, now: Instant, idle_timeout: Duration) -> Option<Sender> {
        let mut idle = self.0.borrow_mut();
        let mut at = idle.len();
        while at > 0 {
            at -= 1;
            let one = &idle[at];
            if one.sender.is_closed() || now.saturating_duration_since(one.since) >= idle_timeout {
                idle.remove(at);
            } else if one.sender.is_ready() {
                return Some(idle.remove(at).sender);
            }
            // One that is neither still takes the rest of a request that was answered early.
        }
        None
    }

    fn put(&self, sender: Sender, now: Instant) {
        let mut idle = self.0.borrow_mut();
        if !sender.is_closed() && idle.len() < MOST_IDLE {
            idle.push(Idle { sender, since: now });
        }
    }

    /// Closes what is dead or was not used for `idle_timeout`.
    pub(super) fn close_idle(&self, now: Instant, idle_timeout: Duration) {
        let is_old = |one: &Idle| now.saturating_duration_since(one.since) >= idle_timeout;
        self.0.borrow_mut().retain(|one| !one.sender.is_closed() && !is_old(one));
    }
}

/// What an answer comes on. Dropping it ends the answer.
pub(super) enum Lease {
    /// A connection that is in use. Dropping it closes it; only one that has done its work goes back.
    Connection(Sender, Rc<Target>),
    /// A place on a connection that is shared.
    Stream(Stream),
}

impl Lease {
    /// Puts the connection back, for the next request.
    pub(super) fn give_back(self) {
        match self {
            Self::Connection(sender, target) => target.pool.put(sender, Instant::now()),
            Self::Stream(stream) => drop(stream),
        }
    }
}

/// Opens a socket to the instance.
pub(super) async fn reach(target: &Target, limit: Duration) -> Result<TcpStream, Failure> {
    let address = (target.instance.host.as_str(), target.instance.port);
    let stream = tokio::time::timeout(limit, TcpStream::connect(address))
        .await
        .map_err(|_| Failure::ConnectTimeout)?
        .map_err(|_| Failure::Unreachable)?;
    // Heads and bodies are written whole; waiting to fill packets would only delay them.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Opens a connection. It lives in a task of its own on this core.
pub(super) async fn connect(target: &Target, limit: Duration) -> Result<Sender, Failure> {
    let stream = reach(target, limit).await?;
    let head = Rc::new(Cell::new(MAX_ANSWER_HEAD_BYTES * 2));
    let (requests, mut connection) = Builder::new()
        .max_header_size(MAX_ANSWER_HEAD_BYTES)
        .handshake(TokioIo::new(Bounded { stream, head: Rc::clone(&head) }))
        .await
        .map_err(|_| Failure::Unreachable)?;
    let (give, ended) = oneshot::channel();
    let task = tokio::task::spawn_local(async move {
        // Whoever waits for an answer on it is told by hyper; nobody else needs to know how it ended.
        if (&mut connection).await.is_ok() {
            // After a 101 it goes on without HTTP.
            let _ = give.send(connection.into_parts());
        }
    });
    Ok(Sender { requests, head, task: task.abort_handle(), ended })
}
