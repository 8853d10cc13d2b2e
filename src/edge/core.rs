//! What one core answers requests with. Nothing in here is shared with another core, so nothing in here is locked.

use std::{rc::Rc, sync::Arc};

use tokio::runtime::Handle;

use super::{
    access_log::AccessLog, auth, buffer::BufferedBytes, ports::ControlPlane, request_id::RequestIds, router::Router,
    shortage::Shortages, upstream,
};
use crate::config::ListenerSettings;

/// See the module.
pub(super) struct Core {
    pub(super) listener: ListenerSettings,
    pub(super) control_plane: Arc<dyn ControlPlane>,
    pub(super) control: Handle,
    pub(super) random: RequestIds,
    pub(super) auth: auth::State,
    pub(super) upstream: upstream::State,
    pub(super) shortages: Shortages,
    pub(super) buffered: Rc<BufferedBytes>,
    pub(super) access_log: Rc<AccessLog>,
}

impl Core {
    /// The router of the newest snapshot. A request takes it once and uses it to its end.
    pub(super) fn router(&self) -> Rc<Router> {
        self.upstream.router(|| self.auth.tokens.clear())
    }
}
