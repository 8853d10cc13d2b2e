//! What `gateway check` says about the services: which paths lead to them, and who may use those.

use std::collections::HashSet;

use crate::{
    app::routes_in_force,
    config::Settings,
    domain::gateway::models::{
        path::Spellings,
        service::{Route, ServiceName},
    },
};

/// One line for each route, in columns, and what leads nowhere.
pub(super) fn listed(settings: &Settings) -> String {
    let table = routes_in_force(settings);
    let rows: Vec<[String; 5]> = table.iter().map(|route| row(route)).collect();
    let widths: [usize; 4] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default());
    let mut text = "services are reachable here, each path with all below it:\n".to_owned();
    for row in &rows {
        text.push(' ');
        for (cell, width) in row.iter().zip(widths) {
            text.push_str(&format!(" {cell:<width$} "));
        }
        text.push_str(&format!(" {}\n", row[4]));
    }
    let led_to: HashSet<&ServiceName> = table.iter().map(|route| &route.service).collect();
    for service in settings.services.iter().filter(|service| !led_to.contains(&service.name)) {
        text.push_str(&format!("no route leads to the service {}\n", service.name));
    }
    text
}

/// Path, methods, service, path there, and who may.
fn row(route: &Route) -> [String; 5] {
    let mut who = route.access.to_string();
    if route.allow != Spellings::NONE {
        who.push_str(&format!("; lets through {}", route.allow));
    }
    [
        route.prefix.to_string(),
        route.methods.to_string(),
        route.service.to_string(),
        route.upstream_prefix.to_string(),
        who,
    ]
}
