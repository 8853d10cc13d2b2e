//! The table of all routes, and the choice of the route for a request.

use std::{collections::HashSet, sync::Arc};

use foldhash::HashMap;

use super::{Route, ServiceName};
use crate::domain::gateway::models::http::path::{Spelling, Spellings, other_readings, without_case};

/// All routes, found by longest prefix with as many look-ups as the path has segments, for any number of routes.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    by_prefix: HashMap<String, Node>,
    /// The same routes by their case-folded prefix.
    by_folded: HashMap<String, Vec<Arc<Route>>>,
    /// The most segments of any prefix: deeper boundaries of a path need not be tried.
    deepest: usize,
    /// Whether no prefix contains an upper-case letter or an escape.
    plain: bool,
}

/// The routes of one prefix.
#[derive(Debug, Clone, Default)]
struct Node {
    /// Routes that name their methods come first.
    routes: Vec<Arc<Route>>,
    /// Whether a route for other paths would match as well, if case were ignored.
    has_neighbours: bool,
}

/// The properties of a request that a route is chosen by.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'r> {
    /// The path in its one form.
    pub path: &'r str,
    /// The ambiguous spellings in it.
    pub spellings: Spellings,
    /// The method.
    pub method: &'r str,
    /// For a preflight request: the method that the browser asks about.
    pub preflight_for: Option<&'r str>,
}

/// The result of a look-up.
#[derive(Debug, Clone, Copy)]
pub enum Found<'t> {
    /// This route matches the request.
    Route {
        /// The route.
        route: &'t Arc<Route>,
        /// Whether other methods of the path belong to other routes, or to none.
        by_method: bool,
    },
    /// These routes match the path, and none of them the method.
    OtherMethods(&'t [Arc<Route>]),
    /// The route does not allow this spelling of the path.
    Refused(Spelling),
    /// A route matches, but some server would read the path as one of a stricter route.
    Ambiguous,
    /// No route matches the path.
    Nothing,
}

impl RouteTable {
    /// A table of exactly these routes. Of those that compete for a path and a method, the first wins.
    pub fn new(routes: impl IntoIterator<Item = Route>) -> Self {
        let mut table = Self { plain: true, ..Self::default() };
        let mut above = HashSet::new();
        for route in routes.into_iter().map(Arc::new) {
            let prefix = route.prefix.as_str();
            table.deepest = table.deepest.max(prefix.matches('/').count());
            table.plain &= is_plain(prefix);
            let folded = without_case(prefix);
            let parents = folded.match_indices('/').map(|(at, _)| folded[..at].to_owned());
            above.extend(parents);
            table.by_folded.entry(folded).or_default().push(Arc::clone(&route));
            table.by_prefix.entry(prefix.to_owned()).or_default().routes.push(route);
        }
        for (prefix, node) in &mut table.by_prefix {
            node.routes.sort_by_key(|route| route.methods.named().is_empty());
            let folded = without_case(prefix);
            let has_twins = table.by_folded.get(&folded).is_some_and(|alike| alike.len() > node.routes.len());
            node.has_neighbours = has_twins || above.contains(&folded);
        }
        table
    }

    /// The declared routes, and the default route `/api/<service>/…` → `/…` of each service that none of them leads to.
    /// Declared routes come first: one with the prefix of a default route replaces it.
    pub fn with_defaults<'s>(
        declared: impl IntoIterator<Item = Route>,
        services: impl IntoIterator<Item = &'s ServiceName>,
    ) -> Self {
        let declared: Vec<Route> = declared.into_iter().collect();
        let of_declared = Self::new(declared.iter().cloned());
        let named: HashSet<&ServiceName> = declared.iter().map(|route| &route.service).collect();
        let others = services.into_iter().filter(|service| !named.contains(service)).map(Route::of_service);
        let defaults: Vec<Route> = others.filter(|route| of_declared.node(route.prefix.as_str()).is_none()).collect();
        Self::new(declared.into_iter().chain(defaults))
    }

    /// Finds the route for a request.
    pub fn find(&self, wanted: Wanted<'_>) -> Found<'_> {
        let Some((prefix, node)) = self.node(wanted.path) else {
            let refused = wanted.spellings.first_not_in(Spellings::NONE);
            return refused.map_or(Found::Nothing, Found::Refused);
        };
        let Some(route) = wanted.choose(&node.routes.iter()) else {
            return Found::OtherMethods(&node.routes);
        };
        if !wanted.spellings.is_empty()
            && let Some(refused) = refused(route, wanted)
        {
            return Found::Refused(refused);
        }
        if node.has_neighbours && self.is_ambiguous(route, prefix, wanted) {
            return Found::Ambiguous;
        }
        Found::Route { route, by_method: node.routes.iter().any(|route| !route.methods.named().is_empty()) }
    }

    /// The routes with the longest prefix of a path.
    fn node<'p>(&self, path: &'p str) -> Option<(&'p str, &Node)> {
        // Searches bytes, as a search for a character costs more than all the rest.
        let mut borders = path.bytes().enumerate().skip(1).filter(|&(_, byte)| byte == b'/').map(|(at, _)| at);
        let mut candidate_end = borders.nth(self.deepest.saturating_sub(1)).unwrap_or(path.len());
        loop {
            let candidate = &path[..candidate_end];
            if let Some(node) = self.by_prefix.get(candidate) {
                return Some((candidate, node));
            }
            candidate_end = candidate.bytes().rposition(|byte| byte == b'/')?;
        }
    }

    /// Whether a server that ignores case, or interprets an allowed spelling differently, would read the path as one of
    /// another route, whose rules some requests that pass `route` do not pass.
    fn is_ambiguous(&self, route: &Route, prefix: &str, wanted: Wanted<'_>) -> bool {
        let Wanted { path, spellings, .. } = wanted;
        if self.plain && spellings.is_empty() && is_plain(&path[prefix.len()..]) {
            return false;
        }
        let is_stricter = |reading: &str| {
            let folded = without_case(reading);
            let ends = folded.match_indices('/').map(|(at, _)| at).chain([folded.len()]);
            ends.take(self.deepest + 1).any(|end| {
                let others = self.by_folded.get(&folded[..end]).into_iter().flatten();
                // The routes that match the path as it is are those that the route was chosen from.
                let others: Vec<_> = others.filter(|other| !other.matches(path)).collect();
                let chosen = wanted.choose(&others.iter().copied());
                !others.is_empty() && !chosen.is_some_and(|other| route.implies(other))
            })
        };
        is_stricter(path) || other_readings(path, spellings).iter().any(|reading| is_stricter(reading))
    }

    /// Every route, sorted by prefix.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        let mut routes: Vec<_> = self.by_prefix.values().flat_map(|node| &node.routes).collect();
        routes.sort_by(|a, b| a.prefix.cmp(&b.prefix));
        routes.into_iter()
    }
}

impl Wanted<'_> {
    /// The route of a path that matches the method. A preflight request belongs to the route of the method that it asks
    /// about, unless a route names `OPTIONS`.
    fn choose<'t>(&self, routes: &(impl Iterator<Item = &'t Arc<Route>> + Clone)) -> Option<&'t Arc<Route>> {
        let named = |method| routes.clone().find(|route| route.methods.names(method));
        let rest = || routes.clone().find(|route| route.methods.named().is_empty());
        named(self.method).or_else(|| self.preflight_for.and_then(named)).or_else(rest)
    }
}

/// The first spelling in the path that its route does not allow.
fn refused(route: &Route, wanted: Wanted<'_>) -> Option<Spelling> {
    let spelling = wanted.spellings.first_not_in(route.allow);
    spelling.or_else(|| {
        // Some servers read `//host/…` at the beginning as another host.
        let pieces = route.upstream_pieces(wanted.path);
        pieces
            .is_some_and(|[prefix, rest]| prefix.is_empty() && rest.starts_with("//"))
            .then_some(Spelling::DoubleSlash)
    })
}

/// Whether no case-insensitive server can read the text as another.
fn is_plain(text: &str) -> bool {
    !text.bytes().any(|byte| byte.is_ascii_uppercase() || byte == b'%')
}

#[cfg(test)]
mod tests;
