//! Opens a connection for a request. An endpoint that does not accept one soon is raced by another endpoint: a request
//! must not wait for a host that is gone (after RFC 8305, over the instances of a service).

use std::{pin::pin, rc::Rc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    State,
    cluster::{
        Cluster,
        endpoint::{Endpoint, Lease},
    },
    connector::ATTEMPT_DELAY,
    pool::http1::{self, Connection},
};
use crate::edge::error::Failure;

/// What is said of an endpoint that does not accept a connection.
pub(crate) const NO_CONNECTION: &str = "it did not accept a connection in time";

/// A request that got no connection.
pub(crate) struct NotConnected {
    pub(crate) failure: Failure,
    /// The endpoint that it was meant for.
    pub(crate) endpoint: Rc<Endpoint>,
    /// The reason, if it is known.
    pub(crate) trouble: Option<String>,
}

/// Opens an HTTP/1.1 connection to the endpoint of `lease`, or to another one of the service if that takes long. The
/// lease that comes back is that of the connected endpoint.
pub(crate) async fn connect(
    state: &State,
    cluster: &Cluster,
    lease: Lease,
    limit: Duration,
) -> Result<(Lease, Connection), NotConnected> {
    let slow = Rc::clone(lease.endpoint());
    let mut first = pin!(open(state, cluster, lease, limit));
    tokio::select! {
        outcome = &mut first => return outcome,
        () = sleep(ATTEMPT_DELAY) => {}
    }
    let another = cluster.pick(None, Some(&slow), Instant::now().into_std()).filter(|other| !other.speaks_http2());
    let Some(another) = another else { return first.await };
    let mut second = pin!(open(state, cluster, Lease::of(another), limit));
    tokio::select! {
        outcome = &mut first => match outcome {
            Ok(connected) => Ok(connected),
            Err(_) => second.await,
        },
        outcome = &mut second => match outcome {
            Ok(connected) => {
                is_unreachable(state, cluster, &slow, NO_CONNECTION);
                Ok(connected)
            }
            Err(_) => first.await,
        },
    }
}

async fn open(
    state: &State,
    cluster: &Cluster,
    lease: Lease,
    limit: Duration,
) -> Result<(Lease, Connection), NotConnected> {
    let endpoint = lease.endpoint();
    let Some(permit) = state.connection_permit() else {
        let failure = Failure::ConnectionsExhausted;
        return Err(NotConnected { failure, endpoint: Rc::clone(endpoint), trouble: None });
    };
    match http1::connect(&endpoint.connector, limit, permit).await {
        Ok(connection) => Ok((lease, connection)),
        Err(failure) => {
            let trouble = endpoint.connector.take_trouble();
            is_unreachable(state, cluster, endpoint, trouble.as_deref().unwrap_or(NO_CONNECTION));
            Err(NotConnected { failure, endpoint: Rc::clone(endpoint), trouble })
        }
    }
}

fn is_unreachable(state: &State, cluster: &Cluster, endpoint: &Endpoint, reason: &str) {
    endpoint.is_unreachable(reason);
    state.is_unreachable(&cluster.state.service.name);
}
