//! One document of the gateway and of its services.

use std::collections::HashSet;

use serde_json::json;

use crate::json::Json;

/// A service as the gateway serves it.
#[derive(Debug, Clone)]
pub struct DescribedService {
    /// Its name: the tag of its operations.
    pub service: String,
    /// What it says of itself.
    pub description: Option<String>,
    /// Its paths outside.
    pub paths: Vec<(String, Json)>,
    /// What they refer to, by kind.
    pub components: Vec<(String, Vec<(String, Json)>)>,
}

/// Our document, which is one of 3.1 already, with the services': they come first. A path of ours stays ours.
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
        // Their names begin with the service's, so none is there already.
        if let Some(Json::Object(known)) = ours.at_mut(&["components", kind]) {
            known.extend(values.iter().cloned());
        }
    }
    if let Some(Json::Array(tags)) = ours.get_mut("tags") {
        let of_services = services.iter().map(|service| {
            let description = service.description.clone().unwrap_or_else(|| "A service behind the gateway.".to_owned());
            Json::from(json!({"name": service.service, "description": description}))
        });
        // Behind what a beginner plays with first, if that is there.
        let at = usize::from(tags.first().and_then(|tag| tag.get("name")).and_then(Json::text) == Some("Playground"));
        tags.splice(at..at, of_services);
    }
    ours
}
