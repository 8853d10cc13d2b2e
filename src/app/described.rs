//! Keeps the OpenAPI document up to date with the services: fetches their documents in the background, and logs which
//! cannot be shown.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::{sync::watch, time::sleep};
use tracing::{info, warn};

use crate::{
    adapters::service_documents::{Described, DocumentTls, ServiceDocuments, Unreadable, described, of_routes},
    api::{DescribedService, Documents},
    app::reloading::DocumentPaths,
    config::Environment,
    domain::gateway::models::{
        provider::STAND_IN,
        service::{RouteTable, Service, ServiceName},
    },
    edge::snapshot::{Snapshot, SnapshotCell},
};

/// How often services are polled. In development they restart often.
const EVERY: Duration = Duration::from_mins(1);
const EVERY_IN_DEVELOPMENT: Duration = Duration::from_secs(10);
/// How soon an unavailable service is polled again: the whole system may just be starting.
const SOON: Duration = Duration::from_secs(2);

pub(super) struct Keeper {
    pub(super) documents: Arc<Documents>,
    pub(super) snapshots: Arc<SnapshotCell>,
    pub(super) environment: Environment,
    /// The paths of services' documents, where they are not the usual one.
    pub(super) paths: watch::Receiver<Arc<DocumentPaths>>,
}

/// The default path of a service's document: FastAPI's.
const USUAL_PATH: &str = "/openapi.json";

impl Keeper {
    /// Polls all services periodically.
    pub(super) async fn keep(mut self, mut stopped: watch::Receiver<bool>) {
        let fetcher = match ServiceDocuments::new() {
            Ok(fetcher) => fetcher,
            Err(error) => return warn!(error, "the documents of services cannot be fetched"),
        };
        let every = match self.environment {
            Environment::Development => EVERY_IN_DEVELOPMENT,
            Environment::Production => EVERY,
        };
        let mut known: HashMap<ServiceName, Result<Vec<u8>, Unreadable>> = HashMap::new();
        let mut table = self.snapshots.load().routes.clone();
        let mut told = HashMap::new();
        loop {
            let mut changed = known.is_empty();
            let snapshot = self.snapshots.load();
            changed |= !Arc::ptr_eq(&snapshot.routes, &table);
            table = snapshot.routes.clone();
            let paths = Arc::clone(&self.paths.borrow_and_update());
            let asked = snapshot.services.values().filter(|state| state.service.name.as_str() != STAND_IN);
            // Concurrently: a slow service does not delay the others.
            for (name, found) in join_all(asked.map(|state| ask(&fetcher, &state.service, &paths, &snapshot))).await {
                if known.get(&name) != Some(&found) {
                    changed = true;
                    known.insert(name, found);
                }
            }
            let before = known.len();
            known.retain(|name, _| snapshot.services.contains_key(name));
            changed |= known.len() != before;
            if changed {
                self.publish(&known, &table, &mut told);
            }
            let is_missing = known.values().any(|found| matches!(found, Err(Unreadable::Unreachable(_))));
            let pause = if is_missing { SOON } else { every };
            tokio::select! {
                () = sleep(pause) => {}
                // Settings were read again: routes and services may be others. It fails only while the gateway stops.
                Ok(()) = self.paths.changed() => {}
                _ = stopped.wait_for(|stopped| *stopped) => return,
            }
        }
    }

    fn publish(
        &self,
        known: &HashMap<ServiceName, Result<Vec<u8>, Unreadable>>,
        table: &RouteTable,
        told: &mut HashMap<ServiceName, Unreadable>,
    ) {
        let mut all: Vec<_> = known.iter().collect();
        all.sort_by_key(|(name, _)| *name);
        let all = all.into_iter().map(|(name, found)| {
            let read = found.clone().and_then(|document| described(&document, name, table));
            if read.is_ok() {
                told.remove(name);
            }
            shown(read.unwrap_or_else(|why| {
                // Each trouble is told once, until it is over.
                let is_news = told.insert(name.clone(), why.clone()).as_ref() != Some(&why);
                match why {
                    _ if !is_news => {}
                    // Many services have no document.
                    Unreadable::Status(404) | Unreadable::Off => {}
                    Unreadable::Unreachable(_) => info!("Swagger shows only the routes of the service {name}: {why}"),
                    _ => warn!("Swagger shows only the routes of the service {name}: {why}"),
                }
                of_routes(name, table)
            }))
        });
        self.documents.publish(all.collect());
    }
}

/// The document of the first instance that has one.
async fn ask(
    fetcher: &ServiceDocuments,
    service: &Service,
    paths: &DocumentPaths,
    snapshot: &Snapshot,
) -> (ServiceName, Result<Vec<u8>, Unreadable>) {
    let path = match paths.get(&service.name) {
        Some(Some(path)) => path,
        Some(None) => return (service.name.clone(), Err(Unreadable::Off)),
        None => USUAL_PATH,
    };
    let mut outcome = Err(Unreadable::Unreachable("it has no instance".to_owned()));
    for instance in &service.instances {
        let config = snapshot.originators.get(&service.policy.tls).map(|originator| originator.config());
        let server_name = service.policy.tls.server_name.as_deref().unwrap_or(&instance.host);
        outcome = match config.transpose() {
            Ok(config) => {
                let tls = config.as_deref().map(|config| DocumentTls { config, server_name });
                fetcher.fetch(instance, tls, path).await
            }
            Err(why) => Err(Unreadable::Unreachable(why)),
        };
        if outcome.is_ok() {
            break;
        }
    }
    (service.name.clone(), outcome)
}

fn shown(Described { service, description, paths, components }: Described) -> DescribedService {
    DescribedService { service, description, paths, components }
}
