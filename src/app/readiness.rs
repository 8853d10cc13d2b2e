//! What a ready gateway needs: stores that answer, and revocations that arrive.

use std::sync::Arc;

use async_trait::async_trait;

use super::store::Store;
use crate::{
    api::Readiness,
    domain::gateway::{schemas::health::HealthCheck, services::revocation::RevocationFeed},
};

pub(super) struct StoreReadiness {
    store: Store,
    feed: Arc<RevocationFeed>,
}

impl StoreReadiness {
    pub(super) fn new(store: Store, feed: Arc<RevocationFeed>) -> Self {
        Self { store, feed }
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
        let mut checks = vec![
            check("store", self.store.answers().await, "the store does not answer"),
            check("revocations", self.feed.is_fresh(), "revocations of other replicas do not arrive"),
        ];
        let sessions = self.store.sessions_answer().await;
        checks.extend(sessions.map(|ok| check("sessions", ok, "the Redis with the sessions does not answer")));
        checks
    }
}
