//! Finds the destination of a request in the newest snapshot, and holds this core's state for each service in it.

use std::{
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use foldhash::HashMap;

use super::cluster::Cluster;
use crate::{
    domain::gateway::models::{
        http::path::Spelling,
        service::{Found, Route, SERVICES_PREFIX, ServiceName, Wanted},
    },
    edge::snapshot::Snapshot,
};

/// Finds the destination of a request.
pub(crate) struct Router {
    pub(crate) snapshot: Arc<Snapshot>,
    clusters: Rc<HashMap<ServiceName, Cluster>>,
}

/// The destination of a request.
pub(crate) enum Destination<'v> {
    /// A service, which may have no endpoint or be unknown.
    Service {
        /// The route to it.
        route: &'v Arc<Route>,
        /// The service.
        cluster: Option<&'v Cluster>,
        /// Whether it depends on the method: other methods have another route, or none.
        by_method: bool,
    },
    /// None: these are the routes of its path, and none of them takes its method.
    OtherMethods(&'v [Arc<Route>]),
    /// None: its path may not be spelled in this way.
    Refused(Spelling),
    /// None: it is under the services' prefix, but no route matches it.
    NoRoute,
    /// The control plane.
    OwnPath,
}

impl Router {
    /// The router of `snapshot`. Keeps the state that `before` has for endpoints that are still configured.
    pub(crate) fn of(snapshot: Arc<Snapshot>, core: usize, before: Option<&Self>) -> Self {
        if let Some(before) = before
            && Arc::ptr_eq(&before.snapshot.services, &snapshot.services)
            && Arc::ptr_eq(&before.snapshot.originators, &snapshot.originators)
        {
            return Self { snapshot, clusters: Rc::clone(&before.clusters) };
        }
        let clusters = snapshot
            .services
            .iter()
            .map(|(name, state)| {
                let known = before.and_then(|before| before.clusters.get(name));
                let originator = snapshot.originators.get(&state.service.policy.tls);
                (name.clone(), Cluster::of(state, core, snapshot.salt, originator, known))
            })
            .collect();
        Self { snapshot, clusters: Rc::new(clusters) }
    }

    /// The destination of a request: a route, or the gateway itself.
    pub(crate) fn destination(&self, wanted: Wanted<'_>) -> Destination<'_> {
        match self.snapshot.routes.find(wanted) {
            Found::Route { route, by_method } => {
                Destination::Service { route, cluster: self.clusters.get(&route.service), by_method }
            }
            Found::OtherMethods(routes) => Destination::OtherMethods(routes),
            Found::Refused(spelling) => Destination::Refused(spelling),
            Found::Ambiguous => Destination::NoRoute,
            Found::Nothing => match wanted.path.strip_prefix(SERVICES_PREFIX) {
                Some(rest) if rest.is_empty() || rest.starts_with('/') => Destination::NoRoute,
                Some(_) | None => Destination::OwnPath,
            },
        }
    }

    /// The services.
    pub(crate) fn clusters(&self) -> impl Iterator<Item = &Cluster> {
        self.clusters.values()
    }

    /// Closes one idle HTTP/1.1 connection, if there is one.
    pub(crate) fn close_one_idle(&self) -> bool {
        self.clusters.values().any(Cluster::close_one_idle)
    }

    /// Closes connections to endpoints that were idle for longer than `idle_timeout`.
    pub(crate) fn close_idle(&self, now: Instant, idle_timeout: Duration) {
        self.clusters.values().for_each(|cluster| cluster.close_idle(now, idle_timeout));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::gateway::models::http::path::Spellings,
        edge::tests::support::{route, service, snapshot},
    };

    fn made_of(snapshot: Snapshot, before: Option<&Router>) -> Router {
        Router::of(Arc::new(snapshot), 0, before)
    }

    fn goes(router: &Router, path: &str) -> String {
        let wanted = Wanted { path, spellings: Spellings::NONE, method: "GET", preflight_for: None };
        match router.destination(wanted) {
            Destination::Service { route, cluster, .. } => {
                let known = if cluster.is_some() { "" } else { " (unknown)" };
                format!("{}{known} as {}", route.service, route.upstream_pieces(path).unwrap().concat())
            }
            Destination::OtherMethods(_) => "other methods".to_owned(),
            Destination::Refused(spelling) => format!("{spelling:?}"),
            Destination::NoRoute => "nowhere".to_owned(),
            Destination::OwnPath => "own".to_owned(),
        }
    }

    #[test]
    fn without_a_route_a_path_is_our_own_or_has_no_route() {
        let table = [route("/api/users", "auth", "/users"), route("/api/gone", "gone", "/")];
        let services = [service("auth", &["http://a"]), service("board", &["http://b"])];
        let router = made_of(snapshot(table, services), None);
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
            assert_eq!(goes(&router, path), where_to, "{path}");
        }
    }

    #[test]
    fn endpoints_that_stay_keep_their_connections() {
        let first = made_of(snapshot([], [service("auth", &["http://a", "http://b"])]), None);
        let second = made_of(snapshot([], [service("auth", &["http://b", "http://c"])]), Some(&first));
        let endpoints = |router: &Router| router.clusters.get("auth").unwrap().endpoints.clone();
        assert!(Rc::ptr_eq(&endpoints(&first)[1], &endpoints(&second)[0]));
        assert_eq!(endpoints(&second)[1].authority.as_ref(), "c:80");
        let mut changed = Snapshot::clone(&second.snapshot);
        changed.revocations = crate::domain::gateway::models::token::Revocations::default();
        let third = made_of(changed, Some(&second));
        assert!(Rc::ptr_eq(&second.clusters, &third.clusters), "nothing is rebuilt for a revocation");
    }
}
