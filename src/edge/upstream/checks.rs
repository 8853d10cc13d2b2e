//! Checks endpoints, by one core for all: health checks that the operator has asked for, and attempts to reach endpoints
//! that do not answer. So no request has to find out whether an endpoint is back.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use http::{Method, Request, StatusCode, Uri, header::USER_AGENT};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{
    State,
    cluster::{Cluster, endpoint::Endpoint, load_balancer::stable_hash},
    connecting::NO_CONNECTION,
    exchange::http2::Http2Exchange,
    pool::{
        http1::{self, Connection},
        http2::Load,
    },
};
use crate::{
    domain::gateway::models::service::HealthCheck,
    edge::{
        body::request_body::RequestBody,
        error::Failure,
        health::{InstanceState, Removal, ServiceState},
        http1::response_head::{MAX_RESPONSE_HEAD_BYTES, ResponseHead},
        limits::permit::Permit,
        timer::deadlines::{Deadlines, Waiting},
    },
};

/// The time between two looks at all endpoints.
pub(crate) const PERIOD: Duration = Duration::from_millis(100);

/// How long an endpoint may take to show that it is there.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);

/// The name under which checks appear in services' logs.
const AGENT: &str = "gateway-health-check";

/// The reason for a check.
#[derive(Clone)]
enum Kind {
    /// The operator's health check.
    Health(HealthCheck),
    /// It does not answer requests any more, or has not answered one in time.
    Suspicion,
    /// It could not be reached.
    Return,
}

/// Looks at all endpoints, and begins the checks that are due.
pub(crate) fn tick<'c>(state: &State, clusters: impl Iterator<Item = &'c Cluster>, now: Instant) {
    for cluster in clusters {
        for endpoint in &cluster.endpoints {
            let Some(kind) = due(cluster, endpoint, now) else { continue };
            // Without a socket, the next tick tries again.
            let Some(permit) = state.connection_permit() else { return };
            if !endpoint.watch.borrow_mut().begin() {
                continue;
            }
            if matches!(kind, Kind::Suspicion) {
                endpoint.with_state(ServiceState::suspects);
            }
            let (endpoint, deadlines) = (Rc::clone(endpoint), Rc::clone(&state.deadlines));
            tokio::task::spawn_local(async move {
                let outcome = ask(&endpoint, &kind, permit, &deadlines).await;
                endpoint.with_state(|of_service, state| learn(&endpoint, of_service, state, &kind, outcome));
                endpoint.watch.borrow_mut().end();
            });
        }
    }
}

/// The check that is due. What needs no check happens here.
fn due(cluster: &Cluster, endpoint: &Endpoint, now: Instant) -> Option<Kind> {
    let check = cluster.state.service.policy.check.as_ref();
    let mut watch = endpoint.watch.borrow_mut();
    endpoint.with_state(|of_service, state| {
        if check.is_none() {
            of_service.allows(state, Removal::Unhealthy, now);
            if ServiceState::may_return(state, now) {
                of_service.allows(state, Removal::Ejected, now);
            }
        }
        if watch.is_running() {
            return None;
        }
        if state.is(Removal::Unreachable) {
            return watch.attempt_is_due(now).then_some(Kind::Return);
        }
        let is_quiet = watch.is_quiet(state.counters().sums());
        if is_quiet || state.take_doubt() {
            return Some(Kind::Suspicion);
        }
        let check = check.filter(|check| watch.check_is_due(now, check.interval, part_of(&endpoint.address)))?;
        Some(Kind::Health(check.clone()))
    })
}

/// A number from 0 to 1 that is the endpoint's own.
fn part_of(address: &str) -> f32 {
    let [first, second, ..] = stable_hash(address.as_bytes()).to_be_bytes();
    f32::from(u16::from_be_bytes([first, second])) / f32::from(u16::MAX)
}

/// Draws the consequences of a check.
fn learn(
    endpoint: &Endpoint,
    of_service: &ServiceState,
    state: &InstanceState,
    kind: &Kind,
    outcome: Result<StatusCode, String>,
) {
    let now = Instant::now();
    let mut watch = endpoint.watch.borrow_mut();
    if outcome.is_ok() {
        watch.attempt_succeeded();
        of_service.allows(state, Removal::Unreachable, now);
    }
    match kind {
        Kind::Return => {
            if outcome.is_err() {
                watch.attempt_failed(now);
            }
        }
        Kind::Suspicion => {
            match outcome {
                Ok(_) => watch.is_merely_slow(state.counters().sums().awaiting),
                Err(reason) => of_service.is_unreachable(state, &reason, now),
            }
            of_service.allows(state, Removal::Suspect, now);
        }
        Kind::Health(check) => {
            let outcome = outcome.and_then(|status| {
                let is_expected = check.status.contains(&status.as_u16());
                is_expected.then_some(()).ok_or_else(|| unexpected(check, status))
            });
            let is_unhealthy = state.is(Removal::Unhealthy);
            match outcome {
                Ok(()) if is_unhealthy && watch.contradicts(check.healthy_after) => {
                    of_service.allows(state, Removal::Unhealthy, now);
                }
                Err(reason) if !is_unhealthy && watch.contradicts(check.unhealthy_after) => {
                    of_service.is_unhealthy(state, &reason, now);
                }
                Ok(()) if !is_unhealthy => watch.confirms(),
                Err(_) if is_unhealthy => watch.confirms(),
                Ok(()) | Err(_) => {}
            }
            let is_well = !state.is(Removal::Unhealthy);
            if is_well && ServiceState::may_return(state, now) {
                of_service.allows(state, Removal::Ejected, now);
            }
        }
    }
}

/// Sends the request of a check. Any response shows that the endpoint is there.
async fn ask(
    endpoint: &Rc<Endpoint>,
    kind: &Kind,
    permit: Permit,
    deadlines: &Rc<Deadlines>,
) -> Result<StatusCode, String> {
    let (method, path, limit) = match kind {
        Kind::Health(check) => (Method::GET, check.path.as_str(), check.timeout),
        Kind::Suspicion | Kind::Return => (Method::HEAD, "/", ATTEMPT_TIMEOUT),
    };
    let path = format!("{}{path}", endpoint.instance.base_path);
    let asking = async {
        if endpoint.speaks_http2() {
            ask_on_stream(endpoint, method, &path, limit, permit, deadlines).await
        } else {
            let connection = http1::connect(&endpoint.connector, limit, permit).await?;
            ask_on(connection, endpoint, &method, &path).await
        }
    };
    let outcome = timeout(limit, asking).await.unwrap_or(Err(Failure::ResponseTimeout));
    outcome.map_err(|failure| match (endpoint.connector.take_trouble(), failure) {
        (Some(trouble), _) => trouble,
        (None, Failure::ResponseTimeout) => format!("it did not answer a check within {limit:?}"),
        (None, Failure::BadResponse) => "it does not speak HTTP".to_owned(),
        (None, Failure::HungUp) => "it closed the connection of a check".to_owned(),
        (None, _) => NO_CONNECTION.to_owned(),
    })
}

async fn ask_on(
    mut connection: Connection,
    endpoint: &Endpoint,
    method: &Method,
    path: &str,
) -> Result<StatusCode, Failure> {
    let authority = &endpoint.authority;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {authority}\r\nuser-agent: {AGENT}\r\naccept: */*\r\nconnection: close\r\n\r\n"
    );
    connection.stream.write_all(request.as_bytes()).await.map_err(|_| Failure::HungUp)?;
    loop {
        match ResponseHead::take(&mut connection.input) {
            Ok(Some(head)) if !head.is_interim() => return Ok(head.status),
            Ok(Some(_)) => continue,
            Ok(None) if connection.input.len() <= MAX_RESPONSE_HEAD_BYTES => {}
            Ok(None) | Err(_) => return Err(Failure::BadResponse),
        }
        if connection.stream.read_buf(&mut connection.input).await.unwrap_or(0) == 0 {
            return Err(Failure::HungUp);
        }
    }
}

async fn ask_on_stream(
    endpoint: &Rc<Endpoint>,
    method: Method,
    path: &str,
    limit: Duration,
    permit: Permit,
    deadlines: &Rc<Deadlines>,
) -> Result<StatusCode, Failure> {
    let is_head = method == Method::HEAD;
    let pool = &endpoint.http2;
    let mut stream = pool.take(Load::Nothing, None);
    if stream.is_none() {
        pool.open(&endpoint.connector, limit, permit).await?;
        stream = pool.take(Load::Nothing, None);
    }
    let stream = stream.ok_or(Failure::HungUp)?;
    let mut request = Request::new(RequestBody::Empty);
    *request.method_mut() = method;
    let scheme = if endpoint.instance.tls { "https" } else { "http" };
    let uri = format!("{scheme}://{}{path}", endpoint.authority);
    *request.uri_mut() = Uri::try_from(uri).map_err(|_| Failure::Internal)?;
    request.headers_mut().insert(USER_AGENT, http::HeaderValue::from_static(AGENT));
    let waiting = Waiting::new(deadlines, tokio::time::Instant::now(), limit);
    let (head, _, _) = Http2Exchange::begin(stream, request, is_head, waiting).await?;
    Ok(head.status)
}

/// The failure of a health check by its status.
fn unexpected(check: &HealthCheck, status: StatusCode) -> String {
    let (from, to) = (check.status.start(), check.status.end());
    let wanted = if from == to { from.to_string() } else { format!("{from}-{to}") };
    format!("{} responds with {}, not {wanted}", check.path, status.as_u16())
}
