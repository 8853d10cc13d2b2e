//! Starts discovery: services are found before requests are served.

use std::sync::Arc;

use tokio::{
    select,
    sync::{
        mpsc::{UnboundedSender, unbounded_channel},
        watch,
    },
    task::JoinSet,
};

use super::Services;
#[cfg(feature = "docker")]
use crate::{adapters::docker::DockerEngine, config::DockerUrl};
use crate::{
    app::{StartError, World, background_tasks::until, policies::FIRST_ANSWERS, store::StoreError},
    config::Settings,
    domain::gateway::{
        models::service::ServiceName,
        services::{container::Containers, ports::ContainerEngine},
    },
    ports::Clock,
};

/// Starts discovery. The data plane tells the sender of services with an instance that cannot be reached.
pub(in crate::app) async fn start(
    settings: &Settings,
    services: &Services,
    world: &World,
    tasks: &mut JoinSet<()>,
    mut stopped: watch::Receiver<bool>,
) -> Result<UnboundedSender<ServiceName>, StartError> {
    let discovery = services.discovery.clone();
    tasks.spawn(services.publisher.service_tls().keep(stopped.clone()));
    if let Some(engine) = container_engine(settings, &world.clock) {
        let containers = Containers::new(engine, discovery.clone(), world.entropy.clone());
        let stopped = stopped.clone();
        tasks.spawn(async move {
            select! {
                () = containers.follow() => {}
                () = until(stopped) => {}
            }
        });
    }
    discovery.declare(settings.services.clone());
    // The first request may be for a service whose instances have registered.
    services.registrations.follow().await.map_err(StoreError::from)?;
    discovery.first_answers(FIRST_ANSWERS).await;
    let (unreachable, mut suspected) = unbounded_channel();
    tasks.spawn(async move {
        loop {
            tokio::select! {
                Some(service) = suspected.recv() => discovery.suspect(&service),
                _ = stopped.wait_for(|stopped| *stopped) => return,
            }
        }
    });
    Ok(unreachable)
}

/// The engine of `DOCKER_URL`.
#[cfg(feature = "docker")]
fn container_engine(settings: &Settings, clock: &Arc<dyn Clock>) -> Option<Arc<dyn ContainerEngine>> {
    let engine = match &settings.docker_url {
        DockerUrl::Nowhere => return None,
        DockerUrl::Socket(path) => DockerEngine::at_socket(path.clone(), clock.clone()),
        DockerUrl::Tcp(authority) => DockerEngine::at_tcp(authority.clone(), clock.clone()),
    };
    Some(Arc::new(engine))
}

/// The settings of this build name no engine.
#[cfg(not(feature = "docker"))]
fn container_engine(_: &Settings, _: &Arc<dyn Clock>) -> Option<Arc<dyn ContainerEngine>> {
    None
}
