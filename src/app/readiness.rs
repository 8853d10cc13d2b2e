//! What a ready gateway needs: a start that is complete, stores that answer, and revocations that arrive.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;

use super::store::Store;
use crate::{
    api::Readiness,
    domain::gateway::{schemas::health::HealthCheck, services::revocation::RevocationFeed},
};

pub(super) struct StoreReadiness {
    store: Store,
    feed: Arc<RevocationFeed>,
    complete: AtomicBool,
}

impl StoreReadiness {
    pub(super) fn new(store: Store, feed: Arc<RevocationFeed>) -> Self {
        Self { store, feed, complete: AtomicBool::new(false) }
    }

    /// Says that nothing of the start can go wrong any more.
    pub(super) fn complete(&self) {
        self.complete.store(true, Ordering::Relaxed);
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
        if !self.complete.load(Ordering::Relaxed) {
            return vec![check("start", false, "the gateway has not finished starting")];
        }
        let mut checks = vec![
            check("store", self.store.answers().await, "the store does not answer"),
            check("revocations", self.feed.is_fresh(), "revocations of other replicas do not arrive"),
        ];
        let sessions = self.store.sessions_answer().await;
        checks.extend(sessions.map(|ok| check("sessions", ok, "the Redis with the sessions does not answer")));
        checks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gateway::services::testing::{bench, policy};

    #[tokio::test]
    async fn nobody_is_ready_before_the_start_is_complete() {
        let bench = bench(policy()).await;
        let store = Store::in_memory();
        let feed = RevocationFeed::new(store.tokens.clone(), bench.recorder.clone(), bench.clock.clone());
        feed.catch_up().await.unwrap();
        let readiness = StoreReadiness::new(store, Arc::new(feed));
        let [start] = readiness.check().await.try_into().unwrap();
        assert!(!start.ok && start.name == "start");
        readiness.complete();
        assert!(readiness.check().await.iter().all(|check| check.ok));
    }
}
