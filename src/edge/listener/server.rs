//! The data plane as a whole: an acceptor and one thread per core, started and stopped together.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    rc::Rc,
    sync::Arc,
    thread::JoinHandle,
};

use tokio::{
    runtime::{Builder, LocalOptions},
    sync::{mpsc, watch},
};
use tracing::error;

use super::{
    acceptor::{Acceptor, WorkerHandle},
    connection_limits::ConnectionLimits,
    http2,
    parts::Parts,
    phase::Phase,
    thread_watch::Alive,
    worker::Worker,
};
use crate::edge::{http::via::ProcessMark, limits::in_flight::SharedLimits};

/// The running data plane. Dropping it stops it without waiting.
pub struct Edge {
    address: SocketAddr,
    phase: watch::Sender<Phase>,
    died: watch::Receiver<bool>,
    threads: Vec<JoinHandle<()>>,
}

impl Edge {
    /// Starts serving the connections of a bound `listener`.
    ///
    /// # Errors
    /// When the operating system provides no thread, or no event queue for sockets.
    pub fn start(listener: TcpListener, parts: &Parts) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (phase, told) = watch::channel(Phase::Serving);
        let (died, has_died) = watch::channel(false);
        let alive = |name| Alive::new(name, told.clone(), died.clone());
        let mut edge = Self { address, phase, died: has_died, threads: Vec::new() };
        let limits = &parts.listener_settings;
        let shared = (parts.shared_limits(), parts.process_mark());
        let mut workers = Vec::new();
        for number in 0..parts.cores.get() {
            let (worker, thread) =
                start_core(number, alive(format!("edge-{number}")), parts.clone(), shared.clone(), told.clone())?;
            workers.push(worker);
            edge.threads.push(thread);
        }
        let acceptor = Acceptor {
            limits: ConnectionLimits::new(limits.max_connections, limits.max_connections_per_client),
            trusted_proxies: limits.trusted_proxies.clone().into(),
            workers,
            entropy: Arc::clone(&parts.entropy),
            by_tls: parts.tls.is_some(),
        };
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let incoming = {
            let _entered = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let alive = alive("edge-accept".to_owned());
        let accepting = std::thread::Builder::new().name(alive.name().to_owned()).spawn(move || {
            // Dropped when the thread ends, in whatever way.
            let _alive = alive;
            runtime.block_on(acceptor.run(incoming, told));
        })?;
        edge.threads.push(accepting);
        Ok(edge)
    }

    /// The address on which it listens.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until one of its threads has died. The others continue, but the work of the dead one is no longer done.
    pub async fn failed(&self) {
        let mut died = self.died.clone();
        if died.wait_for(|&died| died).await.is_err() {
            // All threads have ended as requested.
            std::future::pending::<()>().await;
        }
    }

    /// Serves on, new connections too, and tells clients with each response that their connection ends.
    pub fn leave(&self) {
        self.enter(Phase::Leaving);
    }

    /// Stops accepting connections, once those that wait to be accepted are served, and requests; those in progress may
    /// end within the drain timeout.
    pub fn shutdown(&self) {
        self.enter(Phase::Stopped);
    }

    fn enter(&self, next: Phase) {
        self.phase.send_if_modified(|phase| {
            let is_later = next > *phase;
            *phase = next.max(*phase);
            is_later
        });
    }

    /// Waits until all threads have ended. It blocks, so call it where that is safe. Only [`Edge::shutdown`] makes it
    /// end.
    pub fn join(mut self) {
        for thread in std::mem::take(&mut self.threads) {
            if thread.join().is_err() {
                error!("a thread of the data plane panicked");
            }
        }
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.shutdown();
    }
}

fn start_core(
    number: usize,
    alive: Alive,
    parts: Parts,
    (limits, process): (Arc<SharedLimits>, ProcessMark),
    phase: watch::Receiver<Phase>,
) -> io::Result<(WorkerHandle, JoinHandle<()>)> {
    let (accepted, receiver) = mpsc::unbounded_channel();
    let (tell, told) = std::sync::mpsc::channel();
    let thread = std::thread::Builder::new().name(alive.name().to_owned()).spawn(move || {
        // The runtime belongs to its thread, so it is built there.
        let runtime = match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
            Ok(runtime) => runtime,
            Err(error) => return drop(tell.send(Err(error))),
        };
        let _ = tell.send(Ok(()));
        let log = runtime.block_on(async {
            let worker =
                Rc::new(Worker::new(parts.core(number, &limits, process), parts.tls.clone(), http2::builder()));
            let log = Rc::clone(&worker.core.access_log);
            worker.run(receiver, phase, &alive).await;
            log
        });
        // Dropping the runtime drops the rest, including connections that took too long to drain.
        drop(runtime);
        // The requests on those connections have logged their lines as they were dropped.
        log.flush();
    })?;
    told.recv().unwrap_or_else(|_| Err(io::Error::other("a thread of the data plane ended as it began")))?;
    Ok((WorkerHandle { accepted, load: Arc::default() }, thread))
}
