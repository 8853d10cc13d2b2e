//! The part of `gateway check` about services: the paths that lead to them, and the required access.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Value, json};

use super::explain::origin;
use crate::{
    app::routes_in_force,
    config::{Environment, RouteOrigin, SAMPLE_SERVICE, Settings, service_variable},
    domain::gateway::models::{
        http::path::Spellings,
        service::{DeclaredService, Route, RouteTable, SERVICES_PREFIX, ServiceName},
    },
};

/// One line per route, in columns, and the services without a route.
pub(super) fn listed(settings: &Settings) -> String {
    let table = routes_in_force(settings);
    let rows: Vec<[String; 5]> = table.iter().map(|route| row(route)).collect();
    let widths: [usize; 4] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default());
    let mut text = "services are reachable here, each path with all below it:\n".to_owned();
    for [path, methods, service, path_there, who] in &rows {
        let [path_width, methods_width, service_width, path_there_width] = widths;
        let columns = [
            format!("  {path:<path_width$}"),
            format!("{methods:<methods_width$}"),
            format!("{service:<service_width$}"),
            format!("{path_there:<path_there_width$}"),
            format!("{who}\n"),
        ];
        text.push_str(&columns.join("  "));
    }
    for (_, trouble) in troubles(settings, &table) {
        text.push_str(&trouble);
        text.push('\n');
    }
    text
}

/// The same as one document for programs.
pub(super) fn document(settings: &Settings) -> Value {
    let table = routes_in_force(settings);
    let routes = table.iter().map(|route| {
        let Route { prefix, methods, service, upstream_prefix, access, allow, .. } = &**route;
        let service = (!service.is_none()).then_some(service.as_str());
        json!({
            "path": prefix.to_string(),
            "methods": methods.named(),
            "service": service,
            "path_at_service": service.map(|_| upstream_prefix.to_string()),
            "access": access.to_string(),
            "allow": allow.names(),
            "policy": route.restrictions(),
            "from": origin(settings, route),
        })
    });
    let troubles = troubles(settings, &table);
    let troubles = troubles.iter().map(|(service, why)| json!({ "service": service.as_str(), "reason": why }));
    json!({ "routes": routes.collect::<Vec<_>>(), "unreachable": troubles.collect::<Vec<_>>() })
}

/// The services that no request reaches, and the reasons.
fn troubles<'s>(settings: &'s Settings, table: &'s RouteTable) -> Vec<(&'s ServiceName, String)> {
    let led_to: HashSet<&ServiceName> =
        table.iter().map(|route| &route.service).filter(|service| !service.is_none()).collect();
    let without_route = settings.services.iter().filter(|service| !led_to.contains(&service.name)).map(|service| {
        let line = format!("no route leads to the service {}{}", service.name, taken_by(settings, table, service));
        (&service.name, line)
    });
    let sample = (settings.environment == Environment::Development).then_some(SAMPLE_SERVICE);
    let with_address: HashSet<&str> =
        settings.services.iter().map(|service| service.name.as_str()).chain(sample).collect();
    // Only the shipped routes may lead to a service without an address.
    let without: BTreeSet<&ServiceName> =
        led_to.iter().copied().filter(|name| !with_address.contains(name.as_str())).collect();
    let without_address = without.into_iter().map(|name| {
        let variable = service_variable(name);
        (name, format!("the service {name} has no address, so its paths get 503: set {variable}"))
    });
    without_route.chain(without_address).collect()
}

/// The route of another service that has the paths of this one.
fn taken_by(settings: &Settings, table: &RouteTable, service: &DeclaredService) -> String {
    let own = format!("{SERVICES_PREFIX}/{}", service.name);
    let Some(route) = table.iter().find(|route| route.prefix.as_str() == own) else { return String::new() };
    let origin = settings.route_origins.get(&(route.prefix.clone(), route.methods.clone()));
    let remedy = match origin {
        Some(RouteOrigin::Shipped) => {
            "; a route of your own for that path, or default_routes = false in gateway.toml, replaces it"
        }
        Some(RouteOrigin::File { .. }) | None => "",
    };
    let origin = origin.map(|origin| format!(" ({origin})")).unwrap_or_default();
    if route.service.is_none() {
        return format!(": the gateway itself answers at {own}{origin}");
    }
    format!(": {own} leads to {}{origin}{remedy}", route.service)
}

/// Path, methods, service, path there, and access.
fn row(route: &Route) -> [String; 5] {
    let mut who = route.access.to_string();
    if route.allow != Spellings::NONE {
        who = format!("{who}; lets through {}", route.allow);
    }
    let restrictions = route.restrictions();
    who.extend(restrictions.iter().flat_map(|restriction| ["; ", restriction]));
    [
        route.prefix.to_string(),
        route.methods.to_string(),
        route.service.to_string(),
        route.upstream_prefix.to_string(),
        who,
    ]
}
