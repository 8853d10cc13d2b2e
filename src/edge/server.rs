//! The data plane as a whole: an acceptor and a thread per core, started and stopped together.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
    rc::Rc,
    sync::Arc,
    thread::JoinHandle,
};

use tokio::{
    runtime::{Builder, Handle, LocalOptions},
    sync::{mpsc, watch},
};
use tracing::error;

use super::{
    accept::{Acceptor, Seat},
    browser::BrowserSettings,
    limits::ConnectionLimits,
    names::Names,
    ports::{AccessLogSink, ControlPlane, Resolver},
    snapshot::SnapshotCell,
    tls::Terminator,
    worker::Core,
};
use crate::{
    config::{ListenerSettings, LogFormat, UpstreamSettings},
    ports::{Clock, Entropy},
};

/// What the data plane is made of.
#[derive(Clone)]
pub struct Parts {
    /// How clients are served. The address is not used: the listener is bound already.
    pub listener_settings: ListenerSettings,
    /// Ends TLS on connections of clients, if they come by TLS.
    pub tls: Option<Arc<Terminator>>,
    /// What it has to know of browsers.
    pub browsers: BrowserSettings,
    /// How services are reached.
    pub upstream_settings: UpstreamSettings,
    /// Looks the names of instances up.
    pub names: Arc<Names>,
    /// How many cores serve, each with a thread of its own.
    pub cores: NonZeroUsize,
    /// Where the newest snapshot is found.
    pub snapshots: Arc<SnapshotCell>,
    /// Answers the gateway's own paths.
    pub control_plane: Arc<dyn ControlPlane>,
    /// Knows what a snapshot cannot hold.
    pub resolver: Arc<dyn Resolver>,
    /// The runtime on which the two are asked.
    pub control_runtime: Handle,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness for request ids and traces.
    pub entropy: Arc<dyn Entropy>,
    /// Where a line about each request goes.
    pub access_log: Arc<dyn AccessLogSink>,
    /// In which form.
    pub log_format: LogFormat,
}

/// The running data plane. Dropping it stops it without waiting.
pub struct Edge {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

impl Edge {
    /// Begins to serve the connections of a bound `listener`.
    ///
    /// # Errors
    /// When the operating system gives no thread, or nothing to wait for sockets with.
    pub fn start(listener: TcpListener, parts: &Parts) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let mut edge = Self { address, stop, threads: Vec::new() };
        let mut seats = Vec::new();
        for number in 0..parts.cores.get() {
            let (seat, thread) = start_core(number, parts.clone(), stopped.clone())?;
            seats.push(seat);
            edge.threads.push(thread);
        }
        let limits = &parts.listener_settings;
        let acceptor = Acceptor {
            limits: ConnectionLimits::new(limits.max_connections, limits.max_connections_per_client),
            trusted_proxies: limits.trusted_proxies.clone().into(),
            seats,
            entropy: Arc::clone(&parts.entropy),
            by_tls: parts.tls.is_some(),
        };
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let incoming = {
            let _entered = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let accepting = std::thread::Builder::new()
            .name("edge-accept".to_owned())
            .spawn(move || runtime.block_on(acceptor.run(incoming, stopped)))?;
        edge.threads.push(accepting);
        Ok(edge)
    }

    /// Where it listens.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections and requests; what is under way may end within the drain timeout.
    pub fn shutdown(&self) {
        // Nobody is there to be told if all threads have ended already.
        let _ = self.stop.send(true);
    }

    /// Waits until all is over; it blocks, so call it where that does no harm. Only [`Edge::shutdown`] makes it end.
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

fn start_core(number: usize, parts: Parts, stopped: watch::Receiver<bool>) -> io::Result<(Seat, JoinHandle<()>)> {
    let (newcomers, receiver) = mpsc::unbounded_channel();
    let (tell, told) = std::sync::mpsc::channel();
    let thread = std::thread::Builder::new().name(format!("edge-{number}")).spawn(move || {
        // It belongs to its thread, so it is made there.
        let runtime = match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
            Ok(runtime) => runtime,
            Err(error) => return drop(tell.send(Err(error))),
        };
        let _ = tell.send(Ok(()));
        // What is left when the core ends, connections that took too long to drain included, is dropped with the runtime.
        runtime.block_on(async move { Rc::new(Core::new(&parts)).run(receiver, stopped).await });
    })?;
    told.recv().unwrap_or_else(|_| Err(io::Error::other("a thread of the data plane ended as it began")))?;
    Ok((Seat { newcomers, load: Arc::default() }, thread))
}
