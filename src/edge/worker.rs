//! One core, as its connections see it. Nothing in here is shared with another core, so nothing in here is locked.

mod run;

use std::{cell::Cell, rc::Rc, sync::Arc};

use h2::server::Builder as Http2;

use super::{core::Core, date::HttpDate, tls::Terminator, watchdog::Watchdog};

/// See the module.
pub(super) struct Worker {
    pub(super) core: Core,
    pub(super) tls: Option<Arc<Terminator>>,
    pub(super) watchdog: Watchdog,
    pub(super) http2: Http2,
    date: HttpDate,
    connections: Cell<usize>,
    draining: Cell<bool>,
}

impl Worker {
    /// Hands the text of the time on.
    pub(super) fn with_date<T>(&self, use_it: impl FnOnce(&str) -> T) -> T {
        self.date.with(self.core.auth.lookup.now(), use_it)
    }

    /// Whether no more requests are taken.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.get()
    }
}

/// Counts a connection while it lives.
struct Counted(Rc<Worker>);

impl Counted {
    fn new(worker: &Rc<Worker>) -> Self {
        worker.connections.set(worker.connections.get() + 1);
        Self(Rc::clone(worker))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.set(self.0.connections.get() - 1);
    }
}
