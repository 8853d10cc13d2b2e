//! A core's worker, as its connections see it. None of it is shared with another core, so none of it is locked.

use std::{cell::Cell, rc::Rc, sync::Arc};

use h2::server::Builder as Http2;

use super::phase::Phase;
use crate::edge::{
    http::date::HttpDate,
    net::tls::Terminator,
    pipeline::core::Core,
    timer::client_timeouts::{ClientTimeouts, Order, Timeouts},
};

/// A core's worker.
pub(crate) struct Worker {
    pub(crate) core: Core,
    pub(crate) tls: Option<Arc<Terminator>>,
    pub(crate) client_timeouts: ClientTimeouts,
    pub(crate) http2: Http2,
    date: HttpDate,
    connections: Cell<usize>,
    phase: Cell<Phase>,
}

impl Worker {
    /// Starts without connections. `tls` terminates TLS, if clients use it; `http2` starts HTTP/2 connections.
    pub(crate) fn new(core: Core, tls: Option<Arc<Terminator>>, http2: Http2) -> Self {
        let limits = Timeouts { head: core.listener.head_timeout, idle: core.listener.idle_timeout };
        Self {
            core,
            tls,
            client_timeouts: ClientTimeouts::new(limits),
            http2,
            date: HttpDate::default(),
            connections: Cell::new(0),
            phase: Cell::new(Phase::Serving),
        }
    }

    /// Calls `use_it` with the current `Date`.
    pub(crate) fn with_date<T>(&self, use_it: impl FnOnce(&str) -> T) -> T {
        self.date.with(self.core.auth.lookup.now(), use_it)
    }

    /// The phase of its life.
    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Enters a phase, and gives all connections the order that belongs to it.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.client_timeouts.give_all(match phase {
            Phase::Serving => Order::Serve,
            // At the end, requests that are on their way are still served.
            Phase::Leaving | Phase::Stopped => Order::Leave,
        });
    }

    /// The number of connections that it serves.
    pub(crate) fn connections(&self) -> usize {
        self.connections.get()
    }
}

/// Counts a connection while it lives.
pub(crate) struct Counted(Rc<Worker>);

impl Counted {
    pub(crate) fn new(worker: &Rc<Worker>) -> Self {
        worker.connections.set(worker.connections.get() + 1);
        Self(Rc::clone(worker))
    }

    /// The worker that serves it.
    pub(crate) fn worker(&self) -> &Rc<Worker> {
        &self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.set(self.0.connections.get() - 1);
    }
}
