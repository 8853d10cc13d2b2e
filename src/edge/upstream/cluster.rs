//! A service as one core sees it: its endpoints, and the round-robin cursor.

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
        net::origination::Originator,
    },
};

/// A service as one core sees it.
pub(crate) struct Cluster {
    pub(crate) endpoints: Vec<Rc<Endpoint>>,
    cursor: Cell<usize>,
    /// The permits for requests to it; known after the first request.
    permits: OnceCell<Rc<CorePermits>>,
}

impl Cluster {
    /// Keeps the endpoints of `before` that are still configured, with their state.
    pub(crate) fn of(service: &Service, originator: Option<&Arc<Originator>>, before: Option<&Self>) -> Self {
        let endpoints = service.instances.iter().filter_map(|instance| {
            let known = before.and_then(|before| before.endpoints.iter().find(|known| known.instance == *instance));
            let known = known.filter(|known| known.connector.uses(originator));
            known.map(Rc::clone).or_else(|| Endpoint::new(instance, originator))
        });
        Self {
            endpoints: endpoints.collect(),
            cursor: Cell::new(before.map_or(0, |before| before.cursor.get())),
            permits: before.map(|before| before.permits.clone()).unwrap_or_default(),
        }
    }

    /// A permit for one more request to it, if one is free; `name` is its name.
    pub(crate) fn permit(&self, limits: &CoreLimits, name: &ServiceName) -> Option<Permit> {
        self.permits.get_or_init(|| limits.of_service(name)).try_acquire()
    }

    /// Whether an endpoint speaks HTTP/2.
    pub(crate) fn speaks_http2(&self) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.speaks_http2())
    }

    /// The next endpoint, round robin; an ejected one only if all are ejected.
    pub(crate) fn next(&self, now: Instant) -> Option<&Rc<Endpoint>> {
        let endpoint = round_robin(&self.endpoints, &self.cursor)?;
        if !endpoint.is_ejected(now) {
            return Some(endpoint);
        }
        next_excluding(&self.endpoints, &self.cursor, |other| other.is_ejected(now)).or(Some(endpoint))
    }

    /// An endpoint other than `endpoint`, if there is one.
    pub(crate) fn other_than(&self, endpoint: &Rc<Endpoint>) -> Option<&Rc<Endpoint>> {
        next_excluding(&self.endpoints, &self.cursor, |other| Rc::ptr_eq(other, endpoint))
    }

    /// Closes one idle HTTP/1.1 connection, if there is one.
    pub(crate) fn close_one_idle(&self) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.http1.close_oldest())
    }

    /// Closes connections that were idle for longer than `idle_timeout`.
    pub(crate) fn close_idle(&self, now: Instant, idle_timeout: Duration) {
        for endpoint in &self.endpoints {
            endpoint.http1.close_idle(now, idle_timeout);
            endpoint.http2.close_idle(now, idle_timeout);
        }
    }
}
