//! The parts of the data plane, and what each core builds of them.

use std::{num::NonZeroUsize, rc::Rc, sync::Arc};

use chrono_tz::Tz;
use tokio::{runtime::Handle, sync::mpsc::UnboundedSender};

use crate::{
    config::{ListenerSettings, LogFormat, UpstreamSettings},
    domain::gateway::models::service::ServiceName,
    edge::{
        auth::{self, bearer::Tokens, browser::BrowserSettings, lookup::Lookup},
        http::via::ProcessMark,
        limits::in_flight::{CoreLimits, SharedLimits},
        net::tls::Terminator,
        observe::{access_log::AccessLog, request_id::RandomSource},
        pipeline::{core::Core, shortage::Shortages},
        ports::{AccessLogSink, ControlPlane, Resolver},
        snapshot::SnapshotCell,
        upstream,
    },
    ports::{Clock, Entropy},
};

/// The parts of the data plane.
#[derive(Clone)]
pub struct Parts {
    /// The settings for clients. The address is not used: the listener is bound already.
    pub listener_settings: ListenerSettings,
    /// Terminates TLS on client connections, if clients use TLS.
    pub tls: Option<Arc<Terminator>>,
    /// The settings for browsers.
    pub browsers: BrowserSettings,
    /// The settings for connections to services.
    pub upstream_settings: UpstreamSettings,
    /// The most connections to services of the process.
    pub max_service_connections: usize,
    /// The number of cores that serve, each with a thread of its own.
    pub cores: NonZeroUsize,
    /// Holds the newest snapshot.
    pub snapshots: Arc<SnapshotCell>,
    /// Told of services with an instance that cannot be reached: it may have moved.
    pub unreachable: UnboundedSender<ServiceName>,
    /// Handles requests for the gateway's own paths.
    pub control_plane: Arc<dyn ControlPlane>,
    /// Looks up data that a snapshot cannot hold.
    pub resolver: Arc<dyn Resolver>,
    /// The runtime on which the control plane and the resolver run.
    pub control_runtime: Handle,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness for request ids and traces.
    pub entropy: Arc<dyn Entropy>,
    /// The sink for one line about each request.
    pub access_log: Arc<dyn AccessLogSink>,
    /// The format of these lines.
    pub log_format: LogFormat,
    /// The time zone of the lines for people.
    pub timezone: Tz,
}

impl Parts {
    /// The limits on requests and connections in flight, over all cores.
    pub(crate) fn shared_limits(&self) -> Arc<SharedLimits> {
        SharedLimits::new(
            self.listener_settings.max_requests_per_client,
            self.upstream_settings.max_requests,
            self.max_service_connections,
            self.cores.get(),
        )
    }

    /// Distinguishes the process from others. All cores have the same.
    pub(crate) fn process_mark(&self) -> ProcessMark {
        ProcessMark::new(self.entropy.bytes())
    }

    /// Builds the part of a core, which has this number, that handles requests.
    pub(crate) fn core(&self, number: usize, limits: &Arc<SharedLimits>, process: ProcessMark) -> Core {
        let random = RandomSource::new(Arc::clone(&self.entropy));
        let lookup = Lookup {
            resolver: Arc::clone(&self.resolver),
            control: self.control_runtime.clone(),
            clock: Arc::clone(&self.clock),
        };
        Core {
            listener: self.listener_settings.clone(),
            control_plane: Arc::clone(&self.control_plane),
            control: self.control_runtime.clone(),
            auth: auth::State::new(lookup, Tokens::new(&random.bytes()), self.browsers.clone()),
            random,
            upstream: upstream::State::new(
                self.upstream_settings.clone(),
                CoreLimits::of(limits),
                number,
                self.unreachable.clone(),
                self.snapshots.reader(),
            ),
            process,
            shortages: Shortages::default(),
            buffered: Rc::default(),
            access_log: Rc::new(AccessLog::new(
                Arc::clone(&self.access_log),
                self.log_format,
                self.timezone,
                Arc::clone(&self.clock),
            )),
        }
    }
}
