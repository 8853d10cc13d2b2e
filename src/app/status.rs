//! The status of the running gateway, for operators.

use std::sync::Arc;

use chrono_tz::Tz;

use crate::{
    api::StatusSource,
    domain::gateway::{
        schemas::status::{ProviderStatus, Status},
        services::{
            ports::Provider,
            provider::{ProviderHealths, ProviderState},
        },
    },
    ports::Clock,
};

/// For providers without any observation yet.
pub(super) fn healths_of(providers: &[Arc<dyn Provider>], clock: &Arc<dyn Clock>) -> Arc<ProviderHealths> {
    let names = providers.iter().map(|provider| provider.name().clone());
    Arc::new(ProviderHealths::new(names, clock.clone()))
}

/// Of this gateway alone: another gateway on the same store may reach a provider that this one cannot.
pub(super) struct GatewayStatus {
    pub(super) healths: Arc<ProviderHealths>,
    pub(super) timezone: Tz,
}

impl StatusSource for GatewayStatus {
    fn status(&self) -> Status {
        let provider = |ProviderState { name, trouble }| ProviderStatus::from_model(&name, trouble, self.timezone);
        Status { providers: self.healths.states().into_iter().map(provider).collect() }
    }
}
