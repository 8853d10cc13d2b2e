//! A core's open connections to one instance: a plain list, the most recently used on top, so that the others grow old and
//! are closed.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{body::RequestBody, error::Failure, view::Target};
use crate::config::UpstreamSettings;

/// The most idle connections that are kept to one instance.
const MOST_IDLE: usize = 256;

/// The longest answer head that is read.
const MAX_ANSWER_HEAD_BYTES: usize = 64 * 1024;

/// Sends requests on one connection.
pub(super) type Sender = SendRequest<RequestBody>;

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

/// A connection that is in use. Dropping it closes it; only one that has done its work goes back.
pub(super) struct Lease {
    sender: Sender,
    target: Rc<Target>,
}

impl Lease {
    pub(super) fn new(sender: Sender, target: Rc<Target>) -> Self {
        Self { sender, target }
    }

    /// Puts the connection back, for the next request.
    pub(super) fn give_back(self) {
        self.target.pool.put(self.sender, Instant::now());
    }
}

/// Opens a connection. It lives in a task of its own on this core.
pub(super) async fn connect(target: &Target, settings: &UpstreamSettings) -> Result<Sender, Failure> {
    let address = (target.instance.host.as_str(), target.instance.port);
    let stream = tokio::time::timeout(settings.connect_timeout, TcpStream::connect(address))
        .await
        .map_err(|_| Failure::ConnectTimeout)?
        .map_err(|_| Failure::Unreachable)?;
    // Heads and bodies are written whole; waiting to fill packets would only delay them.
    let _ = stream.set_nodelay(true);
    let (sender, connection) = Builder::new()
        .max_header_size(MAX_ANSWER_HEAD_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| Failure::Unreachable)?;
    tokio::task::spawn_local(async move {
        // Whoever waits for an answer on it is told by hyper; nobody else needs to know how it ended.
        let _ = connection.await;
    });
    Ok(sender)
}
