//! A service as one core sees it: its endpoints, and the choice among them.

pub(crate) mod endpoint;
pub(crate) mod load_balancer;
mod retry_budget;
mod watch;

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use self::{
    endpoint::Endpoint,
    load_balancer::{Dice, Positions, Ring, least, least_of_two, round_robin, turns},
    retry_budget::RetryBudget,
};
use crate::{
    domain::gateway::models::service::{Balancing, ServiceName},
    edge::{
        health::ServiceState,
        limits::{
            in_flight::CoreLimits,
            permit::{CorePermits, Permit},
        },
        net::origination::Originator,
    },
};

/// So many turns of instances that seem to hang are passed over. If there are more, the load decides.
const TURNS: u32 = 8;

/// A service as one core sees it.
pub(crate) struct Cluster {
    pub(crate) state: Arc<ServiceState>,
    pub(crate) endpoints: Vec<Rc<Endpoint>>,
    pub(crate) retries: Rc<RetryBudget>,
    choice: Choice,
    available: RefCell<Available>,
    /// The permits for requests to it; known after the first request.
    permits: OnceCell<Rc<CorePermits>>,
    pending: OnceCell<Rc<CorePermits>>,
}

/// What a core needs for the choice.
struct Choice {
    dice: Dice,
    cursor: Cell<usize>,
    /// With a hash: the ring of all endpoints. Those that get no requests are passed over.
    ring: Option<Ring>,
}

/// The endpoints that get requests, as of a change.
#[derive(Default)]
struct Available {
    changes: Option<u64>,
    positions: Positions,
    /// For a round robin.
    turns: Positions,
}

impl Cluster {
    /// Keeps the endpoints of `before` that are still there, with their connections.
    pub(crate) fn of(
        state: &Arc<ServiceState>,
        core: usize,
        salt: u64,
        originator: Option<&Arc<Originator>>,
        before: Option<&Self>,
    ) -> Self {
        let known: HashMap<_, _> = before
            .iter()
            .flat_map(|before| &before.endpoints)
            .filter(|endpoint| endpoint.connector.uses(originator))
            .map(|endpoint| (endpoint.instance.identity(), endpoint))
            .collect();
        let endpoints: Vec<Rc<Endpoint>> = state
            .instances
            .iter()
            .filter_map(|instance| match known.get(&instance.instance.identity()) {
                Some(endpoint) => {
                    endpoint.follow(instance, state);
                    Some(Rc::clone(endpoint))
                }
                None => Endpoint::new(instance, state, core, salt, originator),
            })
            .collect();
        let policy = &state.service.policy;
        let ring = matches!(policy.balancing, Balancing::Hash(_))
            .then(|| Ring::of(endpoints.iter().map(|endpoint| (endpoint.address.as_bytes(), endpoint.weight()))));
        let limits = |cluster: &&Self| {
            let before = &cluster.state.service.policy;
            (before.max_requests, before.max_pending) == (policy.max_requests, policy.max_pending)
        };
        let same_limits = before.filter(limits);
        Self {
            state: Arc::clone(state),
            endpoints,
            retries: before.map(|before| Rc::clone(&before.retries)).unwrap_or_default(),
            choice: Choice {
                dice: Dice::new(RandomState::new().hash_one(core)),
                cursor: Cell::new(before.map_or(core, |before| before.choice.cursor.get())),
                ring,
            },
            available: RefCell::default(),
            permits: same_limits.map(|before| before.permits.clone()).unwrap_or_default(),
            pending: same_limits.map(|before| before.pending.clone()).unwrap_or_default(),
        }
    }

    /// A permit for one more request to it, if one is free; `name` is its name.
    pub(crate) fn permit(&self, limits: &CoreLimits, name: &ServiceName) -> Option<Permit> {
        let limit = self.state.service.policy.max_requests;
        self.permits.get_or_init(|| limits.of_service(name, limit)).try_acquire()
    }

    /// A permit for one more request that waits for the head of its response. The outer `None` means that none is free;
    /// the inner one, that there is no limit.
    #[expect(clippy::option_option, reason = "a missing limit is no refusal")]
    pub(crate) fn pending_permit(&self, limits: &CoreLimits) -> Option<Option<Permit>> {
        let Some(limit) = self.state.service.policy.max_pending else { return Some(None) };
        let permits = self.pending.get_or_init(|| limits.pending_at(&self.state.service.name, limit));
        permits.try_acquire().map(Some)
    }

    /// Whether an endpoint speaks HTTP/2.
    pub(crate) fn speaks_http2(&self) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.speaks_http2())
    }

    /// The endpoint for a request, other than `but`. `key` is the hash of what it is hashed by. If no endpoint gets
    /// requests, all are tried: one that seems dead may be better than none.
    pub(crate) fn pick(&self, key: Option<u64>, but: Option<&Rc<Endpoint>>, now: Instant) -> Option<&Rc<Endpoint>> {
        if let [only] = &self.endpoints[..] {
            return but.is_none().then_some(only);
        }
        self.refresh();
        let available = self.available.borrow();
        let position = match but {
            None => self.choose(key, &available.positions, Some(&available.turns), now),
            Some(but) => {
                let is_other = |at: &u32| self.at(*at).is_some_and(|endpoint| !Rc::ptr_eq(endpoint, but));
                let others: Positions = available.positions.iter().copied().filter(is_other).collect();
                self.choose(key, &others, None, now)
            }
        };
        position.and_then(|position| self.at(position))
    }

    /// Without `turns` nobody's turn is taken: otherwise each fallback would make a dead endpoint the next one again.
    /// Weights do not matter then either.
    fn choose(&self, key: Option<u64>, available: &[u32], turns: Option<&[u32]>, now: Instant) -> Option<u32> {
        let load = |at: u32| self.at(at).map_or(f32::MAX, |endpoint| endpoint.load(now));
        let warmth = |at: u32| self.at(at).map_or(1.0, |endpoint| endpoint.warmth(now));
        let Choice { dice, cursor, ring } = &self.choice;
        let round = turns.unwrap_or(available);
        let least_of_two = || least_of_two(available, round, dice, warmth, load);
        match (&self.state.service.policy.balancing, ring, key) {
            (Balancing::Hash(_), Some(ring), Some(key)) => ring.find(key, |at| available.binary_search(&at).is_ok()),
            (Balancing::StickyCookie(_), _, Some(name)) => self.named(name, available).or_else(least_of_two),
            (Balancing::RoundRobin, ..) if turns.is_some() => {
                let hangs = |&at: &u32| self.at(at).is_some_and(|endpoint| endpoint.seems_to_hang());
                let mut next = (0..TURNS).map_while(|_| round_robin(round, cursor));
                next.find(|at| !hangs(at)).or_else(least_of_two)
            }
            (Balancing::LeastRequests, ..) => least(available, round, dice, load),
            (Balancing::LeastOfTwo | Balancing::RoundRobin | Balancing::StickyCookie(_) | Balancing::Hash(_), ..) => {
                least_of_two()
            }
        }
    }

    /// Takes up a change of availability.
    fn refresh(&self) {
        let changes = self.state.changes();
        let mut available = self.available.borrow_mut();
        if available.changes == Some(changes) {
            return;
        }
        let all = 0..u32::try_from(self.endpoints.len()).unwrap_or(u32::MAX);
        let is_available =
            |at: &u32| self.at(*at).is_some_and(|endpoint| endpoint.with_state(|_, state| state.is_available()));
        let mut positions: Positions = all.clone().filter(is_available).collect();
        if positions.is_empty() {
            positions = all.collect();
        }
        let turns = turns(&positions, |at| self.at(at).map_or(1, |endpoint| endpoint.weight()));
        *available = Available { changes: Some(changes), positions, turns };
    }

    /// The endpoint that a sticky cookie names, if it gets requests.
    fn named(&self, name: u64, available: &[u32]) -> Option<u32> {
        available.iter().copied().find(|&at| self.at(at).is_some_and(|endpoint| endpoint.name == name))
    }

    fn at(&self, position: u32) -> Option<&Rc<Endpoint>> {
        self.endpoints.get(usize::try_from(position).unwrap_or(usize::MAX))
    }

    /// Closes one idle HTTP/1.1 connection, if there is one.
    pub(crate) fn close_one_idle(&self) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.http1.close_oldest())
    }

    /// Closes connections that were idle for longer than `idle_timeout`.
    pub(crate) fn close_idle(&self, now: Instant, idle_timeout: Duration) {
        self.endpoints.iter().for_each(|endpoint| endpoint.close_idle(now, idle_timeout));
    }
}
