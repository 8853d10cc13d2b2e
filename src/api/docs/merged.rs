//! Merges the documents of the gateway and of its services.

use std::collections::HashSet;

use serde_json::json;

use crate::json::Json;

/// A service as the gateway serves it.
#[derive(Debug, Clone)]
pub struct DescribedService {
    /// The name: the tag of its operations.
    pub service: String,
    /// The description in its document.
    pub description: Option<String>,
    /// The public paths.
    pub paths: Vec<(String, Json)>,
    /// The components that the paths refer to, by kind.
    pub components: Vec<(String, Vec<(String, Json)>)>,
}

/// Merges the services' documents into the gateway's, which is already OpenAPI 3.1. The services' paths come first, but
/// the gateway's own paths take precedence.
pub(super) fn merged(mut ours: Json, services: &[DescribedService]) -> Json {
    let own_paths = ours.get_mut("paths").map(std::mem::take).unwrap_or_default().into_members();
    let mut known: HashSet<&str> = own_paths.iter().map(|(path, _)| path.as_str()).collect();
    let mut paths: Vec<(String, Json)> = Vec::new();
    for (path, item) in services.iter().flat_map(|service| &service.paths) {
        if known.insert(path) {
            paths.push((path.clone(), item.clone()));
        }
    }
    paths.extend(own_paths);
    ours.set("paths", Json::Object(paths));
    for (kind, values) in services.iter().flat_map(|service| &service.components) {
        if ours.at_mut(&["components", kind]).is_none()
            && let Some(components) = ours.get_mut("components")
        {
            components.set(kind, Json::Object(Vec::new()));
        }
        // Their names begin with the service's, so they are unique.
        if let Some(Json::Object(known)) = ours.at_mut(&["components", kind]) {
            known.extend(values.iter().cloned());
        }
    }
    if let Some(Json::Array(tags)) = ours.get_mut("tags") {
        let of_services = services.iter().map(|service| {
            let description = service.description.clone().unwrap_or_else(|| "A service behind the gateway.".to_owned());
            Json::from(json!({"name": service.service, "description": description}))
        });
        // After the group for beginners, if that exists.
        let at = usize::from(tags.first().and_then(|tag| tag.get("name")).and_then(Json::text) == Some("Playground"));
        tags.splice(at..at, of_services);
    }
    ours
}
