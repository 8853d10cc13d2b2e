//! Publishes changes of the control plane in the snapshot that the data plane reads.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};

use crate::{
    app::policies::routes_in_force,
    config::Settings,
    domain::gateway::{
        models::{
            oauth::GrantChanges,
            token::{AccessClaims, Expectations, Rejection, Revocation, Revocations, SignatureVerifier},
            values::id::AccountId,
        },
        services::ports::{GrantStatePublisher, KeyRing, TokenStatePublisher},
    },
    edge::snapshot::{Snapshot, SnapshotCell},
};

/// Publishes snapshots.
pub(in crate::app) struct SnapshotPublisher(Arc<SnapshotCell>);

impl SnapshotPublisher {
    /// Starts with the routes and services of the settings, no keys and an empty deny-list.
    pub(in crate::app) fn new(settings: &Settings, expectations: Expectations) -> Self {
        let services: HashMap<_, _> =
            settings.services.iter().map(|service| (service.name.clone(), Arc::new(service.clone()))).collect();
        Self(Arc::new(SnapshotCell::new(Snapshot {
            routes: Arc::new(routes_in_force(settings)),
            services: Arc::new(services),
            keys: Arc::new(NoKeys),
            expectations: Arc::new(expectations),
            revocations: Revocations::default(),
            grant_changes: GrantChanges::default(),
        })))
    }

    pub(in crate::app) fn snapshots(&self) -> Arc<SnapshotCell> {
        self.0.clone()
    }
}

impl TokenStatePublisher for SnapshotPublisher {
    fn publish_keys(&self, keys: Arc<dyn KeyRing>) {
        let keys: Arc<dyn SignatureVerifier> = keys;
        self.0.update(|snapshot| snapshot.keys = keys.clone());
    }

    fn publish_revocations(&self, revocations: &[Revocation]) {
        self.0.update(|snapshot| revocations.iter().for_each(|&one| snapshot.revocations.insert(one)));
    }
}

impl GrantStatePublisher for SnapshotPublisher {
    fn publish_grant_change(&self, account: AccountId, now: DateTime<Utc>) {
        self.0.update(|snapshot| snapshot.grant_changes.insert(account, now));
    }
}

/// Before the first keys are loaded, no token can be valid.
struct NoKeys;

impl SignatureVerifier for NoKeys {
    fn knows(&self, _: &str) -> bool {
        false
    }

    fn verify(&self, _: &str) -> Result<AccessClaims, Rejection> {
        Err(Rejection::UnknownKey)
    }
}
