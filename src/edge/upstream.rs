//! Sends requests to services: the state of one core.

pub(crate) mod checks;
pub(crate) mod cluster;
pub(crate) mod connecting;
pub(crate) mod connector;
pub(crate) mod exchange;
pub(crate) mod forward;
pub(crate) mod gateway_headers;
pub(crate) mod pool;
pub(crate) mod redirects;
pub(crate) mod request;
pub(crate) mod request_facts;
pub(crate) mod response_body;
pub(crate) mod router;
pub(crate) mod upgrade;

use std::{cell::RefCell, rc::Rc, sync::Arc};

use tokio::sync::mpsc::UnboundedSender;

use self::router::Router;
use crate::{
    config::UpstreamSettings,
    domain::gateway::models::service::ServiceName,
    edge::{
        limits::{in_flight::CoreLimits, permit::Permit},
        snapshot::SnapshotReader,
        timer::{deadlines::Deadlines, stream_guard::StreamRegistry},
    },
};

/// The state of one core for sending requests to services.
pub(crate) struct State {
    pub(crate) settings: UpstreamSettings,
    pub(crate) limits: CoreLimits,
    pub(crate) streams: Rc<StreamRegistry>,
    pub(crate) deadlines: Rc<Deadlines>,
    /// Its number.
    pub(crate) core: usize,
    /// Told of services with an instance that cannot be reached.
    unreachable: UnboundedSender<ServiceName>,
    snapshots: RefCell<SnapshotReader>,
    router: RefCell<Rc<Router>>,
}

impl State {
    /// The state of a core that has not reached any service yet.
    pub(crate) fn new(
        settings: UpstreamSettings,
        limits: CoreLimits,
        core: usize,
        unreachable: UnboundedSender<ServiceName>,
        mut snapshots: SnapshotReader,
    ) -> Self {
        let router = Router::of(Arc::clone(snapshots.newest()), core, None);
        Self {
            settings,
            limits,
            streams: Rc::default(),
            deadlines: Rc::default(),
            core,
            unreachable,
            snapshots: RefCell::new(snapshots),
            router: RefCell::new(Rc::new(router)),
        }
    }

    /// The router of the newest snapshot. A request takes it once and uses it to its end. Calls `forget_tokens` when
    /// validated tokens have to be checked again: a key may have been removed, or the issuer may have changed.
    pub(crate) fn router(&self, forget_tokens: impl FnOnce()) -> Rc<Router> {
        let mut snapshots = self.snapshots.borrow_mut();
        let newest = snapshots.newest();
        let mut router = self.router.borrow_mut();
        if !Arc::ptr_eq(newest, &router.snapshot) {
            let same_rules = Arc::ptr_eq(&newest.keys, &router.snapshot.keys)
                && Arc::ptr_eq(&newest.expectations, &router.snapshot.expectations);
            if !same_rules {
                forget_tokens();
            }
            *router = Rc::new(Router::of(Arc::clone(newest), self.core, Some(&router)));
        }
        Rc::clone(&router)
    }

    /// An endpoint of this service cannot be reached: it may have moved.
    pub(crate) fn is_unreachable(&self, service: &ServiceName) {
        // Without a receiver, nobody looks names up.
        let _ = self.unreachable.send(service.clone());
    }

    /// A permit for one more socket to a service. If there is none, closes an idle socket for it.
    pub(crate) fn connection_permit(&self) -> Option<Permit> {
        self.limits.connection(|| self.router.borrow().close_one_idle())
    }
}
