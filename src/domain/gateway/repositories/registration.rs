//! The store of instances that register themselves, each under a lease.

use async_trait::async_trait;

use super::RepositoryError;
use crate::domain::gateway::models::{
    registration::{Lease, Registration, RegistrationLimits, RegistrationOutcome, RegistrationState},
    service::ServiceName,
    values::id::RegistrationId,
};

/// Stores registrations. Leases are measured by the store's own clock, so none of these methods takes the time: the
/// clock of one replica must not end the leases that the others keep. A lease lives for exactly its TTL, and an instance
/// whose lease has ended is in no result, deleted or not.
#[async_trait]
pub trait RegistrationRepository: Send + Sync {
    /// Registers an instance, and begins its lease. If the service has a live instance with this URL, that one gets the
    /// weight and the TTL, keeps its id, and its lease begins anew. A new one is stored within the limits only. Of two
    /// racing calls with the same URL one adds the instance, and the other extends its lease.
    ///
    /// # Errors
    /// `Conflict`: `Id` if another instance has the id.
    async fn register(
        &self,
        registration: &Registration,
        limits: &RegistrationLimits,
    ) -> Result<RegistrationOutcome, RepositoryError>;

    /// Begins the lease of a live instance anew. `None` if there is no such instance, or its lease has ended.
    async fn renew(&self, service: &ServiceName, id: RegistrationId) -> Result<Option<Lease>, RepositoryError>;

    /// Deletes an instance of a service. `false` if there is none.
    async fn remove(&self, service: &ServiceName, id: RegistrationId) -> Result<bool, RepositoryError>;

    /// Tells whether the live instances have changed, by reading one row.
    async fn state(&self) -> Result<RegistrationState, RepositoryError>;

    /// The live instances, ordered by service and URL.
    async fn live(&self) -> Result<Vec<Lease>, RepositoryError>;

    /// Deletes instances whose leases have ended; returns how many.
    async fn purge_expired(&self) -> Result<u64, RepositoryError>;
}
