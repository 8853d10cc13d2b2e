//! Readiness: a complete start, stores that respond, and revocations that arrive.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;

use crate::{
    api::Readiness,
    app::store::Store,
    domain::gateway::{
        schemas::health::HealthCheck,
        services::{discovery::Discovery, revocation::RevocationFeed},
    },
};

/// Not ready until [`complete`](Self::complete) is called.
#[derive(Default)]
pub(in crate::app) struct StoreReadiness(OnceLock<(Store, Arc<RevocationFeed>, Arc<Discovery>)>);

impl StoreReadiness {
    /// Marks the start as complete: no part of it can fail any more. Called once.
    pub(in crate::app) fn complete(&self, store: Store, feed: Arc<RevocationFeed>, discovery: Arc<Discovery>) {
        let _ = self.0.set((store, feed, discovery));
    }
}

#[async_trait]
impl Readiness for StoreReadiness {
    async fn check(&self) -> Vec<HealthCheck> {
        let check = |name: &str, ok: bool, wrong: &str| HealthCheck {
            name: name.to_owned(),
            ok,
            detail: (!ok).then(|| wrong.to_owned()),
        };
        let Some((store, feed, discovery)) = self.0.get() else {
            return vec![check("start", false, "the gateway has not finished starting")];
        };
        let mut checks = vec![
            check("store", store.responds().await, "the store does not respond"),
            check("revocations", feed.is_fresh(), "revocations of other replicas do not arrive"),
            check("services", discovery.has_first_answers(), "the instances of services have not been looked up yet"),
        ];
        let sessions = store.sessions_respond().await;
        checks.extend(sessions.map(|ok| check("sessions", ok, "the Redis with the sessions does not respond")));
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
    async fn the_gateway_is_not_ready_before_the_start_is_complete() {
        let bench = bench(policy()).await;
        let store = Store::in_memory();
        let feed = RevocationFeed::new(store.tokens.clone(), bench.recorder.clone(), bench.clock.clone());
        feed.catch_up().await.unwrap();
        let readiness = StoreReadiness::default();
        let [start] = readiness.check().await.try_into().unwrap();
        assert!(!start.ok && start.name == "start");
        let discovery = Discovery::new(Arc::new(SystemNames::new(Vec::new())), Arc::new(Nowhere));
        readiness.complete(store, Arc::new(feed), discovery);
        assert!(readiness.check().await.iter().all(|check| check.ok));
    }
}
