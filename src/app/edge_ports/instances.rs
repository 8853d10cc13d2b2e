//! The state of instances, as the data plane sees them.

use crate::domain::gateway::{
    models::service::{Instance, ServiceName},
    services::ports::{InstanceState, InstanceStates},
};

/// The data plane reports nothing yet: every instance is in an unknown state.
pub(in crate::app) struct UnknownInstances;

impl InstanceStates for UnknownInstances {
    fn state(&self, _: &ServiceName, _: &Instance) -> InstanceState {
        InstanceState::default()
    }
}
