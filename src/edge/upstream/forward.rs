//! Forwards a request to an endpoint, and the response to the client. When an endpoint fails, a request that was not
//! sent, or is idempotent, is sent to another endpoint, within the retry budget.

use std::{cell::Cell, pin::pin, rc::Rc, sync::Arc, time::Duration};

use http::{
    HeaderName, StatusCode,
    header::{CONNECTION, CONTENT_TYPE, SET_COOKIE, UPGRADE, VIA},
};
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use super::{
    State,
    cluster::{
        Cluster,
        endpoint::{Endpoint, Lease},
    },
    connecting::{NO_CONNECTION, NotConnected, connect},
    exchange::{
        http1::{Http1Exchange, Unanswered},
        http2::Http2Exchange,
    },
    pool::{http1::Connection, http2::Load},
    request::UpstreamRequest,
    response_body::{Exchange, UpstreamBody},
    upgrade::{self, tunnel::Tunnel},
};
use crate::{
    domain::gateway::models::{service::Balancing, values::identity::Identity},
    edge::{
        body::request_body::RequestBody,
        error::{Failure, Retry},
        http::{
            header_list::HeaderList,
            message::{BodyLength, FramedResponse},
            sanitize::sanitise_response,
            via::of_response,
        },
        http1::response_head::ResponseHead,
        observe::access_log::Record,
        timer::{
            deadlines::{AwaitedSince, Waiting},
            stream_guard::{Guard, StreamLimits},
        },
    },
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// The most attempts for one request.
const MAX_ATTEMPTS: usize = 3;

/// The time limits of an exchange.
pub(crate) struct ExchangeLimits<'r> {
    /// Until an endpoint accepts the connection.
    pub(crate) connect: Duration,
    /// From the request's end to the response's head.
    pub(crate) first_byte: Duration,
    /// Without a byte, while the response's body or an upgraded connection is in progress.
    pub(crate) idle: Duration,
    /// Until the response has ended, unless it is a stream.
    pub(crate) deadline: Option<Instant>,
    /// The credential whose end also ends a stream.
    pub(crate) token: Option<&'r Arc<Identity>>,
}

impl ExchangeLimits<'_> {
    /// The limits of a response's body.
    fn of_body(&self, headers: &HeaderList) -> StreamLimits {
        if is_event_stream(headers) {
            return self.of_stream();
        }
        StreamLimits { idle: self.idle, deadline: self.deadline.map(Instant::into_std), token: None }
    }

    /// The limits of a stream without an end of its own.
    fn of_stream(&self) -> StreamLimits {
        StreamLimits { idle: self.idle, deadline: None, token: self.token.cloned() }
    }
}

/// The response body in the pipeline: a service's body, or the tunnel that the connection becomes.
pub(crate) trait FromUpstream: From<(UpstreamBody, Guard)> + From<Tunnel> {}

impl<B: From<(UpstreamBody, Guard)> + From<Tunnel>> FromUpstream for B {}

/// A response in the form in which it goes to the client, and the endpoint that it came from.
type Received<B> = (Box<FramedResponse<B>>, Rc<Endpoint>);

/// A request that got no response.
struct Lost {
    failure: Failure,
    /// The endpoint that it was lost at.
    endpoint: Rc<Endpoint>,
    /// The reason for a failed connect, if it is known.
    trouble: Option<String>,
    /// Whether any of it may have reached the endpoint.
    was_sent: bool,
    /// Whether the connection had been used before: it may have been closed just as the request was sent.
    was_used: bool,
}

/// Forwards the request to an endpoint of the service.
pub(crate) async fn forward<B: FromUpstream>(
    state: &State,
    cluster: &Cluster,
    outgoing: &UpstreamRequest<'_>,
    limits: &ExchangeLimits<'_>,
    record: &mut Record,
) -> Result<Box<FramedResponse<B>>, Failure> {
    let pending = cluster.pending_permit(&state.limits).ok_or(Failure::ServiceOverloaded)?;
    let reached = Cell::default();
    let answered = pin!(attempts(state, cluster, outgoing, limits, &reached, record));
    let response = match limits.deadline {
        None => answered.await,
        Some(deadline) => timeout_at(deadline, answered).await.unwrap_or_else(|_| {
            let failure = late(outgoing.body());
            if let Some(endpoint) = reached.take().filter(|_| failure == Failure::ResponseTimeout) {
                endpoint.is_too_late();
            }
            Err(failure)
        }),
    };
    drop(pending);
    response
}

/// The failure when the total time is over: it depends on which side was waited for.
fn late(request: &RequestBody) -> Failure {
    match request.service_awaited_since() {
        AwaitedSince::NotNow => Failure::BodyTimeout,
        AwaitedSince::Begin | AwaitedSince::Time(_) => Failure::ResponseTimeout,
    }
}

/// `reached` is the endpoint whose response is awaited.
async fn attempts<B: FromUpstream>(
    state: &State,
    cluster: &Cluster,
    outgoing: &UpstreamRequest<'_>,
    limits: &ExchangeLimits<'_>,
    reached: &Cell<Option<Rc<Endpoint>>>,
    record: &mut Record,
) -> Result<Box<FramedResponse<B>>, Failure> {
    cluster.retries.deposit();
    let mut now = Instant::now();
    record.forwarded(now.into_std());
    let key = outgoing.key(&cluster.state.service.policy.balancing);
    let mut endpoint = Rc::clone(cluster.pick(key, None, now.into_std()).ok_or(Failure::NoInstance)?);
    for attempt in 1.. {
        record.reaches(&endpoint.address);
        reached.set(Some(Rc::clone(&endpoint)));
        let lost = match exchange(state, cluster, endpoint, outgoing, now, limits, record).await {
            Ok((mut response, endpoint)) => {
                record.service_answered();
                if let Balancing::StickyCookie(cookie) = &cluster.state.service.policy.balancing
                    && key != Some(endpoint.name)
                {
                    response.headers.append(SET_COOKIE, outgoing.sticky_cookie(cookie, endpoint.name));
                }
                outgoing.outside_of(&endpoint).put_into(&mut response.headers);
                return Ok(response);
            }
            Err(lost) => lost,
        };
        reached.take();
        record.is_lost(lost.trouble);
        debug!(instance = &*lost.endpoint.address, failure = ?lost.failure, attempt, "an instance did not respond");
        let may_be_sent_again = match lost.failure.retry() {
            Retry::Never => false,
            Retry::Any => true,
            Retry::Idempotent => !lost.was_sent || outgoing.is_idempotent(),
        };
        now = Instant::now();
        // That a connection was closed while it was idle says nothing about its endpoint.
        let other = || cluster.pick(key, Some(&lost.endpoint), now.into_std());
        let elsewhere = || other().or_else(|| lost.was_used.then_some(&lost.endpoint));
        let again = may_be_sent_again && attempt < MAX_ATTEMPTS && !outgoing.body().is_begun();
        match again.then(elsewhere).flatten() {
            Some(next) if cluster.retries.withdraw() => endpoint = Rc::clone(next),
            Some(_) | None => return Err(lost.failure),
        }
    }
    // The loop always returns: it has no other end.
    Err(Failure::Internal)
}

/// Sends the request to one endpoint, on an open connection or on a new one.
async fn exchange<B: FromUpstream>(
    state: &State,
    cluster: &Cluster,
    endpoint: Rc<Endpoint>,
    outgoing: &UpstreamRequest<'_>,
    now: Instant,
    limits: &ExchangeLimits<'_>,
    record: &mut Record,
) -> Result<Received<B>, Lost> {
    let mut lease = Lease::of(&endpoint);
    if endpoint.speaks_http2() {
        return Box::pin(exchange_on_stream(state, cluster, lease, outgoing, limits)).await;
    }
    while let Some(connection) = endpoint.http1.take(now.into_std(), state.settings.idle_timeout) {
        match send(state, lease, connection, outgoing, now, limits).await {
            // Closed while it was idle, before anything was written: try again as if it had not existed.
            Err(Lost { failure: Failure::HungUp, was_sent: false, .. }) if !outgoing.body().is_begun() => {
                lease = Lease::of(&endpoint);
            }
            Err(lost) => return Err(Lost { was_used: true, ..lost }),
            Ok(response) => return Ok(response),
        }
    }
    match Box::pin(connect(state, cluster, lease, limits.connect)).await {
        Ok((lease, connection)) => {
            record.reaches(&lease.endpoint().address);
            let outcome = send(state, lease, connection, outgoing, Instant::now(), limits).await;
            // On a new connection there is no other explanation.
            outcome.inspect_err(|lost| {
                if lost.failure == Failure::HungUp {
                    lost.endpoint.has_failed("it closed the connection without a response");
                }
            })
        }
        Err(NotConnected { failure, endpoint, trouble }) => {
            Err(Lost { failure, endpoint, trouble, was_sent: false, was_used: false })
        }
    }
}

/// Like `exchange`, over HTTP/2.
async fn exchange_on_stream<B: FromUpstream>(
    state: &State,
    cluster: &Cluster,
    lease: Lease,
    outgoing: &UpstreamRequest<'_>,
    limits: &ExchangeLimits<'_>,
) -> Result<Received<B>, Lost> {
    let endpoint = Rc::clone(lease.endpoint());
    // The loss of a shared connection says little about its endpoint: the next attempt opens another.
    let lost = |failure| Lost {
        failure,
        endpoint: Rc::clone(&endpoint),
        trouble: endpoint.connector.take_trouble(),
        was_sent: true,
        was_used: true,
    };
    let request = outgoing.request_for(&endpoint).map_err(lost)?;
    let load = Load::of(&request);
    let stream = loop {
        if let Some(stream) = endpoint.http2.take(load, endpoint.connection_age()) {
            break stream;
        }
        let permit = state.connection_permit().ok_or_else(|| lost(Failure::ConnectionsExhausted))?;
        if let Err(failure) = endpoint.http2.open(&endpoint.connector, limits.connect, permit).await {
            let trouble = endpoint.connector.take_trouble();
            // A connection that was closed right after it was opened may mean that the endpoint is restarting.
            let was_used = failure == Failure::HungUp;
            endpoint.is_unreachable(trouble.as_deref().unwrap_or(NO_CONNECTION));
            state.is_unreachable(&cluster.state.service.name);
            return Err(Lost { failure, endpoint, trouble, was_sent: false, was_used });
        }
    };
    let waiting = Waiting::new(&state.deadlines, Instant::now(), limits.first_byte);
    let begun = Http2Exchange::begin(stream, request, outgoing.is_head(), waiting).await;
    let (head, length, exchange) = begun.map_err(|failure| {
        note_failure(&endpoint, &failure);
        lost(failure)
    })?;
    Ok(received(state, head, length, Exchange::Http2(exchange), lease, outgoing, limits))
}

async fn send<B: FromUpstream>(
    state: &State,
    lease: Lease,
    connection: Connection,
    outgoing: &UpstreamRequest<'_>,
    now: Instant,
    limits: &ExchangeLimits<'_>,
) -> Result<Received<B>, Lost> {
    let endpoint = lease.endpoint();
    let begun =
        Http1Exchange::begin(connection, endpoint, outgoing, Waiting::new(&state.deadlines, now, limits.first_byte))
            .await;
    let lost =
        |failure, was_sent| Lost { failure, endpoint: Rc::clone(endpoint), trouble: None, was_sent, was_used: false };
    let (head, length, exchange) = begun.map_err(|Unanswered { failure, was_sent }| {
        note_failure(endpoint, &failure);
        lost(failure, was_sent)
    })?;
    endpoint.http1.hear(head.headers.text(&KEEP_ALIVE));
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        let endpoint = Rc::clone(endpoint);
        let switched = switched(state, head, outgoing, exchange, lease, limits);
        return switched.map_err(|failure| Lost { failure, endpoint, trouble: None, was_sent: true, was_used: false });
    }
    Ok(received(state, head, length, Exchange::Http1(exchange), lease, outgoing, limits))
}

/// Counts a failure that is the endpoint's. A lost connection may have been idle for too long.
fn note_failure(endpoint: &Endpoint, failure: &Failure) {
    match failure {
        Failure::ResponseTimeout => endpoint.is_too_late(),
        Failure::BadResponse => endpoint.has_failed("its response is not HTTP"),
        _ => {}
    }
}

/// The response in the form in which it goes to the client.
fn received<B: FromUpstream>(
    state: &State,
    head: ResponseHead,
    length: BodyLength,
    exchange: Exchange,
    mut lease: Lease,
    outgoing: &UpstreamRequest<'_>,
    limits: &ExchangeLimits<'_>,
) -> Received<B> {
    let request = outgoing.body();
    if let Some(upload) = request.upload() {
        // From now on, the guard of the response limits the time of both.
        upload.response_begun();
    }
    let guard = Guard::new(&state.streams, limits.of_body(&head.headers), request.progress());
    lease.answered(head.status);
    let endpoint = Rc::clone(lease.endpoint());
    let body = UpstreamBody::new(exchange, lease);
    // Boxed, as it is moved many times until it is written.
    (Box::new(passed_on(head, length, B::from((body, guard)))), endpoint)
}

/// The 101 in the form in which it goes to the client, with the tunnel after it.
fn switched<B: FromUpstream>(
    state: &State,
    head: ResponseHead,
    outgoing: &UpstreamRequest<'_>,
    exchange: Box<Http1Exchange>,
    mut lease: Lease,
    limits: &ExchangeLimits<'_>,
) -> Result<Received<B>, Failure> {
    let chosen = head.headers.share(&UPGRADE).filter(|_| head.headers.all(UPGRADE).nth(1).is_none());
    let mut response = passed_on(head, BodyLength::None, ());
    upgrade::agreed(outgoing.upgrade(), chosen, &mut response.headers)?;
    let service = exchange.switched().ok_or(Failure::Internal)?;
    lease.answered(StatusCode::SWITCHING_PROTOCOLS);
    let endpoint = Rc::clone(lease.endpoint());
    let tunnel = Tunnel::new(service, lease, state.streams.watch(limits.of_stream(), None));
    Ok((Box::new(response.map(|()| B::from(tunnel))), endpoint))
}

/// Removes the headers of a response that do not concern the client.
fn passed_on<B>(head: ResponseHead, length: BodyLength, body: B) -> FramedResponse<B> {
    let ResponseHead { status, version, mut headers, .. } = head;
    sanitise_response(&mut headers);
    debug_assert!(!headers.contains(&CONNECTION), "it speaks of another connection");
    headers.append(VIA, of_response(version));
    FramedResponse { status, headers, length, body }
}

/// Whether a response is a stream of server-sent events.
pub(crate) fn is_event_stream(headers: &HeaderList) -> bool {
    let kind = headers.get(&CONTENT_TYPE).unwrap_or_default();
    kind.split(|&byte| byte == b';')
        .next()
        .is_some_and(|kind| kind.trim_ascii().eq_ignore_ascii_case(b"text/event-stream"))
}
