//! Sends requests to services: the state of one core.

pub(crate) mod cluster;
pub(crate) mod connector;
pub(crate) mod endpoint;
pub(crate) mod exchange;
pub(crate) mod forward;
pub(crate) mod gateway_headers;
pub(crate) mod load_balancer;
pub(crate) mod pool;
pub(crate) mod redirects;
pub(crate) mod request;
pub(crate) mod request_facts;
pub(crate) mod response_body;
pub(crate) mod retry_budget;
pub(crate) mod router;
pub(crate) mod upgrade;

use std::{cell::RefCell, rc::Rc, sync::Arc};

use self::{retry_budget::RetryBudget, router::Router};
use crate::{
    config::UpstreamSettings,
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
    pub(crate) retries: RetryBudget,
    pub(crate) streams: Rc<StreamRegistry>,
    pub(crate) deadlines: Rc<Deadlines>,
    snapshots: RefCell<SnapshotReader>,
    router: RefCell<Rc<Router>>,
}

impl State {
    /// The state of a core that has not reached any service yet.
    pub(crate) fn new(settings: UpstreamSettings, limits: CoreLimits, mut snapshots: SnapshotReader) -> Self {
        let router = Router::of(Arc::clone(snapshots.newest()), None);
        Self {
            settings,
            limits,
            retries: RetryBudget::default(),
            streams: Rc::default(),
            deadlines: Rc::default(),
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
            *router = Rc::new(Router::of(Arc::clone(newest), Some(&router)));
        }
        Rc::clone(&router)
    }

    /// A permit for one more socket to a service. If there is none, closes an idle socket for it.
    pub(crate) fn connection_permit(&self) -> Option<Permit> {
        self.limits.connection(|| self.router.borrow().close_one_idle())
    }
}
