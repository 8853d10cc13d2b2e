//! A core's open HTTP/1.1 connections to one endpoint: a plain list with the most recently used on top, so that the
//! others age and are closed. No task watches them.

use std::{
    cell::{Cell, RefCell},
    time::{Duration, Instant},
};

use bytes::BytesMut;

use crate::edge::{
    error::Failure, limits::permit::Permit, net::service_stream::ServiceStream, upstream::connector::Connector,
};

/// The most idle connections that are kept to one endpoint.
const MAX_IDLE: usize = 256;

/// An HTTP/1.1 connection to an endpoint.
pub(crate) struct Connection {
    pub(crate) stream: ServiceStream,
    /// The unparsed input.
    pub(crate) input: BytesMut,
    opened_at: Instant,
    /// The permit for this socket.
    _permit: Permit,
}

impl Connection {
    /// Whether no input has come and the other side is open, as far as is known: without a request, no input may come.
    fn is_quiet(&mut self) -> bool {
        self.input.is_empty() && self.stream.is_quiet()
    }
}

/// How much earlier than announced an endpoint is assumed to close a connection: a request sent just then is lost.
const AHEAD: Duration = Duration::from_secs(1);

/// The idle HTTP/1.1 connections to one endpoint.
#[derive(Default)]
pub(crate) struct Http1Pool {
    idle: RefCell<Vec<Idle>>,
    /// How long the endpoint keeps an idle connection open, according to its last `Keep-Alive`.
    kept_for: Cell<Option<Duration>>,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

impl Http1Pool {
    /// A connection that is ready for a request, if there is one. Closes the dead and expired ones on the way.
    pub(crate) fn take(&self, now: Instant, idle_timeout: Duration) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        let idle_timeout = self.kept_for.get().map_or(idle_timeout, |kept_for| kept_for.min(idle_timeout));
        while let Some(Idle { mut connection, since }) = idle.pop() {
            if now.saturating_duration_since(since) < idle_timeout && connection.is_quiet() {
                return Some(connection);
            }
        }
        None
    }

    /// Evaluates the `Keep-Alive` of a response: `timeout=5`, as Node sends it.
    pub(crate) fn hear(&self, keep_alive: Option<&str>) {
        let Some(said) = keep_alive else { return };
        let timeout = said.split(',').find_map(|part| {
            let (name, seconds) = part.split_once('=')?;
            name.trim().eq_ignore_ascii_case("timeout").then(|| seconds.trim().parse().ok()).flatten()
        });
        self.kept_for.set(timeout.map(|seconds| Duration::from_secs(seconds).saturating_sub(AHEAD)));
    }

    /// Keeps a connection for the next request, unless it has unexpected input or is older than `max_age`. Whether it is still open is checked
    /// when it is taken.
    pub(crate) fn put(&self, mut connection: Connection, now: Instant, max_age: Option<Duration>) {
        let mut idle = self.idle.borrow_mut();
        let is_old = max_age.is_some_and(|most| now.saturating_duration_since(connection.opened_at) >= most);
        if idle.len() < MAX_IDLE && connection.input.is_empty() && !is_old {
            connection.input = BytesMut::new();
            idle.push(Idle { connection, since: now });
        }
    }

    /// Closes the connection that was idle for the longest time. Returns whether there was one.
    pub(crate) fn close_oldest(&self) -> bool {
        let mut idle = self.idle.borrow_mut();
        // The list has at most a few hundred entries, and this happens only when there is no socket left.
        (!idle.is_empty()).then(|| idle.remove(0)).is_some()
    }

    /// Closes connections that are dead or were idle for `idle_timeout`.
    pub(crate) fn close_idle(&self, now: Instant, idle_timeout: Duration) {
        let is_young = |idle: &Idle| now.saturating_duration_since(idle.since) < idle_timeout;
        self.idle.borrow_mut().retain_mut(|idle| is_young(idle) && idle.connection.is_quiet());
    }
}

/// Opens a connection.
pub(crate) async fn connect(connector: &Connector, limit: Duration, permit: Permit) -> Result<Connection, Failure> {
    let stream = connector.connect(limit).await?;
    Ok(Connection { stream, input: BytesMut::new(), opened_at: Instant::now(), _permit: permit })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_announces_how_long_it_keeps_a_connection() {
        let pool = Http1Pool::default();
        let kept_for = |said| {
            pool.hear(said);
            pool.kept_for.get().map(|kept_for| kept_for.as_secs())
        };
        assert_eq!(kept_for(None), None);
        assert_eq!(kept_for(Some("timeout=5")), Some(4));
        assert_eq!(kept_for(None), Some(4), "it was said before");
        assert_eq!(kept_for(Some("max=100, Timeout = 60")), Some(59));
        assert_eq!(kept_for(Some("timeout=0")), Some(0));
        assert_eq!(kept_for(Some("max=5")), None);
        assert_eq!(kept_for(Some("timeout=soon")), None);
    }
}
