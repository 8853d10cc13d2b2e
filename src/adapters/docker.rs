//! A container engine that speaks Docker's API: Docker, or Podman's service. At a unix socket, or over plain HTTP.
//!
//! Every request has a connection of its own, and so opens the socket anew: an engine that restarts replaces the file.
//! Requests name no version of the API, so an engine answers in its newest one. Of that, only parts are read that all
//! versions since 1.44 have.

mod description;
mod own;
mod transport;

use std::{collections::HashMap, error::Error as StdError, io, sync::Arc, time::Duration};

use async_trait::async_trait;
use bollard::{
    Docker,
    errors::Error,
    models::{ContainerSummary, EventMessage},
    query_parameters::{EventsOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder},
};
use chrono::TimeDelta;
use futures_util::{
    StreamExt, future,
    stream::{self, BoxStream},
};
use tokio::time::{Instant, timeout, timeout_at};

use self::{
    description::{container, name_of, networks_of},
    transport::{Address, client},
};
use crate::{
    domain::gateway::{
        models::container::{OwnContainer, has_gateway_labels},
        services::ports::{ContainerChanges, ContainerEngine, ContainerList, EngineError, ListedContainer},
    },
    ports::Clock,
};

/// Time limit for the list of containers.
const LIST_TIMEOUT: Duration = Duration::from_secs(5);

/// Time limit for the descriptions of all of them. An engine may hang over one container alone.
const DESCRIPTIONS_TIMEOUT: Duration = Duration::from_secs(5);

/// The most containers that are asked about at once. Each takes a connection.
const MAX_DESCRIPTIONS_AT_ONCE: usize = 8;

/// The most bytes of the list of containers: ten thousand of them have less. All are held at once.
const MAX_LIST_BYTES: usize = 32 * 1024 * 1024;

/// The most bytes of a description: with many labels and variables, and the log of its checks, it has some ten thousand.
const MAX_DESCRIPTION_BYTES: usize = 2 * 1024 * 1024;

/// The most bytes of a subscription: a change that does not end is read again from its beginning with every piece of it.
/// After so many, which is some thousand changes, the containers are listed again and a new subscription begins.
const MAX_CHANGES_BYTES: usize = 1024 * 1024;

/// A subscription begins this far in the past, by the gateway's clock: so nothing is missed between the list and it, even
/// if the engine's clock differs a little.
const OVERLAP: TimeDelta = TimeDelta::seconds(10);

/// The kinds of things whose changes may matter, and the changes. The checks of healthy containers alone are several
/// changes a second (`exec_start` and so on), which do not matter.
const KINDS: [&str; 2] = ["container", "network"];
const ACTIONS: [&str; 12] = [
    "start",
    "die",
    "stop",
    "restart",
    "health_status",
    "pause",
    "unpause",
    "connect",
    "disconnect",
    "destroy",
    "rename",
    "update",
];

/// A container engine that speaks Docker's API.
pub struct DockerEngine {
    address: Address,
    own_id: Option<String>,
    clock: Arc<dyn Clock>,
}

impl DockerEngine {
    /// The engine at a unix socket.
    pub fn at_socket(path: String, clock: Arc<dyn Clock>) -> Self {
        Self { address: Address::Socket(path.into()), own_id: own::id(), clock }
    }

    /// The engine at `host:port`.
    pub fn at_tcp(authority: String, clock: Arc<dyn Clock>) -> Self {
        Self { address: Address::Tcp(authority.into()), own_id: own::id(), clock }
    }

    /// A client to which the engine may send `limit` bytes for each request.
    fn connect(&self, limit: usize) -> Result<Docker, EngineError> {
        client(&self.address, limit).map_err(|error| in_words(&error))
    }

    /// Describes a container of the list; `None` if it is gone.
    async fn describe(&self, docker: &Docker, summary: ContainerSummary, until: Instant) -> Option<ListedContainer> {
        let id = summary.id.clone()?;
        let inspecting = docker.inspect_container(&id, None::<InspectContainerOptions>);
        let error = match timeout_at(until, inspecting).await {
            Ok(Ok(inspected)) => return Some(ListedContainer::Known(container(id, &summary, inspected))),
            Ok(Err(Error::DockerResponseServerError { status_code: 404, .. })) => return None,
            Ok(Err(error)) => in_words(&error),
            Err(_) => EngineError("no answer in time".to_owned()),
        };
        Some(ListedContainer::Unknown { name: name_of(&summary), id, error })
    }

    /// The gateway's own container, if it is one of these.
    fn own(&self, running: &[ContainerSummary]) -> Option<OwnContainer> {
        let own_id = self.own_id.as_deref()?;
        let is_own = |summary: &&ContainerSummary| summary.id.as_deref().is_some_and(|id| id.starts_with(own_id));
        let own = running.iter().find(is_own)?;
        let networks = own.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
        Some(OwnContainer { id: own.id.clone()?, networks: networks_of(networks).into_keys().collect() })
    }
}

#[async_trait]
impl ContainerEngine for DockerEngine {
    async fn containers(&self) -> Result<ContainerList, EngineError> {
        let docker = self.connect(MAX_LIST_BYTES)?;
        let running = HashMap::from([("status", vec!["running"])]);
        let options = ListContainersOptionsBuilder::default().filters(&running).build();
        let running = timeout(LIST_TIMEOUT, docker.list_containers(Some(options)))
            .await
            .map_err(|_| EngineError("no list in time".to_owned()))?
            .map_err(|error| in_words(&error))?;
        let own = self.own(&running);
        let is_meant = |summary: &ContainerSummary| {
            summary.labels.as_ref().is_some_and(|labels| has_gateway_labels(labels.keys().map(String::as_str)))
        };
        let docker = self.connect(MAX_DESCRIPTION_BYTES)?;
        let until = Instant::now() + DESCRIPTIONS_TIMEOUT;
        let containers = stream::iter(running.into_iter().filter(is_meant))
            .map(|summary| self.describe(&docker, summary, until))
            .buffer_unordered(MAX_DESCRIPTIONS_AT_ONCE)
            .filter_map(future::ready)
            .collect()
            .await;
        Ok(ContainerList { containers, own })
    }

    fn changes(&self) -> Box<dyn ContainerChanges> {
        let since = (self.clock.now() - OVERLAP).timestamp().to_string();
        let filters = HashMap::from([("type", KINDS.to_vec()), ("event", ACTIONS.to_vec())]);
        let options = EventsOptionsBuilder::default().since(&since).filters(&filters).build();
        let changes = match self.connect(MAX_CHANGES_BYTES) {
            Ok(docker) => docker.events(Some(options)).map(|event| event.map_err(|error| in_words(&error))).boxed(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        };
        Box::new(DockerChanges(changes))
    }
}

struct DockerChanges(BoxStream<'static, Result<EventMessage, EngineError>>);

#[async_trait]
impl ContainerChanges for DockerChanges {
    async fn next(&mut self) -> Result<(), EngineError> {
        while let Some(event) = self.0.next().await {
            if event?.action.is_some_and(|action| may_matter(&action)) {
                return Ok(());
            }
        }
        Err(EngineError("the engine has ended it".to_owned()))
    }
}

/// Some engines ignore the filters. A result of a health check is `health_status: healthy`.
fn may_matter(action: &str) -> bool {
    let action = action.split(':').next().unwrap_or_default();
    ACTIONS.contains(&action)
}

/// The library's errors say at which step, and their causes what happened.
fn in_words(error: &Error) -> EngineError {
    if let Error::SocketNotFoundError(path) = error {
        return EngineError(format!("there is no socket {path}"));
    }
    let mut cause: &dyn StdError = match error {
        // It hides the error that it consists of.
        Error::IOError { err } => err,
        other => other,
    };
    while let Some(source) = cause.source() {
        cause = source;
    }
    let is_denied =
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
    // Without the operating system's number for it.
    let words = cause.to_string();
    let words = words.split(" (os error").next().unwrap_or_default();
    let remedy = if is_denied {
        "; the gateway's user must be in the group of the socket (group_add in compose.yaml)"
    } else {
        ""
    };
    EngineError(format!("{words}{remedy}"))
}

#[cfg(test)]
mod tests;
