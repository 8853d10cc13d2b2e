//! The state of instances, as the data plane sees them.

use std::{sync::Arc, time::Instant};

use crate::{
    domain::gateway::{
        models::service::{Circuit, Health, Instance, ServiceName},
        services::ports::{InstanceState, InstanceStates},
    },
    edge::snapshot::SnapshotCell,
    ports::Clock,
};

/// Reads the states from the newest snapshot.
pub(in crate::app) struct PublishedInstances {
    snapshots: Arc<SnapshotCell>,
    clock: Arc<dyn Clock>,
}

impl PublishedInstances {
    pub(in crate::app) fn new(snapshots: Arc<SnapshotCell>, clock: Arc<dyn Clock>) -> Self {
        Self { snapshots, clock }
    }
}

impl InstanceStates for PublishedInstances {
    fn circuit(&self, service: &ServiceName) -> Option<Circuit> {
        self.snapshots.load().services.get(service)?.circuit()
    }

    fn state(&self, service: &ServiceName, instance: &Instance) -> InstanceState {
        let snapshot = self.snapshots.load();
        let Some(of_service) = snapshot.services.get(service) else { return InstanceState::default() };
        let state = of_service.instances.iter().find(|state| state.instance.identity() == instance.identity());
        let Some(state) = state else { return InstanceState::default() };
        let health = match state.health() {
            // Neither a request nor a check has shown it.
            Health::Healthy if !state.has_answered() && of_service.service.policy.check.is_none() => Health::Unknown,
            health => health,
        };
        InstanceState {
            health,
            in_flight: state.in_flight().into(),
            ejections: state.ejections(),
            last_error: state.last_error(),
            since: state.in_this_health_for(Instant::now()).map(|time| self.clock.now() - time),
        }
    }
}
