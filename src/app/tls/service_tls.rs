//! Sets up TLS to services, a configuration per policy, and watches their files: certificates are renewed while the
//! gateway runs. Invalid files change nothing: the last configuration stays.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use rustls::{ClientConfig, RootCertStore};
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};
use tracing::{info, warn};

use crate::{
    app::background_tasks::until,
    config::ServiceCredentials,
    domain::gateway::models::service::{Service, ServiceName, ServiceTls},
    edge::origination::{Originator, client_config},
};

#[cfg(test)]
mod tests;

/// docs/tls-and-http2.md states this interval, too.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The originators by policy, as the data plane reads them.
pub(in crate::app) type Originators = HashMap<ServiceTls, Arc<Originator>>;

/// Sets up TLS to services.
#[derive(Default)]
pub(in crate::app) struct ServiceTlsKeeper {
    kept: Mutex<HashMap<ServiceTls, Kept>>,
    /// The authorities of the system, read when they are first needed.
    system: OnceLock<Result<Arc<RootCertStore>, String>>,
}

/// TLS by one policy.
struct Kept {
    originator: Arc<Originator>,
    services: BTreeSet<ServiceName>,
    /// The files in use; `None` if they were never valid.
    used: Option<ServiceCredentials>,
    /// The problem at the last check.
    refused: Option<String>,
    /// The problem that was logged, if it lasts.
    told: Option<String>,
}

impl ServiceTlsKeeper {
    /// The originators of all services that have an instance with TLS. Keeps those that exist, and forgets those that
    /// are no longer needed.
    pub(in crate::app) fn originators_of(&self, services: &[Service]) -> Originators {
        let mut wanted: HashMap<&ServiceTls, BTreeSet<ServiceName>> = HashMap::new();
        for service in services.iter().filter(|service| service.instances.iter().any(|instance| instance.tls)) {
            wanted.entry(&service.policy.tls).or_default().insert(service.name.clone());
        }
        let mut kept = self.kept();
        kept.retain(|tls, _| wanted.contains_key(tls));
        for (tls, services) in wanted {
            if let Some(known) = kept.get_mut(tls) {
                known.services = services;
            } else {
                kept.insert(tls.clone(), self.set_up(tls, services));
            }
        }
        kept.iter().map(|(tls, kept)| (tls.clone(), Arc::clone(&kept.originator))).collect()
    }

    /// Checks the files periodically until told to stop.
    pub(in crate::app) async fn keep(self: Arc<Self>, stopped: watch::Receiver<bool>) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stopped = until(stopped);
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                () = &mut stopped => return,
                _ = ticks.tick() => {}
            }
            let keeper = Arc::clone(&self);
            // It fails only on a panic; the next check may succeed.
            let _ = spawn_blocking(move || keeper.look()).await;
        }
    }

    /// Checks all files once.
    fn look(&self) {
        let policies: Vec<ServiceTls> = self.kept().keys().cloned().collect();
        for tls in policies.into_iter().filter(|tls| tls.ca.is_some() || tls.client.is_some()) {
            let found = self.load(&tls);
            if let Some(kept) = self.kept().get_mut(&tls) {
                kept.consider(found);
            }
        }
    }

    fn set_up(&self, tls: &ServiceTls, services: BTreeSet<ServiceName>) -> Kept {
        let found = self.load(tls);
        let (used, config) = match found {
            Ok((used, config)) => (Some(used), Ok(config)),
            Err(why) => (None, Err(why)),
        };
        let told = config.as_ref().err().cloned();
        if let Some(why) = &told {
            warn!(services = %listed(&services), %why, "TLS to services cannot be set up: their requests fail");
        }
        let originator = Originator::new(tls.server_name.clone(), config);
        Kept { originator, services, used, refused: told.clone(), told }
    }

    fn load(&self, tls: &ServiceTls) -> Result<(ServiceCredentials, Arc<ClientConfig>), String> {
        let credentials = ServiceCredentials::load(tls)
            .map_err(|why| why.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
        let roots = match &credentials.roots {
            Some(roots) => Arc::clone(roots),
            None => self.system.get_or_init(system_roots).clone()?,
        };
        let config = client_config(roots, credentials.client.clone()).map_err(|error| error.to_string())?;
        Ok((credentials, config))
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<ServiceTls, Kept>> {
        // A panic leaves nothing half done in it.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn consider(&mut self, found: Result<(ServiceCredentials, Arc<ClientConfig>), String>) {
        match found {
            Err(why) => self.refuse(why),
            Ok((files, config)) => {
                let is_new = !self.used.as_ref().is_some_and(|used| used.is_same(&files));
                if is_new {
                    self.originator.replace(config);
                    self.used = Some(files);
                    info!(services = %listed(&self.services), "the TLS files were replaced: new connections use them");
                } else if self.told.is_some() {
                    info!(services = %listed(&self.services), "the TLS files are valid again");
                }
                (self.refused, self.told) = (None, None);
            }
        }
    }

    /// Reports a problem once, at the second check: by then a replacement of all files is usually complete.
    fn refuse(&mut self, why: String) {
        let stays = self.refused.as_ref() == Some(&why);
        if stays && self.told.as_ref() != Some(&why) {
            warn!(services = %listed(&self.services), %why, "the TLS files are invalid: the old ones stay in use");
            self.told = Some(why.clone());
        }
        self.refused = Some(why);
    }
}

/// The authorities that the system trusts.
fn system_roots() -> Result<Arc<RootCertStore>, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Systems also contain certificates that rustls cannot use, such as expired and very old ones.
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err("the system has no certificates of authorities; set tls.ca, or install ca-certificates".to_owned());
    }
    Ok(Arc::new(roots))
}

fn listed(services: &BTreeSet<ServiceName>) -> String {
    services.iter().map(ServiceName::as_str).collect::<Vec<_>>().join(", ")
}
