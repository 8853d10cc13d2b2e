//! A core's open connections to one instance: a plain list, the most recently used on top, so that the others grow old and
//! are closed. No task looks after them.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use tokio::net::TcpStream;

use super::{error::Failure, permits::Permit, tcp::Tcp, view::Target};

/// The most idle connections that are kept to one instance.
const MOST_IDLE: usize = 256;

/// A connection of HTTP/1.1 to an instance.
pub(super) struct Connection {
    pub(super) stream: Tcp,
    /// What was read and belongs to nobody yet.
    pub(super) input: BytesMut,
    /// That the process may have this socket.
    _permit: Permit,
}

impl Connection {
    /// Whether nothing has come and the other side is open, as far as is known: while nobody asks, nothing may come.
    fn is_quiet(&self) -> bool {
        self.input.is_empty() && self.stream.is_quiet()
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Pool(RefCell<Vec<Idle>>);

struct Idle {
    connection: Connection,
    since: Instant,
}

impl Pool {
    /// A connection that is ready for a request, if there is one. Dead and old ones that come up are closed.
    pub(super) fn take(&self, now: Instant, idle_timeout: Duration) -> Option<Connection> {
        let mut idle = self.0.borrow_mut();
        while let Some(Idle { connection, since }) = idle.pop() {
            if now.saturating_duration_since(since) < idle_timeout && connection.is_quiet() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection for the next request, unless more has come than was asked for. Whether it is still open is looked
    /// at when it is taken.
    pub(super) fn put(&self, mut connection: Connection, now: Instant) {
        let mut idle = self.0.borrow_mut();
        if idle.len() < MOST_IDLE && connection.input.is_empty() {
            connection.input = BytesMut::new();
            idle.push(Idle { connection, since: now });
        }
    }

    /// Closes the connection that was not used for the longest time; whether there was one.
    pub(super) fn close_oldest(&self) -> bool {
        let mut idle = self.0.borrow_mut();
        // The list is as long as a few hundred at most, and this happens when there is no socket left.
        (!idle.is_empty()).then(|| idle.remove(0)).is_some()
    }

    /// Closes what is dead or was not used for `idle_timeout`.
    pub(super) fn close_idle(&self, now: Instant, idle_timeout: Duration) {
        let is_young = |idle: &Idle| now.saturating_duration_since(idle.since) < idle_timeout;
        self.0.borrow_mut().retain(|idle| is_young(idle) && idle.connection.is_quiet());
    }
}

/// Opens a socket to the instance.
pub(super) async fn reach(target: &Target, limit: Duration) -> Result<TcpStream, Failure> {
    let connecting = async {
        let addresses = target.host.addresses(target.instance.port).await.ok_or(Failure::Unreachable)?;
        TcpStream::connect(&addresses[..]).await.map_err(|_| Failure::Unreachable)
    };
    let stream = tokio::time::timeout(limit, connecting).await.map_err(|_| Failure::ConnectTimeout)??;
    // Heads and bodies are written whole; waiting to fill packets would only delay them.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Opens a connection.
pub(super) async fn connect(target: &Target, limit: Duration, permit: Permit) -> Result<Connection, Failure> {
    let stream = reach(target, limit).await?;
    Ok(Connection { stream: Tcp(stream), input: BytesMut::new(), _permit: permit })
}
