//! The part of a core that handles requests. None of it is shared with another core, so none of it is locked.

use std::{rc::Rc, sync::Arc};

use tokio::runtime::Handle;

use super::shortage::Shortages;
use crate::{
    config::ListenerSettings,
    edge::{
        auth,
        body::buffer::BufferedBytes,
        http::via::ProcessMark,
        observe::{access_log::AccessLog, request_id::RandomSource},
        ports::ControlPlane,
        upstream::{self, router::Router},
    },
};

/// The part of a core that handles requests.
pub(crate) struct Core {
    pub(crate) listener: ListenerSettings,
    pub(crate) control_plane: Arc<dyn ControlPlane>,
    pub(crate) control: Handle,
    pub(crate) random: RandomSource,
    pub(crate) auth: auth::State,
    pub(crate) upstream: upstream::State,
    /// The process of which it is a core.
    pub(crate) process: ProcessMark,
    pub(crate) shortages: Shortages,
    pub(crate) buffered: Rc<BufferedBytes>,
    pub(crate) access_log: Rc<AccessLog>,
}

impl Core {
    /// The router of the newest snapshot. A request takes it once and uses it to its end.
    pub(crate) fn router(&self) -> Rc<Router> {
        self.upstream.router(|| self.auth.tokens.clear())
    }
}
