//! The routes that a request without a route came near to: another case, another method, a slip of the pen.

use std::sync::Arc;

use crate::domain::gateway::models::{
    http::path::PathPrefix,
    service::{Route, RouteTable},
};

/// More hints would be a list of routes, which is another command.
const MOST: usize = 3;

/// The methods of a path's routes.
pub(super) fn methods(routes: &[Arc<Route>], wanted: &str) -> Vec<String> {
    let upper = wanted.to_ascii_uppercase();
    let case = routes.iter().any(|route| route.methods.names(&upper)) && upper != wanted;
    let case = case.then(|| format!("methods are written in upper case: {upper}"));
    let others = routes.iter().map(|route| format!("{} has {}", route.prefix, route.methods));
    case.into_iter().chain(others).take(MOST).collect()
}

/// The routes whose paths look like the beginning of this one.
pub(super) fn routes(table: &RouteTable, path: &str) -> Vec<String> {
    let mut found: Vec<(usize, String)> = table.iter().filter_map(|route| near(&route.prefix, path)).collect();
    found.sort();
    found.dedup();
    found.into_iter().map(|(_, hint)| hint).take(MOST).collect()
}

/// How far a route's path is from the beginning of `path` with as many segments, and in what they differ.
fn near(prefix: &PathPrefix, path: &str) -> Option<(usize, String)> {
    let segments = prefix.as_str().matches('/').count();
    let end = path.match_indices('/').map(|(at, _)| at).nth(segments).unwrap_or(path.len());
    let beginning = path.get(..end)?;
    if beginning == prefix.as_str() {
        return None;
    }
    if let Ok(other) = beginning.parse::<PathPrefix>()
        && other.without_case() == prefix.without_case()
    {
        return Some((0, format!("{prefix} has a route; case matters")));
    }
    // One slip in four letters: `/api/user` is near `/api/users`, and `/api/a` near nothing.
    let slips = (prefix.as_str().len().saturating_sub("/api/".len()) / 4).clamp(1, 3);
    let distance = strsim::osa_distance(&beginning.to_lowercase(), &prefix.as_str().to_lowercase());
    (distance <= slips).then(|| (distance, format!("{prefix} has a route; is the path misspelt?")))
}
