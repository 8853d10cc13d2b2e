//! Instances that register themselves under a lease, and the list of them that this replica serves.
//!
//! The list follows the store. While the store is away the last list is served: what cannot be renewed must not end.
//! When the store responds again, the leases that have ended meanwhile stay served for as long as a lease, so that their
//! instances, which could not renew them, can register again.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use thiserror::Error;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{
    Failure,
    discovery::{Discovery, Found},
};
use crate::{
    domain::gateway::{
        models::{
            access::Denied,
            registration::{
                AddressPolicy, AddressRefusal, InstanceAddress, InstanceUrl, InvalidInstanceUrl, RegisteredInstance,
                Registration, RegistrationLimit, RegistrationLimits, RegistrationOutcome, RegistrationRequest,
                RegistrationState, may_be_joined,
            },
            service::{ServiceName, Source},
            values::{id::RegistrationId, identity::Identity},
        },
        repositories::{RepositoryError, registration::RegistrationRepository},
    },
    ports::{Clock, Entropy},
};

/// The scope that allows registering instances.
const REGISTER_SCOPE: &str = "services:register";

/// The dependencies of [`Registrations`].
pub struct RegistrationParts {
    /// Stores registrations.
    pub store: Arc<dyn RegistrationRepository>,
    /// Publishes them with the instances of other sources.
    pub discovery: Arc<Discovery>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Random ids.
    pub entropy: Arc<dyn Entropy>,
    /// The addresses that may be registered.
    pub addresses: AddressPolicy,
}

/// Instances that register themselves.
pub struct Registrations {
    parts: RegistrationParts,
    limits: RegistrationLimits,
    /// The state of the store to which the list belongs. Reading and publishing take turns, so that an older list never
    /// replaces a newer one.
    followed: tokio::sync::Mutex<Followed>,
    /// The list that is served.
    served: Mutex<Arc<[RegisteredInstance]>>,
    /// Whether the store responded the last time.
    is_current: AtomicBool,
}

/// The state of the store to which the list belongs.
#[derive(Default)]
struct Followed {
    state: Option<RegistrationState>,
    /// The time of the store's last response.
    responded_at: Option<Instant>,
    /// Whether it has failed since.
    has_failed: bool,
    /// Until when leases that ended while the store was away stay served.
    kept_until: Option<Instant>,
}

/// A registered instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registered {
    /// It is new.
    Added(RegisteredInstance),
    /// It was registered already; its lease begins anew.
    Extended(RegisteredInstance),
}

/// The reason why an instance is not registered.
#[derive(Debug, Error)]
pub enum RegisterError {
    /// The caller may not register.
    #[error("the caller may not register instances")]
    Denied(Denied),
    /// The service belongs to the gateway.
    #[error("the service belongs to the gateway")]
    Reserved,
    /// The address that the request came from is unknown.
    #[error("the address of the caller is not known")]
    UnknownCaller,
    /// The URL is invalid.
    #[error(transparent)]
    Url(#[from] InvalidInstanceUrl),
    /// The address may not be registered.
    #[error(transparent)]
    Address(#[from] AddressRefusal),
    /// There are too many.
    #[error("too many registrations")]
    LimitReached(RegistrationLimit),
    /// The store failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// The reason why a lease is not renewed.
#[derive(Debug, Error)]
pub enum RenewError {
    /// The caller may not register.
    #[error("the caller may not register instances")]
    Denied(Denied),
    /// There is no such instance, or its lease has ended.
    #[error("the lease has ended")]
    Gone,
    /// The store failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// The reason why an instance is not deregistered.
#[derive(Debug, Error)]
pub enum DeregisterError {
    /// The caller may not register.
    #[error("the caller may not register instances")]
    Denied(Denied),
    /// The store failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl Registrations {
    /// Serves nothing until [`follow`](Self::follow) was called.
    pub fn new(parts: RegistrationParts) -> Self {
        Self {
            parts,
            limits: RegistrationLimits::default(),
            followed: tokio::sync::Mutex::default(),
            served: Mutex::new(Arc::new([])),
            is_current: AtomicBool::new(false),
        }
    }

    /// The limits.
    pub fn limits(&self) -> RegistrationLimits {
        self.limits
    }

    /// Registers an instance. `client` is the address that the request came from.
    pub async fn register(
        &self,
        caller: &Identity,
        service: &ServiceName,
        request: RegistrationRequest,
        client: Option<IpAddr>,
    ) -> Result<Registered, RegisterError> {
        may_register(caller).map_err(RegisterError::Denied)?;
        if !may_be_joined(service) {
            return Err(RegisterError::Reserved);
        }
        let url = match request.address {
            InstanceAddress::Url(url) => url,
            InstanceAddress::OfCaller { port } => {
                InstanceUrl::http(SocketAddr::new(client.ok_or(RegisterError::UnknownCaller)?, port))?
            }
        };
        self.parts.addresses.check(url.address(), url.port())?;
        let registration = Registration {
            id: RegistrationId::from_random(self.parts.entropy.bytes()),
            service: service.clone(),
            url,
            weight: request.weight,
            ttl: request.ttl,
        };
        let outcome = self.parts.store.register(&registration, &self.limits).await.map_err(Failure::from)?;
        let now = self.parts.clock.now();
        let registered = match outcome {
            RegistrationOutcome::Added(lease) => Registered::Added(lease.seen_at(now)),
            RegistrationOutcome::Extended(lease) => Registered::Extended(lease.seen_at(now)),
            RegistrationOutcome::LimitReached(limit) => return Err(RegisterError::LimitReached(limit)),
        };
        self.publish_own_change(None).await;
        Ok(registered)
    }

    /// Begins the lease of an instance anew: a heartbeat.
    pub async fn renew(
        &self,
        caller: &Identity,
        service: &ServiceName,
        id: RegistrationId,
    ) -> Result<RegisteredInstance, RenewError> {
        may_register(caller).map_err(RenewError::Denied)?;
        let lease = self.parts.store.renew(service, id).await.map_err(Failure::from)?;
        Ok(lease.ok_or(RenewError::Gone)?.seen_at(self.parts.clock.now()))
    }

    /// Deregisters an instance. One that is not registered is fine.
    pub async fn deregister(
        &self,
        caller: &Identity,
        service: &ServiceName,
        id: RegistrationId,
    ) -> Result<(), DeregisterError> {
        may_register(caller).map_err(DeregisterError::Denied)?;
        if self.parts.store.remove(service, id).await.map_err(Failure::from)? {
            self.publish_own_change(Some(id)).await;
        }
        Ok(())
    }

    /// Reads the list again if it has changed, and publishes it. Meant to be called several times a second.
    pub async fn follow(&self) -> Result<(), RepositoryError> {
        let outcome = self.catch_up(None).await;
        self.is_current.store(outcome.is_ok(), Ordering::Relaxed);
        outcome
    }

    /// The registered instances. With the present ends of their leases as long as the store responds, otherwise as they
    /// were last read.
    pub async fn list(&self) -> Vec<RegisteredInstance> {
        if self.is_current.load(Ordering::Relaxed)
            && let Ok(live) = self.live().await
        {
            return live;
        }
        self.served().to_vec()
    }

    /// This replica serves its own change at once: `removed` is the instance that it has deregistered. If the store fails
    /// just now, [`follow`](Self::follow) reports it.
    async fn publish_own_change(&self, removed: Option<RegistrationId>) {
        let _ = self.catch_up(removed).await;
    }

    async fn catch_up(&self, removed: Option<RegistrationId>) -> Result<(), RepositoryError> {
        let mut followed = self.followed.lock().await;
        let outcome = self.catch_up_from(&mut followed, removed).await;
        followed.has_failed = outcome.is_err();
        outcome
    }

    async fn catch_up_from(
        &self,
        followed: &mut Followed,
        removed: Option<RegistrationId>,
    ) -> Result<(), RepositoryError> {
        // Read before the list: what changes in between is another state.
        let state = self.parts.store.state().await?;
        let now = Instant::now();
        if let Some(before) = followed.responded_at.replace(now)
            && followed.has_failed
            && let Some(time) = self.time_to_return(now - before)
        {
            followed.kept_until = Some(now + time);
        }
        let is_over = followed.kept_until.is_some_and(|until| until <= now);
        if followed.state == Some(state) && !is_over {
            return Ok(());
        }
        let mut live = self.live().await?;
        if is_over {
            followed.kept_until = None;
        } else if followed.kept_until.is_some() {
            let kept = self.without_place_in(&live);
            live.extend(kept.into_iter().filter(|one| Some(one.registration.id) != removed));
        }
        self.publish(&live.into(), followed.state.is_some());
        followed.state = Some(state);
        Ok(())
    }

    /// After the store was away for this time: how long instances that have lost their lease may take to register again.
    /// `None` if it was too short for a lease to end.
    fn time_to_return(&self, away: Duration) -> Option<Duration> {
        let leases = || self.served().iter().filter_map(|one| one.registration.ttl.to_std().ok()).collect::<Vec<_>>();
        // The first one may have been due for a heartbeat when the store went away, at a third of its lease.
        let shortest = leases().into_iter().min()?;
        if away < shortest / 3 { None } else { leases().into_iter().max() }
    }

    /// The instances that are served and neither in this list nor registered anew there.
    fn without_place_in(&self, live: &[RegisteredInstance]) -> Vec<RegisteredInstance> {
        let place = |one: &RegisteredInstance| (one.registration.service.clone(), one.registration.url.to_string());
        let taken: HashSet<_> = live.iter().map(place).collect();
        self.served().iter().filter(|one| !taken.contains(&place(one))).cloned().collect()
    }

    async fn live(&self) -> Result<Vec<RegisteredInstance>, RepositoryError> {
        let leases = self.parts.store.live().await?;
        let now = self.parts.clock.now();
        Ok(leases.into_iter().map(|lease| lease.seen_at(now)).collect())
    }

    /// Publishes a list. The first one is not news for the log.
    fn publish(&self, live: &Arc<[RegisteredInstance]>, is_news: bool) {
        let before = std::mem::replace(&mut *self.served.lock().unwrap_or_else(PoisonError::into_inner), live.clone());
        let known = ids(&before);
        let mut found: Found = BTreeMap::new();
        for RegisteredInstance { registration, .. } in &**live {
            let Registration { id, service, url, .. } = registration;
            // The settings may have changed since, and another replica may have other ones.
            match self.parts.addresses.check(url.address(), url.port()) {
                Ok(()) => found.entry(service.clone()).or_default().push(Arc::new(registration.instance())),
                Err(_) if known.contains(id) => {}
                Err(refusal) => {
                    warn!(service = service.as_str(), instance = %url, "a registered instance is not used: its address {refusal}");
                }
            }
        }
        if is_news {
            report(&before, live);
        }
        self.parts.discovery.provide(Source::Registered, found);
    }

    fn served(&self) -> Arc<[RegisteredInstance]> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Logs the instances that have come and gone.
fn report(before: &[RegisteredInstance], now: &[RegisteredInstance]) {
    for Registration { service, url, .. } in missing(now, &ids(before)) {
        info!(service = service.as_str(), instance = %url, "an instance has registered");
    }
    for Registration { service, url, .. } in missing(before, &ids(now)) {
        info!(service = service.as_str(), instance = %url, "a registered instance has left, or its lease has ended");
    }
}

fn ids(list: &[RegisteredInstance]) -> BTreeSet<RegistrationId> {
    list.iter().map(|one| one.registration.id).collect()
}

/// The registrations of a list that are not among these.
fn missing<'l>(
    list: &'l [RegisteredInstance],
    ids: &BTreeSet<RegistrationId>,
) -> impl Iterator<Item = &'l Registration> {
    list.iter().map(|one| &one.registration).filter(|registration| !ids.contains(&registration.id))
}

fn may_register(caller: &Identity) -> Result<(), Denied> {
    if caller.scope.contains(REGISTER_SCOPE) {
        return Ok(());
    }
    Err(Denied::ScopeMissing(REGISTER_SCOPE.parse().unwrap_or_default()))
}

#[cfg(test)]
mod tests;
