//! The operations of a service as the gateway serves them: under the paths of its routes, with the routes' security.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{
    Described,
    names::{Unique, plain},
};
use crate::{
    domain::gateway::models::{
        access::{Accepted, Access},
        http::{header, path::Spellings},
        service::{Found, Methods, Route, RouteTable, ServiceName, Wanted},
    },
    json::Json,
};

const METHODS: [&str; 7] = ["get", "post", "put", "patch", "delete", "head", "options"];

/// The members of an operation that are kept.
const KEPT: [&str; 6] = ["summary", "description", "parameters", "requestBody", "responses", "deprecated"];

/// The public paths of the document's operations, by the routes that lead to them.
pub(super) fn paths(document: Json, base: &str, service: &ServiceName, table: &RouteTable) -> Vec<(String, Json)> {
    let mut made: Vec<(String, Json)> = Vec::new();
    let mut at: HashMap<String, usize> = HashMap::new();
    let mut ids = Unique::default();
    let routes: Vec<&Route> = table.iter().map(|route| &**route).filter(|route| route.service == *service).collect();
    let paths = document.into_members().into_iter().find(|(name, _)| name == "paths").map(|(_, paths)| paths);
    for (path, item) in paths.into_iter().flat_map(Json::into_members) {
        let at_service = format!("{}{path}", base.trim_end_matches('/'));
        for route in &routes {
            let Some(rest) = route.upstream_prefix.rest(&at_service) else { continue };
            // At a service, a path with a trailing slash is another path than without.
            let outside = format!("{}{rest}", route.prefix.as_str());
            let outside = if outside.is_empty() { "/".to_owned() } else { outside };
            let operations =
                operations(&item, &path, |method| leads_to(table, route, &outside, method), route, &mut ids);
            if operations.is_empty() {
                continue;
            }
            if let Some(&known) = at.get(&outside) {
                for (method, operation) in operations {
                    made[known].1.set(&method, operation);
                }
            } else {
                at.insert(outside.clone(), made.len());
                made.push((outside, Json::Object(operations)));
            }
        }
    }
    made
}

/// Whether requests for a path take this route, and not a more specific one.
fn leads_to(table: &RouteTable, route: &Route, outside: &str, method: &str) -> bool {
    let example: String =
        outside.split('/').map(|part| if part.contains('{') { "x" } else { part }).collect::<Vec<_>>().join("/");
    let method = method.to_ascii_uppercase();
    let wanted = Wanted { path: &example, spellings: Spellings::NONE, method: &method, preflight_for: None };
    matches!(table.find(wanted), Found::Route { route: found, .. } if **found == *route)
}

fn operations(
    item: &Json,
    path: &str,
    leads_to: impl Fn(&str) -> bool,
    route: &Route,
    ids: &mut Unique,
) -> Vec<(String, Json)> {
    let shared = item.get("parameters").map(Json::elements).unwrap_or_default();
    let mut made = Vec::new();
    for (method, operation) in item.members().iter().filter(|(name, _)| METHODS.contains(&name.as_str())) {
        if !matches!(operation, Json::Object(_)) || !leads_to(method) {
            continue;
        }
        let mut one = Json::from(json!({"tags": [route.service.as_str()]}));
        for name in KEPT {
            if let Some(value) = operation.get(name) {
                one.set(name, value.clone());
            }
        }
        if one.get("summary").is_none() {
            let named = operation.get("operationId").and_then(Json::text).map(str::to_owned);
            one.set("summary", json!(named.unwrap_or_else(|| format!("{} {path}", method.to_ascii_uppercase()))));
        }
        parameters(&mut one, shared, path);
        if one.get("responses").is_none_or(|responses| responses.members().is_empty()) {
            one.set("responses", json!({"default": {"description": "The response of the service."}}));
        }
        let id =
            operation.get("operationId").and_then(Json::text).map_or_else(|| format!("{method}_{path}"), str::to_owned);
        one.set("operationId", json!(ids.name(&format!("{}_{}", route.service, plain(&id)))));
        one.set("security", security(route));
        made.push((method.clone(), one));
    }
    made
}

/// Adds the shared parameters of the path, and those in its template.
fn parameters(operation: &mut Json, shared: &[Json], path: &str) {
    let mut all: Vec<Json> = operation.get("parameters").map(Json::elements).unwrap_or_default().to_vec();
    all.retain(|one| matches!(one, Json::Object(_)));
    let is_same = |one: &Json, other: &Json| {
        one.get("name").is_some() && one.get("name") == other.get("name") && one.get("in") == other.get("in")
    };
    for parameter in shared.iter().filter(|one| matches!(one, Json::Object(_))) {
        if !all.iter().any(|own| is_same(own, parameter)) {
            all.push(parameter.clone());
        }
    }
    // Callers cannot set the headers that the gateway writes.
    all.retain(|one| !is_header_of_ours(one));
    let has_reference = all.iter().any(|one| one.get("$ref").is_some());
    for name in path.split('{').skip(1).filter_map(|part| Some(part.split_once('}')?.0)) {
        let is_there = all.iter().any(|one| {
            one.get("name").and_then(Json::text) == Some(name) && one.get("in").and_then(Json::text) == Some("path")
        });
        if !is_there && !has_reference {
            all.push(json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}).into());
        }
    }
    if all.is_empty() {
        operation.remove("parameters");
    } else {
        operation.set("parameters", Json::Array(all));
    }
}

/// Whether a parameter is a header that the gateway removes from requests and writes itself, such as `X-User-Id`.
fn is_header_of_ours(parameter: &Json) -> bool {
    let text = |name: &str| parameter.get(name).and_then(Json::text);
    text("in") == Some("header")
        && text("name").is_some_and(|name| header::is_gateway_header(&name.to_ascii_lowercase()))
}

/// The security of a route, by the schemes of our own document.
fn security(route: &Route) -> Value {
    match route.access.accepted() {
        _ if route.access == Access::Open => json!([]),
        Accepted::Token => json!([{"bearer": []}]),
        Accepted::Session => json!([{"session": []}]),
        Accepted::TokenOrSession => json!([{"bearer": []}, {"session": []}]),
    }
}

/// Describes a service by its routes alone.
pub(super) fn of_routes(service: &ServiceName, table: &RouteTable) -> Described {
    let mut ids = Unique::default();
    let mut paths: Vec<(String, Json)> = Vec::new();
    for route in table.iter().filter(|route| route.service == *service) {
        let methods: Vec<String> = match &route.methods {
            Methods::All => ["get", "post", "put", "patch", "delete"].map(str::to_owned).to_vec(),
            named @ Methods::Only(_) => named.named().iter().map(|method| method.to_ascii_lowercase()).collect(),
        };
        for method in methods.iter().filter(|method| METHODS.contains(&method.as_str())) {
            if !leads_to(table, route, route.prefix.as_str(), method) {
                continue;
            }
            let id = ids.name(&format!("{service}_{method}_{}", plain(route.prefix.as_str())));
            let mut one = Json::from(json!({"tags": [service.as_str()]}));
            one.set("summary", json!(format!("{} at {service}", route.upstream_prefix)));
            one.set(
                "description",
                json!("Everything below this path goes there, too. The service does not describe itself."),
            );
            one.set("operationId", json!(id));
            one.set("responses", json!({"default": {"description": "The response of the service."}}));
            one.set("security", security(route));
            let path = route.prefix.as_str().to_owned();
            if let Some((_, item)) = paths.iter_mut().find(|(known, _)| *known == path) {
                item.set(method, one);
            } else {
                let mut item = Json::Object(Vec::new());
                item.set(method, one);
                paths.push((path, item));
            }
        }
    }
    Described { service: service.to_string(), description: None, paths, components: Vec::new() }
}
