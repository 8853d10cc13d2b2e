//! Follows the containers of an engine: those whose labels say so are instances of services.
//!
//! A change is only a hint to read the list anew, so a change that is missed or told twice does no harm. While the
//! engine is away its last containers are served. Whatever goes wrong, even a panic, ends a session, not the following.

mod session;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tracing::{debug, error, info, warn};

use self::session::{Ended, Session};
use super::{
    discovery::{Discovery, Found},
    ports::{ContainerEngine, ContainerList, EngineError, ListedContainer},
};
use crate::{
    domain::gateway::models::{
        container::{Container, DefaultNames, Offer, Refusal},
        service::{Instance, ServiceName, Source},
    },
    ports::Entropy,
};

/// The bounds of the pause after a session has ended. An engine that restarts is away for seconds.
const MIN_PAUSE: Duration = Duration::from_millis(250);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// The part of a pause by which it is shortened at most: gateways that lost one engine together need not return to it
/// together.
const JITTER: f64 = 0.5;

/// A session that lasted this long has worked.
const WORKED_AFTER: Duration = Duration::from_secs(30);

/// After so many sessions that have not worked because of their subscription, the log says so. A proxy that now and then
/// cuts a subscription is no news.
const LOST_SUBSCRIPTIONS: u32 = 3;

/// Follows containers.
pub struct Containers {
    engine: Arc<dyn ContainerEngine>,
    discovery: Arc<Discovery>,
    entropy: Arc<dyn Entropy>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What is served, by the ids of the containers.
    served: BTreeMap<String, Served>,
    names: DefaultNames,
    /// What the log has said about containers, by their ids.
    complaints: BTreeMap<String, String>,
    is_away: bool,
    lacks_changes: bool,
}

/// A container that is served.
#[derive(Clone, PartialEq, Eq)]
struct Served {
    name: String,
    service: ServiceName,
    instance: Arc<Instance>,
}

impl Containers {
    /// The start waits for the first list, see [`Discovery::expect`].
    pub fn new(engine: Arc<dyn ContainerEngine>, discovery: Arc<Discovery>, entropy: Arc<dyn Entropy>) -> Arc<Self> {
        discovery.expect(Source::Docker);
        Arc::new(Self { engine, discovery, entropy, state: Mutex::default() })
    }

    /// Follows the engine until the future is dropped.
    pub async fn follow(self: Arc<Self>) {
        let mut failures = 0_u32;
        loop {
            let began = Instant::now();
            let mut session = JoinSet::new();
            session.spawn(Session::new(Arc::clone(&self)).run());
            let ended = session.join_next().await;
            failures = if began.elapsed() >= WORKED_AFTER { 1 } else { failures.saturating_add(1) };
            match ended {
                Some(Ok(Ended::Away(error))) => self.note_away(&error),
                Some(Ok(Ended::Unsubscribed(error))) => self.note_unsubscribed(&error, failures),
                Some(Err(error)) => error!(%error, "following containers has failed"),
                None => {}
            }
            sleep(self.pause(failures)).await;
        }
    }

    fn pause(&self, failures: u32) -> Duration {
        // 2⁵ times the shortest pause is more than the longest one.
        let pause = (MIN_PAUSE * 2_u32.pow(failures.clamp(1, 6) - 1)).min(MAX_PAUSE);
        let [fraction] = self.entropy.bytes();
        pause.mul_f64(1.0 - JITTER * f64::from(fraction) / 256.0)
    }

    /// One line tells that the engine is away, and one that it is back.
    fn note_away(&self, error: &EngineError) {
        if !std::mem::replace(&mut self.state().is_away, true) {
            warn!(%error, "the container engine (DOCKER_URL) does not answer: its last containers stay in use");
        }
    }

    fn note_unsubscribed(&self, error: &EngineError, failures: u32) {
        debug!(%error, "the subscription to changes of containers has ended");
        if failures >= LOST_SUBSCRIPTIONS && !std::mem::replace(&mut self.state().lacks_changes, true) {
            warn!(%error, "the container engine (DOCKER_URL) tells no changes (GET /events): containers are listed every few seconds instead");
        }
    }

    /// A session with a subscription has worked.
    fn note_subscribed(&self) {
        if std::mem::replace(&mut self.state().lacks_changes, false) {
            info!("the container engine tells changes again");
        }
    }

    /// Publishes what a list contains.
    fn learn(&self, list: ContainerList) {
        let declared = self.discovery.declared();
        let mut state = self.state();
        if std::mem::replace(&mut state.is_away, false) {
            info!("the container engine answers again");
        }
        let found = state.learn(list, &declared);
        self.discovery.provide(Source::Docker, found);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic leaves nothing half done in it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes over a list, and logs what is new in it.
    fn learn(&mut self, list: ContainerList, declared: &BTreeSet<ServiceName>) -> Found {
        let ContainerList { containers, own } = list;
        let mut now_served = BTreeMap::new();
        let mut complaints = BTreeMap::new();
        let mut offered = Vec::new();
        for listed in containers {
            match listed {
                ListedContainer::Known(container) => match container.offer(own.as_ref()) {
                    Ok(Some(offer)) => offered.push((container, offer)),
                    Ok(None) => {}
                    Err(refusal) => self.refuse(&container, &refusal, &mut complaints),
                },
                ListedContainer::Unknown { id, name, error } => {
                    let complaint = format!("the engine does not describe a container, which stays as it was: {error}");
                    self.complain(&id, &name, complaint, &mut complaints);
                    now_served.extend(self.served.get(&id).map(|served| (id, served.clone())));
                }
            }
        }
        // The order decides whose a name is.
        offered.sort_by(|(one, _), (other, _)| (one.created, &one.id).cmp(&(other.created, &other.id)));
        let (offering, offers): (Vec<Container>, Vec<Offer>) = offered.into_iter().unzip();
        for (container, outcome) in
            offering.into_iter().zip(self.names.admit(offers, declared, Instant::now().into_std()))
        {
            match outcome {
                Ok(Offer { service, instance, .. }) => {
                    let served = Served { name: container.name, service, instance: Arc::new(instance) };
                    now_served.insert(container.id, served);
                }
                Err(refusal) => self.refuse(&container, &refusal, &mut complaints),
            }
        }
        self.complaints = complaints;
        let before = std::mem::replace(&mut self.served, now_served);
        report(&before, &self.served);
        let mut found = Found::new();
        for Served { service, instance, .. } in self.served.values() {
            found.entry(service.clone()).or_default().push(Arc::clone(instance));
        }
        found
    }

    fn refuse(&self, container: &Container, refusal: &Refusal, complaints: &mut BTreeMap<String, String>) {
        let complaint = format!("a container is not served: {refusal}");
        self.complain(&container.id, &container.name, complaint, complaints);
    }

    /// Logs a complaint once for a container, not with every list.
    fn complain(&self, id: &str, name: &str, complaint: String, complaints: &mut BTreeMap<String, String>) {
        if self.complaints.get(id) != Some(&complaint) {
            warn!(container = name, "{complaint}");
        }
        complaints.insert(id.to_owned(), complaint);
    }
}

/// Logs the containers that have come and gone.
fn report(before: &BTreeMap<String, Served>, now: &BTreeMap<String, Served>) {
    let kept: BTreeSet<&String> =
        now.iter().filter(|(id, one)| before.get(*id) == Some(one)).map(|(id, _)| id).collect();
    for (_, Served { name, service, instance }) in before.iter().filter(|(id, _)| !kept.contains(id)) {
        info!(
            service = service.as_str(),
            container = name,
            instance = instance.address(),
            "a container no longer serves"
        );
    }
    for (_, Served { name, service, instance }) in now.iter().filter(|(id, _)| !kept.contains(id)) {
        info!(service = service.as_str(), container = name, instance = instance.address(), "a container serves");
    }
}

#[cfg(test)]
mod tests;
