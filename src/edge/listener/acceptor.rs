//! Accepts connections and deals them out to the cores, each to the one that has the fewest. Neither a full house nor a
//! process without file descriptors stops it or makes it spin.

use std::{
    io,
    net::{SocketAddr, TcpStream as StdStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ipnet::IpNet;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
};
use tracing::{debug, warn};

use super::connection_limits::{ConnectionLimits, ConnectionPermit};
use crate::{
    edge::{http::client_address::is_in, observe::request_id::RandomSource},
    ports::Entropy,
    problem::{self, Problem},
};

/// How long to wait after `accept` failed for want of something that may come back, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A connection on its way to a core.
pub(crate) struct AcceptedConnection {
    pub(crate) stream: StdStream,
    pub(crate) peer: SocketAddr,
    pub(crate) permit: WorkerPermit,
}

/// A connection's place in the limits and among those of its core.
pub(crate) struct WorkerPermit {
    _permit: ConnectionPermit,
    load: Arc<AtomicUsize>,
}

impl Drop for WorkerPermit {
    fn drop(&mut self) {
        self.load.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One core, as the acceptor sees it.
pub(crate) struct WorkerHandle {
    pub(crate) accepted: mpsc::UnboundedSender<AcceptedConnection>,
    pub(crate) load: Arc<AtomicUsize>,
}

/// What connections come from; a listener, or a fake in tests.
pub(crate) trait Incoming {
    async fn next(&mut self) -> io::Result<(TcpStream, SocketAddr)>;
}

impl Incoming for TcpListener {
    async fn next(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        self.accept().await
    }
}

/// See the module.
pub(crate) struct Acceptor {
    pub(crate) limits: Arc<ConnectionLimits>,
    pub(crate) trusted_proxies: Arc<[IpNet]>,
    pub(crate) workers: Vec<WorkerHandle>,
    pub(crate) entropy: Arc<dyn Entropy>,
    /// Whether what is accepted speaks TLS.
    pub(crate) by_tls: bool,
}

impl Acceptor {
    /// Accepts until `stop` says so.
    pub(crate) async fn run(self, mut incoming: impl Incoming, mut stop: watch::Receiver<bool>) {
        let request_ids = RandomSource::new(Arc::clone(&self.entropy));
        let mut pause = FIRST_PAUSE;
        let mut turn = 0;
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stop.wait_for(|&stopped| stopped) => return,
                accepted = incoming.next() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    pause = FIRST_PAUSE;
                    let is_proxy = is_in(&self.trusted_proxies, peer.ip());
                    match self.limits.admit(peer.ip(), is_proxy) {
                        Some(permit) => self.deal(stream, peer, permit, &mut turn),
                        // Before a handshake there are no words for it.
                        None if self.by_tls => {}
                        None => refuse(&stream, &request_ids),
                    }
                }
                Err(error) if concerns_one_connection(&error) => {
                    debug!(%error, "a connection broke before it was accepted");
                }
                Err(error) => {
                    warn!(%error, pause_ms = pause.as_millis(), "connections cannot be accepted for now");
                    tokio::select! {
                        _ = stop.wait_for(|&stopped| stopped) => return,
                        () = tokio::time::sleep(pause) => {}
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Gives the connection to the core with the fewest; among equals, in turn. A core that has died gets none.
    fn deal(&self, stream: TcpStream, peer: SocketAddr, permit: ConnectionPermit, turn: &mut usize) {
        let workers = self.workers.len();
        let Some(chosen) = (0..workers)
            .map(|step| &self.workers[(*turn + step) % workers])
            .filter(|worker| !worker.accepted.is_closed())
            .min_by_key(|worker| worker.load.load(Ordering::Relaxed))
        else {
            return;
        };
        *turn = (*turn + 1) % workers;
        chosen.load.fetch_add(1, Ordering::Relaxed);
        let permit = WorkerPermit { _permit: permit, load: Arc::clone(&chosen.load) };
        match stream.into_std() {
            // A core that has ended takes no more; the connection is closed by being dropped.
            Ok(stream) => drop(chosen.accepted.send(AcceptedConnection { stream, peer, permit })),
            Err(error) => debug!(%error, "a connection was lost on its way to a core"),
        }
    }
}

/// Says 503 if the socket takes it at once, and closes.
fn refuse(stream: &TcpStream, request_ids: &RandomSource) {
    let id = request_ids.next().to_string();
    let status = http::StatusCode::SERVICE_UNAVAILABLE;
    let body = Problem::new(status, "overloaded", "too many connections").with_request_id(id.as_str()).to_json();
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: {}\r\ncontent-length: {}\r\nretry-after: 1\r\n\
         x-request-id: {id}\r\nconnection: close\r\n\r\n",
        problem::CONTENT_TYPE,
        body.len()
    );
    // Whether it arrives is not ours to worry about: the point is to be rid of the connection.
    let _ = stream.try_write(&[head.into_bytes(), body].concat());
}

/// Whether a failure of `accept` says nothing about the next call.
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests;
