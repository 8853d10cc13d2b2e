//! Limits the requests in flight: of one client address, to one service, and on a route that sets a limit. A request
//! counts until its response has ended, and so does a stream or a WebSocket. Requests for the gateway's own paths are
//! counted separately: a client that has used up everything else can still reach those.

use std::{
    cell::RefCell,
    collections::HashMap,
    net::IpAddr,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use super::{
    buckets::Buckets,
    permit::{CorePermits, Permit, SharedPermits},
};
use crate::domain::gateway::models::{
    http::{network::client_network, path::PathPrefix},
    service::{Methods, Route, ServiceName},
};

/// The subject of a limit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Subject {
    /// Requests of a client for services.
    Client(IpAddr),
    /// Requests of a client for the gateway's own paths.
    ClientAtOwnPaths(IpAddr),
    /// With its limit: when that changes, counting starts anew.
    Service(ServiceName, usize),
    /// Requests that wait for a service to respond.
    Pending(ServiceName, usize),
    /// Several routes may have the same path, each with methods of its own.
    Route(PathPrefix, Methods),
}

/// The limits of all cores.
#[derive(Debug)]
pub(crate) struct SharedLimits {
    per_client: usize,
    per_service: usize,
    cores: usize,
    /// Sockets to services. They share the process's file descriptors with the clients' sockets.
    connections: Arc<SharedPermits>,
    /// The counts of rate limits, of all routes.
    rates: Buckets,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    permits: HashMap<Subject, Weak<SharedPermits>>,
    /// At this number of entries, the unused ones are removed.
    purge_at: usize,
}

/// Below this number of entries, a purge is not worthwhile.
const PURGE_AT_LEAST: usize = 1024;

impl SharedLimits {
    /// Sets the limits over all cores: requests of a client, requests to a service, and connections to services.
    pub(crate) fn new(per_client: usize, per_service: usize, connections: usize, cores: usize) -> Arc<Self> {
        let connections = SharedPermits::new(connections, cores);
        let rates = Buckets::new();
        Arc::new(Self { per_client, per_service, cores, connections, rates, known: Mutex::default() })
    }

    fn permits(&self, subject: Subject, limit: usize) -> Arc<SharedPermits> {
        // A panic while the lock was held can at worst have left an unused entry.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(permits) = known.permits.get(&subject).and_then(Weak::upgrade) {
            permits.set_limit(limit, self.cores);
            return permits;
        }
        if known.permits.len() >= known.purge_at.max(PURGE_AT_LEAST) {
            known.permits.retain(|_, permits| permits.strong_count() > 0);
            known.purge_at = known.permits.len() * 2;
        }
        let permits = SharedPermits::new(limit, self.cores);
        known.permits.insert(subject, Arc::downgrade(&permits));
        permits
    }
}

/// The limits as one core sees them.
#[derive(Debug)]
pub(crate) struct CoreLimits {
    shared: Arc<SharedLimits>,
    connections: Rc<CorePermits>,
    clients: RefCell<HashMap<IpAddr, Rc<ClientPermits>>>,
    /// Routes that have a limit, by their path: several may have the same.
    routes: RefCell<HashMap<PathPrefix, Vec<LimitedRoute>>>,
}

/// The permits of a route, as one core sees them.
#[derive(Debug)]
struct LimitedRoute {
    methods: Methods,
    /// The limit that this core has seen last: the settings may change it.
    limit: usize,
    permits: Rc<CorePermits>,
}

/// The requests that one client may have in flight.
#[derive(Debug)]
pub(crate) struct ClientPermits {
    /// Requests for services.
    pub(crate) proxied: Rc<CorePermits>,
    /// Requests for the gateway's own paths.
    pub(crate) own_paths: Rc<CorePermits>,
}

impl CoreLimits {
    pub(crate) fn of(shared: &Arc<SharedLimits>) -> Self {
        Self {
            shared: Arc::clone(shared),
            connections: CorePermits::of(Arc::clone(&shared.connections)),
            clients: RefCell::default(),
            routes: RefCell::default(),
        }
    }

    /// The permits of a client.
    pub(crate) fn of_client(&self, address: IpAddr) -> Rc<ClientPermits> {
        let client = client_network(address);
        let mut clients = self.clients.borrow_mut();
        let permits = clients.entry(client).or_insert_with(|| {
            let limit = self.shared.per_client;
            let permits = |subject| CorePermits::of(self.shared.permits(subject, limit));
            Rc::new(ClientPermits {
                proxied: permits(Subject::Client(client)),
                own_paths: permits(Subject::ClientAtOwnPaths(client)),
            })
        });
        Rc::clone(permits)
    }

    /// The permits of a service, which may have a limit of its own.
    pub(crate) fn of_service(&self, name: &ServiceName, limit: Option<usize>) -> Rc<CorePermits> {
        let limit = limit.unwrap_or(self.shared.per_service);
        CorePermits::of(self.shared.permits(Subject::Service(name.clone(), limit), limit))
    }

    /// The permits of requests that wait for a service to respond.
    pub(crate) fn pending_at(&self, name: &ServiceName, limit: usize) -> Rc<CorePermits> {
        CorePermits::of(self.shared.permits(Subject::Pending(name.clone(), limit), limit))
    }

    /// A permit for a request on a route that allows `limit`.
    pub(crate) fn on_route(&self, route: &Route, limit: usize) -> Option<Permit> {
        let mut routes = self.routes.borrow_mut();
        let permits = || {
            let subject = Subject::Route(route.prefix.clone(), route.methods.clone());
            self.shared.permits(subject, limit)
        };
        let of_path = routes.get_mut(&route.prefix);
        if let Some(known) = of_path.and_then(|of_path| of_path.iter_mut().find(|known| known.methods == route.methods))
        {
            if known.limit != limit {
                known.limit = limit;
                // Sets the limit of all cores.
                drop(permits());
            }
            return known.permits.try_acquire();
        }
        let permits = CorePermits::of(permits());
        let permit = permits.try_acquire();
        let known = LimitedRoute { methods: route.methods.clone(), limit, permits };
        routes.entry(route.prefix.clone()).or_default().push(known);
        permit
    }

    /// The counts of rate limits, which all cores share.
    pub(crate) fn rates(&self) -> &Buckets {
        &self.shared.rates
    }

    /// A permit for one more socket to a service. If there is none, `close_idle` may close an idle socket.
    pub(crate) fn connection(&self, close_idle: impl FnOnce() -> bool) -> Option<Permit> {
        self.connections.try_acquire().or_else(|| close_idle().then(|| self.connections.try_acquire())?)
    }

    /// Removes clients that have no connection, and routes that have no request: they may be gone from the settings.
    pub(crate) fn forget_unused(&self) {
        self.clients.borrow_mut().retain(|_, permits| Rc::strong_count(permits) > 1);
        self.routes.borrow_mut().retain(|_, of_path| {
            of_path.retain(|known| Rc::strong_count(&known.permits) > 1);
            !of_path.is_empty()
        });
    }
}

/// The permits of a request in flight.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    /// From the limit of its client.
    pub(crate) client: Option<Permit>,
    /// From the limit of its service.
    pub(crate) service: Option<Permit>,
    /// From the limit of its route.
    pub(crate) route: Option<Permit>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn cores_share_the_counts_of_clients_and_services() {
        let shared = SharedLimits::new(2, 1, 1, 2);
        let cores = [CoreLimits::of(&shared), CoreLimits::of(&shared)];
        let of_client = |core: usize, address| cores[core].of_client(ip(address)).proxied.try_acquire();
        let held = [of_client(0, "2001:db8::1"), of_client(1, "2001:db8::2")];
        assert!(held.iter().all(Option::is_some));
        assert!(of_client(0, "2001:db8::3").is_none() && of_client(1, "2001:db8::3").is_none());
        assert!(of_client(1, "2001:db8:0:1::1").is_some(), "another network is another client");
        assert!(cores[0].of_client(ip("2001:db8::1")).own_paths.try_acquire().is_some(), "they count by themselves");
        let services = cores.each_ref().map(|core| core.of_service(&"auth".parse().unwrap(), None));
        let held = services[0].try_acquire();
        assert!(held.is_some() && services[1].try_acquire().is_none());
        let route = Route::of_service(&"auth".parse().unwrap());
        let reads = Route { methods: Methods::Only(vec!["GET".to_owned()]), ..route.clone() };
        let held = cores[0].on_route(&route, 1);
        assert!(held.is_some() && cores[1].on_route(&route, 1).is_none());
        assert!(cores[1].on_route(&reads, 1).is_some(), "another route of the same path");
    }

    #[test]
    fn a_changed_limit_of_a_route_counts_on_all_cores_and_forgotten_routes_keep_their_count() {
        let shared = SharedLimits::new(1, 1, 1, 2);
        let cores = [CoreLimits::of(&shared), CoreLimits::of(&shared)];
        let route = Route::of_service(&"auth".parse().unwrap());
        let held = [cores[0].on_route(&route, 2), cores[1].on_route(&route, 2)];
        assert!(held.iter().all(Option::is_some) && cores[0].on_route(&route, 2).is_none());
        let more = cores[1].on_route(&route, 3);
        assert!(more.is_some(), "it was raised");
        assert!(cores[0].on_route(&route, 3).is_none(), "three are in flight, over both cores");
        drop(more);
        assert!(cores[1].on_route(&route, 1).is_none(), "it was lowered below what is in flight");
        for core in &cores {
            core.forget_unused();
        }
        assert_eq!(cores.each_ref().map(|core| core.routes.borrow().len()), [1, 1], "they have requests");
        drop(held);
        for core in &cores {
            core.forget_unused();
        }
        assert_eq!(cores.each_ref().map(|core| core.routes.borrow().len()), [0, 0]);
        assert!(cores[0].on_route(&route, 1).is_some());
    }

    #[test]
    fn an_idle_socket_is_closed_for_another() {
        let core = CoreLimits::of(&SharedLimits::new(1, 1, 1, 1));
        let mut idle = core.connection(|| panic!("there is room"));
        assert!(idle.is_some() && core.connection(|| false).is_none());
        assert!(core.connection(|| idle.take().is_some()).is_some());
    }

    #[test]
    fn clients_without_requests_are_removed_and_permits_outlive_that() {
        let shared = SharedLimits::new(1, 1, 1, 1);
        let core = CoreLimits::of(&shared);
        let held = core.of_client(ip("192.0.2.1")).proxied.try_acquire().unwrap();
        core.forget_unused();
        assert_eq!(core.clients.borrow().len(), 0);
        assert!(core.of_client(ip("192.0.2.1")).proxied.try_acquire().is_none(), "it is still in flight");
        drop(held);
        assert!(core.of_client(ip("192.0.2.1")).proxied.try_acquire().is_some());
        for number in 0..5000_u32 {
            core.of_client(IpAddr::V4(number.into()));
            core.forget_unused();
        }
        assert!(shared.known.lock().unwrap().permits.len() <= 2 * PURGE_AT_LEAST);
    }
}
