//! Services from the `[services.NAME]` tables of `gateway.toml`.

use std::sync::Arc;

use toml::Spanned;

use super::{
    entry::{ServiceEntry, Urls},
    policy, service_variable,
    table::SERVICE,
    urls,
};
use crate::{
    config::reading::{file::FileReader, reader::Reader},
    domain::gateway::models::service::{DeclaredService, ServiceName, ServiceUrl},
};

/// Adds the services of the file to those of the variables. The two may share a service: its URL from the variable, its
/// policy from the file. Only one of them may have the URL, so that nothing hides the other.
pub(super) fn with_file(reader: &mut Reader<'_>, mut services: Vec<DeclaredService>) -> Vec<DeclaredService> {
    for (key, table) in reader.file().take_services() {
        let Some(name) = reader.file().field("services", &key, |text| {
            text.parse::<ServiceName>().map_err(|hint| format!("must have the names of services; {hint}"))
        }) else {
            continue;
        };
        let Some(entry) = reader.file().entry::<ServiceEntry>(&SERVICE, table) else { continue };
        let elsewhere = reader.value_and_place(&service_variable(&name)).map(|(_, place)| place);
        let file = reader.file();
        if let (Some(given), Some(place)) = (&entry.url, elsewhere) {
            file.note(
                given,
                format!("url must not be set beside {place}, which has the URL of {name}; remove one of them"),
            );
            continue;
        }
        let own = entry.url.as_ref().map(|given| own_urls(file, given)).unwrap_or_default();
        let policy = policy::policy(file, &entry);
        let known = services.iter().position(|service| service.name == name);
        let declared = known.map_or(&own, |at| &services[at].urls);
        if let (Some(given), false) = (&entry.tls, declared.is_empty() || declared.iter().any(|url| url.tls)) {
            file.note(given, format!("tls must not be set; no URL of {name} is https:// or h2s://"));
        }
        let policy = Arc::new(policy.unwrap_or_default());
        match known {
            Some(at) => services[at].policy = policy,
            None => services.push(DeclaredService { name, urls: own, policy }),
        }
    }
    services.sort_by(|a, b| a.name.cmp(&b.name));
    services
}

/// The URLs of the file: separated by commas as in the variable, or in a list.
fn own_urls(file: &mut FileReader<'_>, given: &Spanned<Urls>) -> Vec<ServiceUrl> {
    let text = match given.get_ref() {
        Urls::Text(text) => text.clone(),
        Urls::List(list) => list.join(","),
    };
    let has_empty = match given.get_ref() {
        Urls::Text(text) => text.trim().is_empty() || super::has_empty_entry(text),
        Urls::List(list) => list.is_empty() || list.iter().any(|entry| entry.trim().is_empty()),
    };
    if has_empty {
        file.note(given, "url must have no empty entry; leave url out if the instances register themselves");
    }
    urls(&text, |problem| file.note(given, format!("url {problem}")))
}

#[cfg(test)]
mod tests;
