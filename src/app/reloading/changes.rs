//! What differs between two readings of the settings.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use crate::{
    config::Settings,
    domain::gateway::{
        models::service::{DeclaredService, Route, ServiceName},
        schemas::reload::{Changed, Reloaded},
    },
};

/// The paths of services' OpenAPI documents; `None` for a service that shows none.
pub(in crate::app) type DocumentPaths = HashMap<ServiceName, Option<String>>;

/// The live part of the settings.
#[derive(Default)]
pub(super) struct LivePart {
    pub(super) routes: Vec<Route>,
    pub(super) services: Vec<DeclaredService>,
    pub(super) documents: Arc<DocumentPaths>,
}

impl LivePart {
    pub(super) fn of(settings: Settings) -> Self {
        let Settings { routes, services, service_documents, .. } = settings;
        Self { routes, services, documents: Arc::new(service_documents) }
    }

    /// What is different in `newer`.
    pub(super) fn changes(&self, newer: &Self) -> Reloaded {
        let key = |route: &Route| (route.prefix.to_string(), route.methods.to_string());
        let [before, after]: [BTreeMap<_, _>; 2] =
            [self, newer].map(|part| part.routes.iter().map(|route| (key(route), route)).collect());
        let written = |(path, methods): &(String, String)| format!("{methods} {path}");
        Reloaded {
            routes: changed(&before, &after, written),
            services: changed(&self.described(), &newer.described(), ToString::to_string),
            need_restart: Vec::new(),
        }
    }

    /// The services, and the paths of their documents. A service that is not declared may have one, too.
    fn described(&self) -> BTreeMap<&ServiceName, (Option<&DeclaredService>, Option<&str>)> {
        let mut services: BTreeMap<_, _> =
            self.services.iter().map(|service| (&service.name, (Some(service), None))).collect();
        for (name, path) in &*self.documents {
            services.entry(name).or_insert((None, None)).1 = Some(path.as_deref().unwrap_or_default());
        }
        services
    }
}

fn changed<K: Ord, V: PartialEq>(
    older: &BTreeMap<K, V>,
    newer: &BTreeMap<K, V>,
    written: impl Fn(&K) -> String,
) -> Changed {
    let added = newer.keys().filter(|key| !older.contains_key(*key)).map(&written);
    let removed = older.keys().filter(|key| !newer.contains_key(*key)).map(&written);
    let changed = newer.iter().filter(|(key, value)| older.get(*key).is_some_and(|older| older != *value));
    Changed {
        added: added.collect(),
        removed: removed.collect(),
        changed: changed.map(|(key, _)| written(key)).collect(),
    }
}

/// Whether nothing has changed.
pub(super) fn is_empty(reloaded: &Reloaded) -> bool {
    let Reloaded { routes, services, need_restart: _ } = reloaded;
    [routes, services]
        .iter()
        .all(|Changed { added, removed, changed }| added.is_empty() && removed.is_empty() && changed.is_empty())
}

/// The changes in one line, for the log.
pub(super) struct InWords<'r>(pub(super) &'r Reloaded);

impl fmt::Display for InWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reloaded { routes, services, need_restart: _ } = self.0;
        let parts: Vec<String> = [("route", routes), ("service", services)]
            .into_iter()
            .flat_map(|(what, Changed { added, removed, changed })| {
                [("added", added), ("removed", removed), ("changed", changed)]
                    .map(|(how, names)| words(what, how, names))
            })
            .flatten()
            .collect();
        f.write_str(if parts.is_empty() { "nothing has changed" } else { "" })?;
        f.write_str(&parts.join("; "))
    }
}

/// `2 routes added: any method /api/x, GET /api/y`
fn words(what: &str, how: &str, names: &[String]) -> Option<String> {
    /// More would hide the others.
    const MOST: usize = 10;
    let plural = if names.len() == 1 { "" } else { "s" };
    let shown = names.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if names.len() > MOST { ", …" } else { "" };
    (!names.is_empty()).then(|| format!("{} {what}{plural} {how}: {shown}{more}", names.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn live(file: &str, variables: &[(&str, &str)]) -> LivePart {
        let sources = Sources::default()
            .with_environment([("GATEWAY_ENV", "development")])
            .with_environment(variables.iter().copied())
            .with_routes_file("gateway.toml", file);
        LivePart::of(Settings::from_sources(&sources).unwrap_or_else(|mistakes| panic!("{mistakes}")))
    }

    #[test]
    fn the_line_names_what_was_added_removed_and_changed() {
        let before = live(
            "[services.a]\n[services.b]\nurl = 'http://b'\n\
             [[routes]]\npath = '/api/x'\nservice = 'a'\n[[routes]]\npath = '/api/y'\nservice = 'a'\n",
            &[("D_SERVICE_URL", "http://d")],
        );
        let after = live(
            "default_routes = false\n[services.b]\nurl = 'http://b'\nbalance = 'round-robin'\n[services.c]\n\
             [[routes]]\npath = '/api/x'\nservice = 'b'\n[[routes]]\npath = '/api/y'\nmethods = ['GET']\nservice = 'b'\n",
            &[("D_SERVICE_URL", "http://d"), ("D_SERVICE_OPENAPI", "off")],
        );
        assert_eq!(
            InWords(&before.changes(&after)).to_string(),
            "1 route added: GET, HEAD /api/y; 4 routes removed: any method /api/user/login, any method /api/users, any method \
             /api/users/me, any method /api/y; 1 route changed: any method /api/x; 1 service added: c; 1 service removed: a; \
             2 services changed: b, d"
        );
        let none = before.changes(&before);
        assert!(is_empty(&none) && !is_empty(&before.changes(&after)));
        assert_eq!(InWords(&none).to_string(), "nothing has changed");
    }

    #[test]
    fn a_long_list_is_cut() {
        let names: Vec<_> = (0..11).map(|number| number.to_string()).collect();
        assert_eq!(words("route", "added", &names).unwrap(), "11 routes added: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …");
    }
}
