//! A service, as one core deals with it: its endpoints, and whose turn it is.

use std::{
    cell::{Cell, OnceCell},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    endpoint::Endpoint,
    load_balancer::{next_excluding, round_robin},
};
use crate::{
    domain::gateway::models::service::{Service, ServiceName},
    edge::{
        limits::{
            in_flight::CoreLimits,
            permit::{CorePermits, Permit},
        },
        net::names::Names,
    },
};

/// See the module.
pub(crate) struct Cluster {
    pub(crate) endpoints: Vec<Rc<Endpoint>>,
    turn: Cell<usize>,
    /// For requests to it; known once one has come.
    permits: OnceCell<Rc<CorePermits>>,
}

impl Cluster {
    /// What `before` knows about endpoints that are still there is kept.
    pub(crate) fn of(service: &Service, names: &Arc<Names>, before: Option<&Self>) -> Self {
        let endpoints = service.instances.iter().filter_map(|instance| {
            let known = before.and_then(|before| before.endpoints.iter().find(|known| known.instance == *instance));
            known.map(Rc::clone).or_else(|| Endpoint::new(instance, names))
        });
        Self {
            endpoints: endpoints.collect(),
            turn: Cell::new(before.map_or(0, |before| before.turn.get())),
            permits: before.map(|before| before.permits.clone()).unwrap_or_default(),
        }
    }

    /// A permit for one more request to it, if so many may be in flight; `name` is its name.
    pub(crate) fn permit(&self, limits: &CoreLimits, name: &ServiceName) -> Option<Permit> {
        self.permits.get_or_init(|| limits.of_service(name)).try_acquire()
    }

    /// Whether an endpoint speaks HTTP/2.
    pub(crate) fn speaks_http2(&self) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.speaks_http2())
    }

    /// The endpoint whose turn it is; one that is ejected only if all of them are.
    pub(crate) fn next(&self, now: Instant) -> Option<&Rc<Endpoint>> {
        let endpoint = round_robin(&self.endpoints, &self.turn)?;
        if !endpoint.is_ejected(now) {
            return Some(endpoint);
        }
        next_excluding(&self.endpoints, &self.turn, |other| other.is_ejected(now)).or(Some(endpoint))
    }

    /// Another endpoint than this, if there is one.
    pub(crate) fn other_than(&self, endpoint: &Rc<Endpoint>) -> Option<&Rc<Endpoint>> {
        next_excluding(&self.endpoints, &self.turn, |other| Rc::ptr_eq(other, endpoint))
    }

    /// Closes one connection of HTTP/1.1 that is not in use, if there is one.
    pub(crate) fn close_one_idle(&self) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.http1.close_oldest())
    }

    /// Closes connections that were not used for longer than `idle_timeout`.
    pub(crate) fn close_idle(&self, now: Instant, idle_timeout: Duration) {
        for endpoint in &self.endpoints {
            endpoint.http1.close_idle(now, idle_timeout);
            endpoint.http2.close_idle(now, idle_timeout);
        }
    }
}
