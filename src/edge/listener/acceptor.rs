//! Accepts connections and assigns each to the core with the fewest. It neither stops nor spins when the connection
//! limit is reached or the process has no more file descriptors.

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

use super::{
    connection_limits::{ConnectionLimits, ConnectionPermit},
    phase::Phase,
};
use crate::{
    edge::{http::client_address::is_in, observe::request_id::RandomSource},
    ports::Entropy,
    problem::{self, Problem},
};

/// The first and the longest pause after `accept` failed for lack of a resource that may become available again.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// At the end, connections that the system has already established are accepted until none comes for this time: closing
/// the listener would reset them.
const LAST_PAUSE: Duration = Duration::from_millis(20);
/// Clients that go on connecting must not delay the end.
const LAST_CALL: Duration = Duration::from_secs(1);

/// A connection on its way to a core.
pub(crate) struct AcceptedConnection {
    pub(crate) stream: StdStream,
    pub(crate) peer: SocketAddr,
    pub(crate) permit: WorkerPermit,
}

/// A permit for one connection. It counts in the connection limits and in the load of its core.
pub(crate) struct WorkerPermit {
    _permit: ConnectionPermit,
    load: Arc<AtomicUsize>,
}

impl Drop for WorkerPermit {
    fn drop(&mut self) {
        self.load.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A core's worker, as the acceptor sees it.
pub(crate) struct WorkerHandle {
    pub(crate) accepted: mpsc::UnboundedSender<AcceptedConnection>,
    pub(crate) load: Arc<AtomicUsize>,
}

/// A source of connections: a listener, or a fake in tests.
pub(crate) trait Incoming {
    async fn next(&mut self) -> io::Result<(TcpStream, SocketAddr)>;
}

impl Incoming for TcpListener {
    async fn next(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        self.accept().await
    }
}

/// Accepts connections and assigns them to the cores.
pub(crate) struct Acceptor {
    pub(crate) limits: Arc<ConnectionLimits>,
    pub(crate) trusted_proxies: Arc<[IpNet]>,
    pub(crate) workers: Vec<WorkerHandle>,
    pub(crate) entropy: Arc<dyn Entropy>,
    /// Whether clients use TLS.
    pub(crate) by_tls: bool,
}

impl Acceptor {
    /// Accepts connections until the phase is `Stopped`, and those that wait to be accepted at that moment.
    pub(crate) async fn run(self, mut incoming: impl Incoming, mut phase: watch::Receiver<Phase>) {
        let mut request_ids = RandomSource::new(Arc::clone(&self.entropy));
        let mut turn = 0;
        self.accept_until_stopped(&mut incoming, &mut phase, &mut request_ids, &mut turn).await;
        let last_call = async {
            while let Ok(Ok((stream, peer))) = tokio::time::timeout(LAST_PAUSE, incoming.next()).await {
                self.welcome(stream, peer, &mut request_ids, &mut turn);
            }
        };
        let _ = tokio::time::timeout(LAST_CALL, last_call).await;
    }

    async fn accept_until_stopped(
        &self,
        incoming: &mut impl Incoming,
        phase: &mut watch::Receiver<Phase>,
        request_ids: &mut RandomSource,
        turn: &mut usize,
    ) {
        let mut pause = FIRST_PAUSE;
        loop {
            let accepted = tokio::select! {
                biased;
                _ = phase.wait_for(|&phase| phase == Phase::Stopped) => return,
                accepted = incoming.next() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    pause = FIRST_PAUSE;
                    self.welcome(stream, peer, request_ids, turn);
                }
                Err(error) if concerns_one_connection(&error) => {
                    debug!(%error, "a connection broke before it was accepted");
                }
                Err(error) => {
                    warn!(%error, pause_ms = pause.as_millis(), "connections cannot be accepted for now");
                    tokio::select! {
                        _ = phase.wait_for(|&phase| phase == Phase::Stopped) => return,
                        () = tokio::time::sleep(pause) => {}
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Assigns the connection to a core, or refuses it.
    fn welcome(&self, stream: TcpStream, peer: SocketAddr, request_ids: &mut RandomSource, turn: &mut usize) {
        let is_proxy = is_in(&self.trusted_proxies, peer.ip());
        match self.limits.admit(peer.ip(), is_proxy) {
            Some(permit) => self.deal(stream, peer, permit, turn),
            // Before a TLS handshake there is no way to send an error.
            None if self.by_tls => {}
            None => refuse(&stream, request_ids),
        }
    }

    /// Assigns the connection to the core with the fewest; round robin among equals. A dead core gets none.
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
            // A core that has ended accepts no more; dropping the connection closes it.
            Ok(stream) => drop(chosen.accepted.send(AcceptedConnection { stream, peer, permit })),
            Err(error) => debug!(%error, "a connection was lost before a worker accepted it"),
        }
    }
}

/// Sends a 503 if the socket accepts it at once, and closes.
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
    // It need not arrive: the purpose is to get rid of the connection.
    let _ = stream.try_write(&[head.into_bytes(), body].concat());
}

/// Whether a failure of `accept` concerns only one connection, and not the next call.
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests;
