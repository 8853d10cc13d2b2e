//! Starts discovery: services are found before requests are served.

use tokio::{
    sync::{
        mpsc::{UnboundedSender, unbounded_channel},
        watch,
    },
    task::JoinSet,
};

use super::{StartError, policies::FIRST_ANSWERS, services::Services, store::StoreError};
use crate::{config::Settings, domain::gateway::models::service::ServiceName};

/// Starts discovery. The data plane tells the sender of services with an instance that cannot be reached.
pub(super) async fn start(
    settings: &Settings,
    services: &Services,
    tasks: &mut JoinSet<()>,
    mut stopped: watch::Receiver<bool>,
) -> Result<UnboundedSender<ServiceName>, StartError> {
    let discovery = services.discovery.clone();
    tasks.spawn(services.publisher.service_tls().keep(stopped.clone()));
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
