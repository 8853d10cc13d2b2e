//! An endpoint of a service as one core sees it: its connections, and whether it is ejected.

use std::{
    cell::Cell,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use http::HeaderValue;
use tracing::error;

use super::{
    connector::Connector,
    pool::{http1::Http1Pool, http2::Http2Pool},
};
use crate::{
    domain::gateway::models::service::{Instance, UpstreamProtocol},
    edge::net::origination::Originator,
};

/// How long an endpoint is ejected after a failed connect. Long enough that trying it again costs next to nothing of
/// the retry budget, short enough that a recovered endpoint is soon found.
const EJECTION_TIME: Duration = Duration::from_secs(2);

/// An endpoint of a service as one core sees it.
pub(crate) struct Endpoint {
    pub(crate) instance: Arc<Instance>,
    /// Also the `Host` of requests to it.
    pub(crate) authority: Rc<str>,
    pub(crate) connector: Rc<Connector>,
    pub(crate) http1: Http1Pool,
    pub(crate) http2: Rc<Http2Pool>,
    ejected_until: Cell<Option<Instant>>,
}

impl Endpoint {
    /// `None` if the address cannot be used in a request.
    pub(crate) fn new(instance: &Arc<Instance>, originator: Option<&Arc<Originator>>) -> Option<Rc<Self>> {
        let authority = instance.authority();
        if HeaderValue::try_from(&authority).is_err() {
            error!(instance = authority, "an instance has an address that requests cannot be sent to");
            return None;
        }
        Some(Rc::new(Self {
            instance: Arc::clone(instance),
            authority: authority.into(),
            connector: Rc::new(Connector::new(instance, originator)),
            http1: Http1Pool::default(),
            http2: Rc::default(),
            ejected_until: Cell::default(),
        }))
    }

    /// Whether it speaks HTTP/2.
    pub(crate) fn speaks_http2(&self) -> bool {
        self.instance.protocol == UpstreamProtocol::Http2
    }

    /// Ejects it after a failed connect: for a while, others are preferred.
    pub(crate) fn eject(&self, now: Instant) {
        self.ejected_until.set(Some(now + EJECTION_TIME));
    }

    /// Ends the ejection after a successful connect.
    pub(crate) fn uneject(&self) {
        self.ejected_until.set(None);
    }

    /// Whether it is ejected. It is still used if there are no others.
    pub(crate) fn is_ejected(&self, now: Instant) -> bool {
        self.ejected_until.get().is_some_and(|until| now < until)
    }
}
