//! Services from `<NAME>_SERVICE_URL` and `gateway.toml`, who else knows their instances, and limits for requests to
//! them.

pub(super) mod docker;
mod entry;
mod file;
pub(super) mod names;
mod policy;
mod table;
pub(super) mod tls;

use std::{collections::HashMap, sync::Arc, time::Duration};

use ipnet::IpNet;

use super::{
    UpstreamSettings,
    listener::{MANY, network},
    reading::{
        reader::{Reader, entries},
        report::{Mistake, broken},
    },
    variables::{CONNECT_TIMEOUT, FIRST_BYTE_TIMEOUT, MAX_REQUESTS_PER_SERVICE, SERVICE_CIDRS, UPSTREAM_IDLE_TIMEOUT},
};
pub(super) use table::SERVICE;

use crate::domain::gateway::models::service::{DeclaredService, InvalidServiceUrl, ServiceName, ServiceUrl};

/// The suffix of such a variable.
pub(super) const SERVICE_URL_SUFFIX: &str = "_SERVICE_URL";

/// The suffix of the variable for the path of a service's OpenAPI document.
pub(super) const SERVICE_OPENAPI_SUFFIX: &str = "_SERVICE_OPENAPI";

/// The sample service, which development starts unless its address is set.
pub const SAMPLE_SERVICE: &str = "auth";

const INSTANT: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_hours(1);

/// Reads the services, in the order of their names.
pub(super) fn read(reader: &mut Reader<'_>) -> Vec<DeclaredService> {
    let mut services = Vec::new();
    for name in reader.names() {
        let Some(stem) = name.strip_suffix(SERVICE_URL_SUFFIX) else { continue };
        let Some((value, place)) = reader.value_and_place(name) else { continue };
        let service = service_name(stem);
        if service.is_none() {
            reader.note(names_no_service(&place, SERVICE_URL_SUFFIX));
        }
        let urls = urls(value, |problem| reader.note(Mistake::new(&place, problem)));
        services.extend(service.map(|name| DeclaredService { name, urls, policy: Arc::default() }));
    }
    file::with_file(reader, services)
}

/// Reads the paths of services' OpenAPI documents, where they are set.
pub(super) fn read_documents(reader: &mut Reader<'_>) -> HashMap<ServiceName, Option<String>> {
    let mut documents = HashMap::new();
    for name in reader.names() {
        let Some(stem) = name.strip_suffix(SERVICE_OPENAPI_SUFFIX) else { continue };
        let Some((value, place)) = reader.value_and_place(name) else { continue };
        let path = if value == "off" { None } else { Some(value.to_owned()) };
        let is_path =
            path.as_ref().is_none_or(|path| path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()));
        match service_name(stem) {
            None => reader.note(names_no_service(&place, SERVICE_OPENAPI_SUFFIX)),
            Some(service) if is_path => {
                documents.insert(service, path);
            }
            Some(_) => {
                let rule = "must be the path of the service's OpenAPI document, such as /v3/api-docs, or off";
                reader.note(Mistake::new(&place, broken(rule, value)));
            }
        }
    }
    documents
}

/// Reads the networks in which instances may register themselves.
pub(super) fn read_networks(reader: &mut Reader<'_>) -> Option<Vec<IpNet>> {
    reader.read(&SERVICE_CIDRS, |text| entries(text).map(|entry| network(entry, text)).collect())
}

/// Reads the limits for requests to services.
pub(super) fn read_upstream(reader: &mut Reader<'_>) -> Option<UpstreamSettings> {
    let connect_timeout = reader.duration(&CONNECT_TIMEOUT, INSTANT..=HOUR);
    let first_byte_timeout = reader.duration(&FIRST_BYTE_TIMEOUT, INSTANT..=HOUR);
    let idle_timeout = reader.duration(&UPSTREAM_IDLE_TIMEOUT, INSTANT..=HOUR);
    let max_requests = reader.number(&MAX_REQUESTS_PER_SERVICE, 1..=MANY);
    Some(UpstreamSettings {
        connect_timeout: connect_timeout?,
        first_byte_timeout: first_byte_timeout?,
        idle_timeout: idle_timeout?,
        max_requests: max_requests?,
    })
}

/// `user-profile` → `USER_PROFILE_SERVICE_URL`
pub fn service_variable(name: &ServiceName) -> String {
    format!("{}{SERVICE_URL_SUFFIX}", name.as_str().to_ascii_uppercase().replace('-', "_"))
}

/// `USER_PROFILE` → `user-profile`
pub(super) fn service_name(stem: &str) -> Option<ServiceName> {
    let upper_case = stem.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    upper_case.then(|| stem.to_ascii_lowercase().replace('_', "-"))?.parse().ok()
}

fn names_no_service(place: &str, suffix: &str) -> Mistake {
    let rule = format!("1 to 63 upper-case letters, digits and _, the first a letter, as in AUTH{suffix}");
    Mistake::new(place, format!("must have the name of a service before {suffix}; it has {rule}"))
}

/// Whether an instance seems to be missing: an entry is empty, except after the last comma, and others are not.
pub(super) fn has_empty_entry(list: &str) -> bool {
    let list = list.trim_end();
    let list = list.strip_suffix(',').unwrap_or(list);
    list.split(',').any(|entry| entry.trim().is_empty()) && entries(list).next().is_some()
}

/// Reads the URLs; `mistake` notes the problem of an entry.
fn urls(text: &str, mut mistake: impl FnMut(String)) -> Vec<ServiceUrl> {
    let mut urls: Vec<ServiceUrl> = Vec::new();
    for entry in entries(text) {
        match entry.parse::<ServiceUrl>() {
            Err(InvalidServiceUrl) => {
                let rule = format!("must be the URL of a service; {InvalidServiceUrl}");
                mistake(broken(&rule, entry));
            }
            Ok(known) if urls.contains(&known) => {
                mistake(format!("must name each instance once; {entry:?} is there twice"));
            }
            Ok(new) => urls.push(new),
        }
    }
    urls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_names_its_service() {
        let name = |stem| service_name(stem).map(|name| name.as_str().to_owned());
        assert_eq!(name("AUTH").as_deref(), Some("auth"));
        assert_eq!(name("USER_PROFILE2").as_deref(), Some("user-profile2"));
        for stem in ["", "_AUTH", "1AUTH", "auth", "A.B", &"A".repeat(64)] {
            assert_eq!(name(stem), None, "{stem}");
        }
        assert_eq!(service_variable(&"user-profile2".parse().unwrap()), "USER_PROFILE2_SERVICE_URL");
    }

    #[test]
    fn every_bad_instance_is_named() {
        let mut said = Vec::new();
        let found = urls("http://a:1, ftp://b ,http://c:2,http://a:1/,d,", |problem| said.push(problem));
        assert_eq!(found.iter().map(ServiceUrl::authority).collect::<Vec<_>>(), ["a:1", "c:2"]);
        assert_eq!(said.len(), 3, "{said:#?}");
        for (said, begin) in said.iter().zip([
            "must be the URL of a service, not \"ftp://b\"; it must be http://",
            "must name each instance once; \"http://a:1/\" is there twice",
            "must be the URL of a service, not \"d\"; it must be http://",
        ]) {
            assert!(said.starts_with(begin), "{said}");
        }
    }
}
