//! A core's own view of the newest snapshot: the snapshot itself, and what this core keeps for each service in it (whose
//! turn it is, open connections). Finds out where a request goes.

use std::{
    cell::{Cell, OnceCell},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use foldhash::HashMap;
use http::HeaderValue;
use tracing::error;

use super::{
    in_flight::CoreLimits,
    multiplex::Multiplex,
    names::{Host, Names},
    permits::{CorePermits, Permit},
    pool::Pool,
    snapshot::Snapshot,
};
use crate::domain::gateway::models::{
    path::Spelling,
    service::{Found, Instance, Route, SERVICES_PREFIX, Service, ServiceName, UpstreamProtocol, Wanted},
};

/// See the module.
pub(super) struct View {
    pub(super) snapshot: Arc<Snapshot>,
    upstreams: Rc<HashMap<ServiceName, Upstream>>,
}

/// A service, as one core deals with it.
pub(super) struct Upstream {
    targets: Vec<Rc<Target>>,
    turn: Cell<usize>,
    /// For requests to it; known once one has come.
    permits: OnceCell<Rc<CorePermits>>,
}

/// An instance of a service, with this core's connections to it.
pub(super) struct Target {
    pub(super) instance: Arc<Instance>,
    /// Also the `Host` of requests that go there.
    pub(super) authority: String,
    /// Finds out where it is.
    pub(super) host: Host,
    pub(super) pool: Pool,
    /// The same for an instance that speaks HTTP/2.
    pub(super) multiplex: Multiplex,
    /// Until when it is passed over, because it could not be connected to.
    rests_until: Cell<Option<Instant>>,
    /// Why it could not be, until somebody asks.
    pub(super) trouble: Cell<Option<String>>,
}

/// How long an instance rests that could not be connected to. Long enough that trying it again costs next to nothing of the
/// retry budget, short enough that one that is back is soon found.
const REST: Duration = Duration::from_secs(2);

/// Where a request goes.
pub(super) enum Destination<'v> {
    /// To a service, which may have no instance or not be known at all.
    Service {
        /// The route there.
        route: &'v Arc<Route>,
        /// The service.
        upstream: Option<&'v Upstream>,
        /// Whether it depends on the method: other methods have another route, or none.
        by_method: bool,
    },
    /// Nowhere: these are the routes of its path, and none of them takes its method.
    OtherMethods(&'v [Arc<Route>]),
    /// Nowhere: its path may not be spelled in this way.
    Refused(Spelling),
    /// Nowhere: it lies among the services, but no route leads to one.
    Nowhere,
    /// To the control plane.
    OwnPath,
}

impl View {
    /// The view of `snapshot`. What `before` knows about instances that are still there is kept.
    pub(super) fn of(snapshot: Arc<Snapshot>, names: &Arc<Names>, before: Option<&Self>) -> Self {
        if let Some(before) = before
            && Arc::ptr_eq(&before.snapshot.services, &snapshot.services)
        {
            return Self { snapshot, upstreams: Rc::clone(&before.upstreams) };
        }
        let upstreams = snapshot
            .services
            .iter()
            .map(|(name, service)| {
                let known = before.and_then(|before| before.upstreams.get(name));
                (name.clone(), Upstream::of(service, names, known))
            })
            .collect();
        Self { snapshot, upstreams: Rc::new(upstreams) }
    }

    /// Where a request goes: along a route, or to ourselves.
    pub(super) fn destination(&self, wanted: Wanted<'_>) -> Destination<'_> {
        match self.snapshot.routes.find(wanted) {
            Found::Route { route, by_method } => {
                Destination::Service { route, upstream: self.upstreams.get(&route.service), by_method }
            }
            Found::OtherMethods(routes) => Destination::OtherMethods(routes),
            Found::Refused(spelling) => Destination::Refused(spelling),
            Found::Ambiguous => Destination::Nowhere,
            Found::Nothing => match wanted.path.strip_prefix(SERVICES_PREFIX) {
                Some(rest) if rest.is_empty() || rest.starts_with('/') => Destination::Nowhere,
                Some(_) | None => Destination::OwnPath,
            },
        }
    }

    /// Closes one connection of HTTP/1.1 that is not in use, if there is one.
    pub(super) fn close_one_idle(&self) -> bool {
        self.upstreams.values().flat_map(|upstream| &upstream.targets).any(|target| target.pool.close_oldest())
    }

    /// Closes connections to instances that were not used for longer than `idle_timeout`.
    pub(super) fn close_idle(&self, now: Instant, idle_timeout: Duration) {
        for target in self.upstreams.values().flat_map(|upstream| &upstream.targets) {
            target.pool.close_idle(now, idle_timeout);
            target.multiplex.close_idle(now, idle_timeout);
        }
    }
}

impl Upstream {
    fn of(service: &Service, names: &Arc<Names>, known: Option<&Self>) -> Self {
        let targets = service.instances.iter().filter_map(|instance| {
            let known = known.and_then(|known| known.targets.iter().find(|target| target.instance == *instance));
            known.map(Rc::clone).or_else(|| Target::new(instance, names))
        });
        Self {
            targets: targets.collect(),
            turn: Cell::new(known.map_or(0, |known| known.turn.get())),
            permits: known.map(|known| known.permits.clone()).unwrap_or_default(),
        }
    }

    /// A permit for one more request to it, if so many may be in flight; `name` is its name.
    pub(super) fn permit(&self, limits: &CoreLimits, name: &ServiceName) -> Option<Permit> {
        self.permits.get_or_init(|| limits.of_service(name)).try_acquire()
    }

    /// Whether an instance speaks HTTP/2.
    pub(super) fn speaks_http2(&self) -> bool {
        self.targets.iter().any(|target| target.speaks_http2())
    }

    /// The instance whose turn it is; one that rests only if all of them do.
    pub(super) fn next(&self, now: Instant) -> Option<&Rc<Target>> {
        let target = super::balance::round_robin(&self.targets, &self.turn)?;
        if !target.rests(now) {
            return Some(target);
        }
        super::balance::next_but(&self.targets, &self.turn, |other| other.rests(now)).or(Some(target))
    }

    /// Another instance than `target`, if there is one.
    pub(super) fn other_than(&self, target: &Rc<Target>) -> Option<&Rc<Target>> {
        super::balance::next_but(&self.targets, &self.turn, |other| Rc::ptr_eq(other, target))
    }
}

impl Target {
    fn new(instance: &Arc<Instance>, names: &Arc<Names>) -> Option<Rc<Self>> {
        let authority = instance.authority();
        if HeaderValue::try_from(&authority).is_err() {
            error!(instance = authority, "an instance has an address that no request can be sent to");
            return None;
        }
        Some(Rc::new(Self {
            instance: Arc::clone(instance),
            authority,
            host: Host::new(&instance.host, Arc::clone(names)),
            pool: Pool::default(),
            multiplex: Multiplex::default(),
            rests_until: Cell::default(),
            trouble: Cell::default(),
        }))
    }

    /// Whether it speaks HTTP/2.
    pub(super) fn speaks_http2(&self) -> bool {
        self.instance.protocol == UpstreamProtocol::Http2
    }

    /// It could not be connected to: for a while others go first.
    pub(super) fn let_rest(&self, now: Instant) {
        self.rests_until.set(Some(now + REST));
    }

    /// It was connected to.
    pub(super) fn has_rested(&self) {
        self.rests_until.set(None);
    }

    fn rests(&self, now: Instant) -> bool {
        self.rests_until.get().is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::gateway::models::path::Spellings,
        edge::test_support::{names, route, service, snapshot},
    };

    fn view(snapshot: Snapshot, before: Option<&View>) -> View {
        View::of(Arc::new(snapshot), &names(), before)
    }

    fn goes(view: &View, path: &str) -> String {
        let wanted = Wanted { path, spellings: Spellings::NONE, method: "GET", preflight_for: None };
        match view.destination(wanted) {
            Destination::Service { route, upstream, .. } => {
                let known = if upstream.is_some() { "" } else { " (unknown)" };
                format!("{}{known} as {}", route.service, route.upstream_pieces(path).unwrap().concat())
            }
            Destination::OtherMethods(_) => "other methods".to_owned(),
            Destination::Refused(spelling) => format!("{spelling:?}"),
            Destination::Nowhere => "nowhere".to_owned(),
            Destination::OwnPath => "own".to_owned(),
        }
    }

    #[test]
    fn what_no_route_is_for_is_our_own_or_nobodys() {
        let routes = [route("/api/users", "auth", "/users"), route("/api/gone", "gone", "/")];
        let services = [service("auth", &["http://a"]), service("board", &["http://b"])];
        let view = view(snapshot(routes, services), None);
        for (path, where_to) in [
            ("/api/users", "auth as /users"),
            ("/api/users/me", "auth as /users/me"),
            ("/api/auth", "nowhere"),
            ("/api/auth/x", "nowhere"),
            ("/api/board", "board as /"),
            ("/api/board/x", "board as /x"),
            ("/api/gone/x", "gone (unknown) as /x"),
            ("/api/usersx", "nowhere"),
            ("/api", "nowhere"),
            ("/api/", "nowhere"),
            ("/api/other/x", "nowhere"),
            ("/apis", "own"),
            ("/", "own"),
            ("/tokens/create", "own"),
        ] {
            assert_eq!(goes(&view, path), where_to, "{path}");
        }
    }

    #[test]
    fn instances_that_stay_keep_their_connections() {
        let first = view(snapshot([], [service("auth", &["http://a", "http://b"])]), None);
        let second = view(snapshot([], [service("auth", &["http://b", "http://c"])]), Some(&first));
        let targets = |view: &View| view.upstreams.get("auth").unwrap().targets.clone();
        assert!(Rc::ptr_eq(&targets(&first)[1], &targets(&second)[0]));
        assert_eq!(targets(&second)[1].authority, "c:80");
        let mut changed = Snapshot::clone(&second.snapshot);
        changed.revocations = crate::domain::gateway::models::token::Revocations::default();
        let third = view(changed, Some(&second));
        assert!(Rc::ptr_eq(&second.upstreams, &third.upstreams), "nothing is rebuilt for a revocation");
    }
}
