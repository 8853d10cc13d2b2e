//! Readiness: a complete start, stores that respond, and revocations that arrive.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use chrono::{DateTime, FixedOffset, TimeDelta};
use chrono_tz::Tz;

use crate::{
    api::Readiness,
    app::store::Store,
    domain::gateway::{
        repositories::availability::Outage,
        schemas::{health::HealthCheck, local},
        services::{discovery::Discovery, revocation::RevocationFeed},
    },
    ports::Clock,
};

/// Not ready until [`complete`](Self::complete) is called, and not after [`leave`](Self::leave).
pub(in crate::app) struct StoreReadiness {
    clock: Arc<dyn Clock>,
    timezone: Tz,
    parts: OnceLock<(Store, Arc<RevocationFeed>, Arc<Discovery>)>,
    is_leaving: AtomicBool,
}

impl StoreReadiness {
    /// Writes times with the offset of `timezone`.
    pub(in crate::app) fn new(clock: Arc<dyn Clock>, timezone: Tz) -> Self {
        Self { clock, timezone, parts: OnceLock::new(), is_leaving: AtomicBool::new(false) }
    }

    /// Marks the start as complete: no part of it can fail any more. Called once.
    pub(in crate::app) fn complete(&self, store: Store, feed: Arc<RevocationFeed>, discovery: Arc<Discovery>) {
        let _ = self.parts.set((store, feed, discovery));
    }

    /// Marks the gateway as about to stop.
    pub(in crate::app) fn leave(&self) {
        self.is_leaving.store(true, Ordering::Relaxed);
    }

    fn since(&self, outage: &Outage) -> DateTime<FixedOffset> {
        let lasted = TimeDelta::from_std(outage.since.elapsed()).unwrap_or_default();
        local(self.clock.now() - lasted, self.timezone)
    }
}

impl Readiness for StoreReadiness {
    fn check(&self) -> Vec<HealthCheck> {
        let mut checks = Vec::new();
        if self.is_leaving.load(Ordering::Relaxed) {
            checks.push(HealthCheck::own("leaving", false, "the gateway is about to stop"));
        }
        let Some((store, feed, discovery)) = self.parts.get() else {
            checks.push(HealthCheck::own("start", false, "the gateway has not finished starting"));
            return checks;
        };
        let outage = store.outage().map(|outage| self.since(&outage));
        let unheard = feed.unheard_since().map(|since| local(since, self.timezone));
        let is_found = discovery.has_first_answers();
        checks.extend([
            HealthCheck::shared("store", outage, "the store does not respond, or accepts no writes"),
            HealthCheck::shared("revocations", unheard, "revocations of other replicas do not arrive"),
            HealthCheck::own("services", is_found, "the instances of services have not been looked up yet"),
        ]);
        if let Some(redis) = store.redis() {
            let outage = redis.outage.map(|outage| self.since(&outage));
            let wrong = "the Redis with the sessions does not respond, or accepts no writes";
            checks.push(HealthCheck::shared("sessions", outage, wrong));
        }
        checks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        adapters::names::SystemNames,
        domain::gateway::{models::service::Service, services::ports::ServicePublisher},
    };

    struct Nowhere;

    impl ServicePublisher for Nowhere {
        fn publish_services(&self, _: &[Service]) {}
    }

    use crate::domain::gateway::services::testing::{bench, policy};

    #[tokio::test]
    async fn the_gateway_is_ready_from_the_end_of_its_start_until_it_leaves() {
        let bench = bench(policy()).await;
        let store = Store::in_memory();
        let feed = RevocationFeed::new(store.tokens.clone(), bench.recorder.clone(), bench.clock.clone());
        feed.catch_up().await.unwrap();
        let readiness = StoreReadiness::new(bench.clock.clone(), chrono_tz::UTC);
        let [start] = readiness.check().try_into().unwrap();
        assert!(!start.ok && start.name == "start");
        let discovery = Discovery::new(Arc::new(SystemNames::new(Vec::new())), Arc::new(Nowhere));
        readiness.complete(store, Arc::new(feed), discovery);
        assert!(readiness.check().iter().all(|check| check.ok));
        readiness.leave();
        assert!(readiness.check().iter().any(|check| !check.ok && !check.shared && check.name == "leaving"));
    }
}
