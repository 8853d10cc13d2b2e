//! What the data plane is made of, and what each core makes of it.

use std::{num::NonZeroUsize, rc::Rc, sync::Arc};

use chrono_tz::Tz;
use tokio::runtime::Handle;

use crate::{
    config::{ListenerSettings, LogFormat, UpstreamSettings},
    edge::{
        auth::{self, bearer::Tokens, browser::BrowserSettings, lookup::Lookup},
        limits::in_flight::{CoreLimits, SharedLimits},
        net::{names::Names, tls::Terminator},
        observe::{access_log::AccessLog, request_id::RandomSource},
        pipeline::{core::Core, shortage::Shortages},
        ports::{AccessLogSink, ControlPlane, Resolver},
        snapshot::SnapshotCell,
        upstream,
    },
    ports::{Clock, Entropy},
};

/// See the module.
#[derive(Clone)]
pub struct Parts {
    /// How clients are served. The address is not used: the listener is bound already.
    pub listener_settings: ListenerSettings,
    /// Ends TLS on connections of clients, if they come by TLS.
    pub tls: Option<Arc<Terminator>>,
    /// What it has to know of browsers.
    pub browsers: BrowserSettings,
    /// How services are reached.
    pub upstream_settings: UpstreamSettings,
    /// How many connections to services the process may have.
    pub max_service_connections: usize,
    /// Looks the names of instances up.
    pub names: Arc<Names>,
    /// How many cores serve, each with a thread of its own.
    pub cores: NonZeroUsize,
    /// Where the newest snapshot is found.
    pub snapshots: Arc<SnapshotCell>,
    /// Answers the gateway's own paths.
    pub control_plane: Arc<dyn ControlPlane>,
    /// Knows what a snapshot cannot hold.
    pub resolver: Arc<dyn Resolver>,
    /// The runtime on which the two are asked.
    pub control_runtime: Handle,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness for request ids and traces.
    pub entropy: Arc<dyn Entropy>,
    /// Where a line about each request goes.
    pub access_log: Arc<dyn AccessLogSink>,
    /// In which form.
    pub log_format: LogFormat,
    /// Of the times in it that are for people.
    pub timezone: Tz,
}

impl Parts {
    /// What all cores together may have in flight.
    pub(crate) fn shared_limits(&self) -> Arc<SharedLimits> {
        SharedLimits::new(
            self.listener_settings.max_requests_per_client,
            self.upstream_settings.max_requests,
            self.max_service_connections,
            self.cores.get(),
        )
    }

    /// What one core answers requests with.
    pub(crate) fn core(&self, limits: &Arc<SharedLimits>) -> Core {
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
                Arc::clone(&self.names),
                self.snapshots.reader(),
            ),
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
