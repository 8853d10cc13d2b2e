//! The list of services, for callers with the scope and for operators.

use std::{collections::HashMap, sync::Arc};

use super::{
    discovery::{Discovery, NameState},
    ports::{InstanceState, InstanceStates},
    registration::Registrations,
};
use crate::domain::gateway::models::{
    access::Denied,
    registration::RegisteredInstance,
    service::{Circuit, Instance, Service, ServiceName, UpstreamProtocol},
    values::identity::Identity,
};

/// The scope that allows reading the list.
const READ_SCOPE: &str = "services:read";

/// The reader of the list.
pub enum Viewer {
    /// Somebody at the listener for operators.
    Operator,
    /// The holder of a token.
    Caller(Box<Identity>),
}

/// A service with the state of its instances.
#[derive(Debug, Clone)]
pub struct ServiceView {
    /// Its name.
    pub name: ServiceName,
    /// The state of its breaker at this gateway, if it has one.
    pub circuit: Option<Circuit>,
    /// Its instances.
    pub instances: Vec<InstanceView>,
    /// The names that are looked up for it.
    pub names: Vec<NameState>,
}

/// An instance with its state.
#[derive(Debug, Clone)]
pub struct InstanceView {
    /// The instance.
    pub instance: Arc<Instance>,
    /// Its registration, if it registered itself. Another source may know it, too.
    pub registered: Option<RegisteredInstance>,
    /// Its state at this gateway.
    pub state: InstanceState,
}

/// Lists services.
pub struct ServiceDirectory {
    discovery: Arc<Discovery>,
    registrations: Arc<Registrations>,
    states: Arc<dyn InstanceStates>,
}

/// The address by which a registration and an instance are the same.
type Key = (UpstreamProtocol, bool, String, u16, String);

fn key(instance: &Instance) -> Key {
    let Instance { protocol, tls, host, port, base_path, .. } = instance;
    (*protocol, *tls, host.clone(), *port, base_path.clone())
}

impl ServiceDirectory {
    /// Lists the services that were discovered.
    pub fn new(discovery: Arc<Discovery>, registrations: Arc<Registrations>, states: Arc<dyn InstanceStates>) -> Self {
        Self { discovery, registrations, states }
    }

    /// Every service, ordered by name.
    pub async fn list(&self, viewer: &Viewer) -> Result<Vec<ServiceView>, Denied> {
        may_read(viewer)?;
        let registered = self.registrations.list().await;
        let mut by_service: HashMap<&ServiceName, HashMap<Key, &RegisteredInstance>> = HashMap::new();
        for one in &registered {
            by_service.entry(&one.registration.service).or_default().insert(key(&one.registration.instance()), one);
        }
        let none = HashMap::new();
        let services = self.discovery.services();
        Ok(services.iter().map(|one| self.view(one, by_service.get(&one.name).unwrap_or(&none))).collect())
    }

    /// A service; `None` if there is none of this name.
    pub async fn find(&self, viewer: &Viewer, name: &ServiceName) -> Result<Option<ServiceView>, Denied> {
        may_read(viewer)?;
        let services = self.discovery.services();
        let Some(service) = services.iter().find(|service| service.name == *name) else { return Ok(None) };
        let registered = self.registrations.list().await;
        let of_service = registered.iter().filter(|one| one.registration.service == *name);
        Ok(Some(self.view(service, &of_service.map(|one| (key(&one.registration.instance()), one)).collect())))
    }

    fn view(&self, service: &Service, registered: &HashMap<Key, &RegisteredInstance>) -> ServiceView {
        let view = |instance: &Arc<Instance>| InstanceView {
            registered: registered.get(&key(instance)).map(|&one| one.clone()),
            state: self.states.state(&service.name, instance),
            instance: instance.clone(),
        };
        ServiceView {
            name: service.name.clone(),
            circuit: self.states.circuit(&service.name),
            instances: service.instances.iter().map(view).collect(),
            names: self.discovery.names_of(&service.name),
        }
    }
}

fn may_read(viewer: &Viewer) -> Result<(), Denied> {
    match viewer {
        Viewer::Operator => Ok(()),
        Viewer::Caller(caller) if caller.scope.contains(READ_SCOPE) => Ok(()),
        Viewer::Caller(_) => Err(Denied::ScopeMissing(READ_SCOPE.parse().unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests;
