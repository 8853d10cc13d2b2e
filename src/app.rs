//! The composition root: the only place where all parts meet.

mod background_tasks;
mod banner;
pub mod clients;
mod described;
mod descriptors;
mod development;
mod edge_ports;
mod health;
pub mod logging;
mod policies;
mod reloading;
mod services;
mod store;
mod tls;

use std::{io, net::SocketAddr, num::NonZeroUsize, sync::Arc, thread::available_parallelism, time::Duration};

use bytes::Bytes;
use thiserror::Error;
use tokio::{
    net::TcpListener,
    runtime::Handle,
    sync::watch,
    task::{JoinError, JoinSet, spawn_blocking},
    time::sleep,
};
use tracing::info;

pub use self::policies::{expectations, routes_in_force};
use self::{
    background_tasks::KEYS_EVERY,
    development::Helpers,
    edge_ports::control_plane::{self, PoemControlPlane, Probes},
    health::{
        readiness::StoreReadiness,
        status::{GatewayStatus, healths_of},
    },
    policies::browsers,
    reloading::{OnDemand, Reloader, ReloaderParts},
    services::{Services, discovery},
    store::{Store, StoreError, observer::StoreObserver},
    tls::certificate::CertificateKeeper,
};
use crate::{
    adapters::{
        clock::WallClock,
        console::Console,
        entropy::SystemEntropy,
        jwt::AwsLcKeyGenerator,
        providers::{NoHttpClient, providers},
        sealing::{Vault, VaultError},
    },
    api::{Api, LateServices},
    config::{Database, LogFormat, Settings, Sources},
    domain::gateway::services::{
        Failure,
        ports::DummyConsole,
        resealing::{Resealed, Resealing},
        signing_key::{
            SigningKeyError,
            replacing::{KeyReplacement, Replaced},
        },
    },
    edge::{Edge, Parts},
    ports::{Clock, Entropy},
};

/// What the gateway needs from outside: time, randomness, a console. Tests supply their own.
pub struct World {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The console for dummy tokens.
    pub console: Arc<dyn DummyConsole>,
}

impl World {
    /// The real clock, randomness and console, for a log in this format.
    pub fn real(log_format: LogFormat) -> Self {
        Self {
            clock: Arc::new(WallClock),
            entropy: Arc::new(SystemEntropy::default()),
            console: match log_format {
                LogFormat::Text => Arc::new(Console::new(logging::stdout())),
                LogFormat::Json => Arc::new(logging::DummyLog),
            },
        }
    }
}

/// Why the gateway could not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The gateway cannot listen on an address.
    #[error("cannot listen on {address} ({variable}): {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The variable that sets it.
        variable: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// The certificate's files are invalid, though they were valid when the settings were read.
    #[error("the certificate cannot be used: {0}")]
    Certificate(String),
    /// TLS cannot be set up.
    #[error("cannot serve TLS: {0}")]
    Tls(rustls::Error),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The signing keys cannot be used.
    #[error(transparent)]
    Keys(#[from] SigningKeyError),
    /// The HTTP client for providers cannot be created.
    #[error(transparent)]
    Providers(#[from] NoHttpClient),
    /// A part of the start panicked.
    #[error("a task of the start failed: {0}")]
    Unfinished(#[from] JoinError),
    /// The store or the vault failed.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The vault cannot be used.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The stand-in provider cannot be created.
    #[error("cannot start the stand-in provider: {0}")]
    StandIn(io::Error),
    /// A thread cannot be started.
    #[error("cannot start the data plane: {0}")]
    Edge(io::Error),
}

/// A running gateway.
pub struct App {
    edge: Edge,
    reloader: Arc<Reloader>,
    tasks: JoinSet<()>,
    /// Ends last: what is written at the end needs to know when the store is back.
    _watching: JoinSet<()>,
    _probes: Probes,
    stop: watch::Sender<bool>,
    readiness: Arc<StoreReadiness>,
    drain_grace: Duration,
    drain_timeout: Duration,
}

impl App {
    /// Starts everything. When this returns, requests are served; requests without slow dependencies already a little
    /// earlier. `sources` are those of the settings: a part of them is read again when its files change.
    pub async fn start(mut settings: Settings, sources: Sources, world: World) -> Result<Self, StartError> {
        let cores = available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let max_service_connections = descriptors::share_out(&mut settings.listener, cores);
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let certificate =
            settings.tls.clone().map(|files| CertificateKeeper::open(files, world.clock.clone())).transpose()?;
        let listener = listen(settings.listener.address, "HOST, PORT").await?;
        let admin = listen(settings.admin_address, "ADMIN_ADDR").await?;
        let address = local_address(&listener);
        let admin_address = local_address(&admin);
        // With the ports that the system chose for 0.
        (settings.listener.address, settings.admin_address) = (address, admin_address);
        let helpers = Helpers::start(&mut settings, address, &world, &mut tasks, &stopped).await?;

        // Probes are served while the store is awaited: otherwise an orchestrator would restart the gateway as
        // unresponsive.
        let probes = Probes::start().map_err(StartError::Edge)?;
        let (providers, preparation) = providers(&settings.providers, &world.clock);
        let healths = healths_of(&providers, &world.clock);
        let timezone = settings.public.timezone;
        let readiness = Arc::new(StoreReadiness::new(world.clock.clone(), timezone));
        let reloader = Reloader::new(sources, world.clock.clone(), timezone);
        let (of_store, of_providers, of_settings) = (readiness.clone(), healths.clone(), reloader.clone());
        let status = GatewayStatus { readiness: of_store, healths: of_providers, reloader: of_settings, timezone };
        let admin = admin.into_std().map_err(StartError::Edge)?;
        let directory = LateServices::default();
        let on_demand = Arc::new(OnDemand(reloader.clone()));
        let on_loopback = admin_address.ip().is_loopback();
        let operators = Api::operators(readiness.clone(), Arc::new(status), directory.clone(), on_demand, on_loopback);
        tasks.spawn_on(control_plane::serve(admin, operators, stopped.clone()), &probes.handle);

        let preparing = spawn_blocking(|| preparation.run());
        let store = Store::wait_for(&settings.database, &settings.session_store, settings.startup_timeout).await?;
        let services = Services::open(&settings, &world, &store, providers, healths, cores.get()).await?;

        let api = Api::new(services.api_parts(&settings, readiness.clone()));
        let observer = Arc::<StoreObserver>::default();
        let watching = watch_store(&store, &observer, &probes.handle);
        services.work_off_notices(&mut tasks, &stopped);
        let background_tasks = services.background_tasks(&store, observer, &settings, &world.clock);
        background_tasks.start(&mut tasks, &probes.handle, &stopped);
        let unreachable = discovery::start(&settings, &services, &world, &mut tasks, stopped.clone()).await?;
        let (documents, paths) = watch::channel(Arc::new(settings.service_documents.clone()));
        let keeper = described::Keeper {
            documents: api.documents(),
            snapshots: services.publisher.snapshots(),
            environment: settings.environment,
            paths,
        };
        tasks.spawn(keeper.keep(stopped.clone()));
        let tls = certificate.as_ref().map(CertificateKeeper::terminator);
        if let Some(certificate) = certificate {
            tasks.spawn(certificate.keep(stopped.clone()));
        }

        let edge = Edge::start(
            listener.into_std().map_err(StartError::Edge)?,
            &Parts {
                listener_settings: settings.listener.clone(),
                tls,
                browsers: browsers(&settings),
                upstream_settings: settings.upstream.clone(),
                max_service_connections,
                cores,
                snapshots: services.publisher.snapshots(),
                unreachable,
                control_plane: Arc::new(PoemControlPlane::new(
                    api.endpoint,
                    settings.public.api_prefix.clone(),
                    probes.handle.clone(),
                )),
                resolver: Arc::new(services.resolver(&settings, &world, &store)),
                control_runtime: Handle::current(),
                clock: world.clock,
                entropy: world.entropy,
                access_log: Arc::new(logging::AccessLog),
                log_format: settings.log_format,
                timezone: settings.public.timezone,
            },
        )
        .map_err(StartError::Edge)?;
        // Until here the gateway reports that it is not ready: the start may still fail.
        preparing.await??;
        directory.complete(services.directory(&settings));
        readiness.complete(store, services.feed.clone(), services.discovery.clone());
        let (drain_grace, drain_timeout) = (settings.listener.drain_grace, settings.listener.drain_timeout);
        let parts = ReloaderParts {
            publisher: services.publisher.clone(),
            discovery: services.discovery.clone(),
            documents,
            helpers: helpers.clone(),
        };
        reloader.begin(settings.clone(), parts).await;
        banner::show(&settings, address, admin_address, &helpers);
        tasks.spawn(reloader.clone().keep(stopped));
        Ok(Self {
            edge,
            reloader,
            tasks,
            _watching: watching,
            _probes: probes,
            stop,
            readiness,
            drain_grace,
            drain_timeout,
        })
    }

    /// Waits until a thread of the data plane has died: the gateway continues to serve, but must be restarted.
    pub async fn failed(&self) {
        self.edge.failed().await;
    }

    /// Reads the files of the settings again, soon. The log has the outcome.
    pub fn reload(&self) {
        self.reloader.hang_up();
    }

    /// Reports that it is not ready, serves on for `DRAIN_GRACE`, and tells clients that their connections end. A
    /// balancer in front has this time to notice.
    pub async fn leave(&self) {
        if self.drain_grace.is_zero() {
            return;
        }
        info!(lasts = ?self.drain_grace, "leaving: not ready any more, but requests are still served");
        self.readiness.leave();
        self.edge.leave();
        sleep(self.drain_grace).await;
    }

    /// Stops accepting, lets requests in flight finish, and ends.
    pub async fn stop(mut self) {
        info!(at_most = ?self.drain_timeout, "stopping: requests under way may finish");
        self.edge.shutdown();
        let edge = self.edge;
        // Joining threads blocks. It fails only on a panic, and then there is nothing left to wait for.
        let _ = spawn_blocking(move || edge.join()).await;
        // The tasks that wait for it stop by themselves; no receiver is fine too.
        let _ = self.stop.send(true);
        while self.tasks.join_next().await.is_some() {}
        info!("stopped");
    }
}

/// The OpenAPI document that a gateway with these settings serves.
pub async fn openapi_document(settings: &Settings) -> Result<Bytes, StartError> {
    let world = World::real(settings.log_format);
    let (providers, _) = providers(&settings.providers, &world.clock);
    let healths = healths_of(&providers, &world.clock);
    let services = Services::open(settings, &world, &Store::in_memory(), providers, healths, 1).await?;
    let readiness = Arc::new(StoreReadiness::new(world.clock, settings.public.timezone));
    Ok(Api::new(services.api_parts(settings, readiness)).document())
}

/// Reseals everything in the store that was not sealed with the first key; `None` without a durable store.
pub async fn rotate_vault_keys(settings: &Settings) -> Result<Option<Resealed>, StartError> {
    if settings.database == Database::Memory {
        return Ok(None);
    }
    let store = Store::open(&settings.database).await?;
    let vault = open_vault(settings, &SystemEntropy::default())?;
    let resealing = Resealing { grants: store.oauth, keys: store.signing_keys, sealer: Arc::new(vault) };
    Ok(Some(resealing.run().await?))
}

/// Replaces all signing keys at once; `None` without a durable store. Also returns within which time every gateway that
/// reaches the store refuses the tokens of the others.
pub async fn rotate_signing_keys(settings: &Settings) -> Result<Option<(Replaced, Duration)>, StartError> {
    if settings.database == Database::Memory {
        return Ok(None);
    }
    let store = Store::open(&settings.database).await?;
    let vault = open_vault(settings, &SystemEntropy::default())?;
    let replacement = KeyReplacement {
        store: store.signing_keys,
        key_generator: Arc::new(AwsLcKeyGenerator),
        sealer: Arc::new(vault),
        clock: Arc::new(WallClock),
        schedule: policies::key_schedule(settings),
    };
    Ok(Some((replacement.run().await?, KEYS_EVERY)))
}

async fn listen(address: SocketAddr, variable: &'static str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, variable, source })
}

/// Watches the store on this runtime, until what is returned is dropped.
fn watch_store(store: &Store, observer: &Arc<StoreObserver>, runtime: &Handle) -> JoinSet<()> {
    let mut watching = JoinSet::new();
    let (store, observer) = (store.clone(), observer.clone());
    watching.spawn_on(async move { store.watch(&observer).await }, runtime);
    watching
}

fn local_address(listener: &TcpListener) -> SocketAddr {
    // A bound socket has an address.
    listener.local_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)))
}

fn open_vault(settings: &Settings, entropy: &dyn Entropy) -> Result<Vault, VaultError> {
    if settings.vault_keys.is_empty() {
        // Without a durable store, a key for this process is enough: nothing sealed outlives it.
        return Vault::new(&[entropy.bytes()]);
    }
    Vault::new(&settings.vault_keys.iter().map(|key| key.0).collect::<Vec<_>>())
}
