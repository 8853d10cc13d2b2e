//! An endpoint of a service as one core sees it: its connections, and the state that all cores share.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use http::HeaderValue;
use tracing::error;

use super::watch::Watch;
use crate::{
    domain::gateway::models::{
        service::{Instance, UpstreamProtocol},
        values::digest::Sha256Digest,
    },
    edge::{
        health::{InstanceState, ServiceState},
        net::origination::Originator,
        upstream::{
            connector::Connector,
            pool::{http1::Http1Pool, http2::Http2Pool},
        },
    },
};

/// So many requests in a row without an answer, over all cores, are more than a coincidence.
const FEW_UNANSWERED: u32 = 5;

/// With at most this many cores, their counters are read for each request. With more, that would cost more than it is
/// worth: the other cores' sum may be this old.
const FEW_CORES: usize = 4;
const OTHERS_FRESH_FOR: Duration = Duration::from_millis(5);

/// An endpoint of a service as one core sees it.
pub(crate) struct Endpoint {
    pub(crate) instance: Arc<Instance>,
    /// Also the `Host` of requests to it.
    pub(crate) authority: Rc<str>,
    /// Its name in sticky cookies.
    pub(crate) name: u64,
    /// The address in logs.
    pub(crate) address: Rc<str>,
    pub(crate) connector: Rc<Connector>,
    pub(crate) http1: Http1Pool,
    pub(crate) http2: Rc<Http2Pool>,
    /// What this core has seen of it, for the checks; only one core checks.
    pub(crate) watch: RefCell<Watch>,
    shared: RefCell<Shared>,
    core: usize,
    others: Cell<Others>,
    /// How many requests of this core in a row wait for an answer.
    unanswered: Cell<u32>,
}

/// The state that all cores share, in the newest list.
struct Shared {
    state: InstanceState,
    of_service: Arc<ServiceState>,
}

/// The requests in flight that other cores sent, as of a moment.
#[derive(Clone, Copy, Default)]
struct Others {
    in_flight: u32,
    at: Option<Instant>,
}

impl Endpoint {
    /// `None` if the address cannot be used in a request.
    pub(crate) fn new(
        state: &InstanceState,
        of_service: &Arc<ServiceState>,
        core: usize,
        salt: u64,
        originator: Option<&Arc<Originator>>,
    ) -> Option<Rc<Self>> {
        let instance = &state.instance;
        let authority = instance.authority();
        if HeaderValue::try_from(&authority).is_err() {
            error!(instance = authority, "an instance has an address that requests cannot be sent to");
            return None;
        }
        let address = instance.address();
        Some(Rc::new(Self {
            name: name_of(salt, &address),
            instance: Arc::clone(instance),
            authority: authority.into(),
            address: address.into(),
            connector: Rc::new(Connector::new(instance, originator)),
            http1: Http1Pool::default(),
            http2: Rc::default(),
            watch: RefCell::default(),
            shared: RefCell::new(Shared { state: state.clone(), of_service: Arc::clone(of_service) }),
            core,
            others: Cell::default(),
            unanswered: Cell::default(),
        }))
    }

    /// Follows a new list of its service.
    pub(crate) fn follow(&self, state: &InstanceState, of_service: &Arc<ServiceState>) {
        *self.shared.borrow_mut() = Shared { state: state.clone(), of_service: Arc::clone(of_service) };
    }

    /// Calls `use_it` with the state that all cores share.
    pub(crate) fn with_state<T>(&self, use_it: impl FnOnce(&ServiceState, &InstanceState) -> T) -> T {
        let shared = self.shared.borrow();
        use_it(&shared.of_service, &shared.state)
    }

    /// Whether it speaks HTTP/2.
    pub(crate) fn speaks_http2(&self) -> bool {
        self.instance.protocol == UpstreamProtocol::Http2
    }

    /// How long a connection to it is used.
    pub(crate) fn connection_age(&self) -> Option<Duration> {
        self.with_state(|of_service, _| of_service.service.policy.connection_age)
    }

    /// Its share of the requests, relative to others.
    pub(crate) fn weight(&self) -> u16 {
        self.with_state(|_, state| state.instance.weight)
    }

    /// The requests in flight, relative to its weight and, in a slow start, to its warmth.
    pub(crate) fn load(&self, now: Instant) -> f32 {
        self.with_state(|of_service, state| {
            let counters = state.counters();
            let in_flight = if counters.cores() <= FEW_CORES {
                counters.sums().in_flight
            } else {
                let mut others = self.others.get();
                let own = counters.own_in_flight(self.core);
                if others.at.is_none_or(|at| now.saturating_duration_since(at) > OTHERS_FRESH_FOR) {
                    others = Others { in_flight: counters.sums().in_flight.saturating_sub(own), at: Some(now) };
                    self.others.set(others);
                }
                own.saturating_add(others.in_flight)
            };
            #[expect(clippy::cast_precision_loss, reason = "loads are compared; there are never millions in flight")]
            let in_flight = in_flight as f32;
            in_flight / (f32::from(state.instance.weight.max(1)) * warmth(of_service, state, now))
        })
    }

    /// The share of requests that it gets in its slow start, up to 1.
    pub(crate) fn warmth(&self, now: Instant) -> f32 {
        self.with_state(|of_service, state| warmth(of_service, state, now))
    }

    /// Whether it seems to hang: a few requests in a row have got no answer on this core. Another one is better off
    /// elsewhere, until the checks know more.
    pub(crate) fn seems_to_hang(&self) -> bool {
        let few = self.with_state(|_, state| FEW_UNANSWERED / u32::try_from(state.counters().cores()).unwrap_or(1));
        self.unanswered.get() >= few.max(1)
    }

    /// It failed to respond.
    pub(crate) fn has_failed(&self, reason: &'static str) {
        self.with_state(|of_service, state| of_service.failed(state, reason, Instant::now()));
    }

    /// It did not respond in time: one more failure, and it is checked.
    pub(crate) fn is_too_late(&self) {
        self.with_state(|of_service, state| {
            state.doubt();
            of_service.failed(state, "it did not respond in time", Instant::now());
        });
    }

    /// Connecting failed: it gets no requests until it answers.
    pub(crate) fn is_unreachable(&self, reason: &str) {
        self.with_state(|of_service, state| of_service.refused(state, reason, Instant::now()));
    }

    /// Closes connections that were idle for longer than `idle_timeout`.
    pub(crate) fn close_idle(&self, now: Instant, idle_timeout: Duration) {
        self.http1.close_idle(now, idle_timeout);
        self.http2.close_idle(now, idle_timeout);
    }
}

/// The name of an instance in sticky cookies. Nobody can tell from it where the instance is, or make the name of another.
fn name_of(salt: u64, address: &str) -> u64 {
    let digest = Sha256Digest::of(format!("{salt:016x} {address}").as_bytes());
    digest.as_bytes().iter().take(8).fold(0, |name, &byte| (name << 8) | u64::from(byte))
}

fn warmth(of_service: &ServiceState, state: &InstanceState, now: Instant) -> f32 {
    let slow_start = of_service.service.policy.slow_start;
    if slow_start.is_zero() { 1.0 } else { state.warmth(slow_start, now) }
}

/// A request at an endpoint: counts as in flight until it is dropped, and reports how it ended.
pub(crate) struct Lease {
    endpoint: Rc<Endpoint>,
    /// Whether the response has not begun.
    is_awaiting: bool,
    has_failed: bool,
}

impl Lease {
    pub(crate) fn of(endpoint: &Rc<Endpoint>) -> Self {
        endpoint.with_state(|_, state| state.counters().sent(endpoint.core));
        endpoint.unanswered.set(endpoint.unanswered.get().saturating_add(1));
        Self { endpoint: Rc::clone(endpoint), is_awaiting: true, has_failed: false }
    }

    /// Its endpoint.
    pub(crate) fn endpoint(&self) -> &Rc<Endpoint> {
        &self.endpoint
    }

    /// The response has begun with this status.
    pub(crate) fn answered(&mut self, status: http::StatusCode) {
        self.endpoint.unanswered.set(0);
        if std::mem::take(&mut self.is_awaiting) {
            self.endpoint.with_state(|_, state| state.counters().answered(self.endpoint.core));
        }
        if let Some(reason) = failed_status(status) {
            self.failed(reason);
        }
    }

    /// The response was received completely.
    pub(crate) fn complete(&self) {
        if !self.has_failed {
            self.endpoint.with_state(ServiceState::succeeded);
        }
    }

    /// The endpoint has failed: it did not respond in time, lost the connection, or sent an error. Counts once.
    pub(crate) fn failed(&mut self, reason: &'static str) {
        if !std::mem::replace(&mut self.has_failed, true) {
            self.endpoint.has_failed(reason);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.is_awaiting {
            // It failed, which is another matter than to hang.
            self.endpoint.unanswered.set(self.endpoint.unanswered.get().saturating_sub(1));
        }
        self.endpoint.with_state(|_, state| state.counters().ended(self.endpoint.core, self.is_awaiting));
    }
}

/// The reason why a response with this status is a failure of the instance. 501 and 505 are about the request.
fn failed_status(status: http::StatusCode) -> Option<&'static str> {
    match status.as_u16() {
        500 => Some("it responds with 500"),
        502 => Some("it responds with 502"),
        503 => Some("it responds with 503"),
        504 => Some("it responds with 504"),
        _ => None,
    }
}
