//! Starts discovery: the addresses of services are looked up before requests are served.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{
        mpsc::{UnboundedSender, unbounded_channel},
        watch,
    },
    task::JoinSet,
};

use crate::{
    adapters::names::SystemNames,
    config::Settings,
    domain::gateway::{
        models::service::ServiceName,
        services::{discovery::Discovery, ports::ServicePublisher},
    },
};

/// How long the start waits for the addresses of services. Names are found at once, as a rule; those that are not must
/// not delay the start.
const FIRST_ANSWERS: Duration = Duration::from_secs(2);

/// Starts discovery. The data plane tells the sender of services with an instance that cannot be reached.
pub(super) async fn start(
    settings: &Settings,
    publisher: Arc<dyn ServicePublisher>,
    tasks: &mut JoinSet<()>,
    mut stopped: watch::Receiver<bool>,
) -> (Arc<Discovery>, UnboundedSender<ServiceName>) {
    let discovery = Discovery::new(Arc::new(SystemNames::new(settings.dns_servers.clone())), publisher);
    discovery.declare(settings.services.clone());
    discovery.first_answers(FIRST_ANSWERS).await;
    let (unreachable, mut suspected) = unbounded_channel();
    tasks.spawn({
        let discovery = discovery.clone();
        async move {
            loop {
                tokio::select! {
                    Some(service) = suspected.recv() => discovery.suspect(&service),
                    _ = stopped.wait_for(|stopped| *stopped) => return,
                }
            }
        }
    });
    (discovery, unreachable)
}
