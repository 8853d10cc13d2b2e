//! The status of the running gateway, for operators.

use std::sync::Arc;

use chrono_tz::Tz;

use crate::{
    api::{Readiness as _, StatusSource},
    app::{health::readiness::StoreReadiness, reloading::Reloader},
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
pub(in crate::app) fn healths_of(providers: &[Arc<dyn Provider>], clock: &Arc<dyn Clock>) -> Arc<ProviderHealths> {
    let names = providers.iter().map(|provider| provider.name().clone());
    Arc::new(ProviderHealths::new(names, clock.clone()))
}

/// Of this gateway alone: another gateway on the same store may reach a provider that this one cannot.
pub(in crate::app) struct GatewayStatus {
    pub(in crate::app) readiness: Arc<StoreReadiness>,
    pub(in crate::app) healths: Arc<ProviderHealths>,
    pub(in crate::app) reloader: Arc<Reloader>,
    pub(in crate::app) timezone: Tz,
}

impl StatusSource for GatewayStatus {
    fn status(&self) -> Status {
        let provider = |ProviderState { name, trouble }| ProviderStatus::from_model(&name, trouble, self.timezone);
        let providers = self.healths.states().into_iter().map(provider).collect();
        Status { checks: self.readiness.check(), providers, settings: self.reloader.status() }
    }
}
