//! Detects that a thread of the data plane has died.

use tokio::sync::watch;
use tracing::error;

use super::phase::Phase;

/// Held by a thread of the data plane while it lives. A thread that ends without having been told to is reported.
pub(crate) struct Alive {
    name: String,
    phase: watch::Receiver<Phase>,
    died: watch::Sender<bool>,
}

impl Alive {
    /// For the thread of this name. `phase` says whether it was told to end; `died` is set if it ends by itself.
    pub(crate) fn new(name: String, phase: watch::Receiver<Phase>, died: watch::Sender<bool>) -> Self {
        Self { name, phase, died }
    }

    /// The thread's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Reports that the thread can no longer do its work.
    pub(crate) fn has_died(&self) {
        if !self.died.send_replace(true) {
            error!(thread = self.name, "a thread of the data plane has died; the gateway must be restarted");
        }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        if *self.phase.borrow() != Phase::Stopped {
            self.has_died();
        }
    }
}
