//! Registrations in memory. Their clock is monotonic: setting the clock of the machine ends no lease.

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use chrono::TimeDelta;

use super::lock;
use crate::domain::gateway::{
    models::{
        registration::{
            Lease, Registration, RegistrationLimit, RegistrationLimits, RegistrationOutcome, RegistrationState,
        },
        service::ServiceName,
        values::id::RegistrationId,
    },
    repositories::{Constraint, RepositoryError, registration::RegistrationRepository},
};

/// Registrations in memory.
#[derive(Debug)]
pub struct MemoryRegistrations {
    began: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    generation: i64,
    /// By service and URL.
    stored: BTreeMap<(ServiceName, String), Stored>,
    /// The time that a test lets pass.
    passed: Duration,
}

#[derive(Debug)]
struct Stored {
    registration: Registration,
    /// The time at which its lease ends, since the store was opened.
    ends: Duration,
}

impl Stored {
    fn new(registration: Registration, now: Duration) -> Self {
        let ttl = registration.ttl.to_std().unwrap_or_default();
        Self { registration, ends: now.saturating_add(ttl) }
    }

    fn lease(&self, now: Duration) -> Option<Lease> {
        let remaining = self.ends.checked_sub(now).filter(|remaining| !remaining.is_zero())?;
        let remaining = TimeDelta::from_std(remaining).unwrap_or(TimeDelta::MAX);
        Some(Lease { registration: self.registration.clone(), remaining })
    }
}

impl Default for MemoryRegistrations {
    fn default() -> Self {
        Self { began: Instant::now(), state: Mutex::default() }
    }
}

impl MemoryRegistrations {
    fn now(&self, state: &State) -> Duration {
        self.began.elapsed() + state.passed
    }

    /// Lets time pass.
    #[cfg(test)]
    pub(crate) fn pass(&self, time: Duration) {
        lock(&self.state).passed += time;
    }
}

#[async_trait]
impl RegistrationRepository for MemoryRegistrations {
    async fn register(
        &self,
        registration: &Registration,
        limits: &RegistrationLimits,
    ) -> Result<RegistrationOutcome, RepositoryError> {
        let state = &mut *lock(&self.state);
        let now = self.now(state);
        let key = (registration.service.clone(), registration.url.to_string());
        let known = state.stored.get(&key).filter(|stored| stored.ends > now).map(|stored| stored.registration.id);
        let lease = Lease { registration: registration.clone(), remaining: registration.ttl };
        if let Some(id) = known {
            let registration = Registration { id, ..registration.clone() };
            state.stored.insert(key, Stored::new(registration.clone(), now));
            state.generation += 1;
            return Ok(RegistrationOutcome::Extended(Lease { registration, ..lease }));
        }
        if state.stored.iter().any(|(other, stored)| *other != key && stored.registration.id == registration.id) {
            return Err(RepositoryError::Conflict(Constraint::Id));
        }
        if let Some(limit) = state.reached(&registration.service, limits, now) {
            return Ok(RegistrationOutcome::LimitReached(limit));
        }
        state.stored.insert(key, Stored::new(registration.clone(), now));
        state.generation += 1;
        Ok(RegistrationOutcome::Added(lease))
    }

    async fn renew(&self, service: &ServiceName, id: RegistrationId) -> Result<Option<Lease>, RepositoryError> {
        let state = &mut *lock(&self.state);
        let now = self.now(state);
        let of_service = |stored: &&mut Stored| stored.registration.service == *service;
        let is_live = |stored: &&mut Stored| stored.registration.id == id && stored.ends > now;
        let Some(stored) = state.stored.values_mut().filter(of_service).find(is_live) else { return Ok(None) };
        *stored = Stored::new(stored.registration.clone(), now);
        Ok(stored.lease(now))
    }

    async fn remove(&self, service: &ServiceName, id: RegistrationId) -> Result<bool, RepositoryError> {
        let state = &mut *lock(&self.state);
        let before = state.stored.len();
        state.stored.retain(|(of, _), stored| of != service || stored.registration.id != id);
        let is_removed = state.stored.len() < before;
        state.generation += i64::from(is_removed);
        Ok(is_removed)
    }

    async fn state(&self) -> Result<RegistrationState, RepositoryError> {
        let state = &*lock(&self.state);
        let now = self.now(state);
        let live = state.stored.values().filter(|stored| stored.ends > now).count();
        Ok(RegistrationState { generation: state.generation, live: i64::try_from(live).unwrap_or(i64::MAX) })
    }

    async fn live(&self) -> Result<Vec<Lease>, RepositoryError> {
        let state = &*lock(&self.state);
        let now = self.now(state);
        Ok(state.stored.values().filter_map(|stored| stored.lease(now)).collect())
    }

    async fn purge_expired(&self) -> Result<u64, RepositoryError> {
        let state = &mut *lock(&self.state);
        let now = self.now(state);
        let before = state.stored.len();
        state.stored.retain(|_, stored| stored.ends > now);
        Ok((before - state.stored.len()) as u64)
    }
}

impl State {
    /// The limit that one more instance of the service would exceed.
    fn reached(&self, service: &ServiceName, limits: &RegistrationLimits, now: Duration) -> Option<RegistrationLimit> {
        let live = || self.stored.iter().filter(|(_, stored)| stored.ends > now).map(|((service, _), _)| service);
        let of_service = live().filter(|one| *one == service).count() as u64;
        if of_service >= limits.instances_per_service {
            return Some(RegistrationLimit::InstancesOfService);
        }
        if live().count() as u64 >= limits.instances {
            return Some(RegistrationLimit::Instances);
        }
        let services = live().collect::<std::collections::BTreeSet<_>>().len() as u64;
        (of_service == 0 && services >= limits.services).then_some(RegistrationLimit::Services)
    }
}
