//! Forwards a request to an endpoint, and the response to the client. When an endpoint fails, a request that was not
//! sent, or is idempotent, is sent to another endpoint, within the retry budget.

use std::{pin::pin, rc::Rc, sync::Arc, time::Duration};

use http::{
    HeaderName, StatusCode,
    header::{CONNECTION, CONTENT_TYPE, UPGRADE, VIA},
};
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use super::{
    State,
    cluster::Cluster,
    endpoint::Endpoint,
    exchange::{
        http1::{Http1Exchange, Unanswered},
        http2::Http2Exchange,
    },
    gateway_headers::via,
    pool::{
        http1::{self, Connection},
        http2::Load,
    },
    request::UpstreamRequest,
    response_body::UpstreamBody,
    upgrade::{self, tunnel::Tunnel},
};
use crate::{
    domain::gateway::models::values::identity::Identity,
    edge::{
        body::request_body::RequestBody,
        error::{Failure, Retry},
        http::{
            header_list::HeaderList,
            message::{BodyLength, FramedResponse},
            sanitize::sanitise_response,
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

/// A request that got no response.
struct Lost {
    failure: Failure,
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
    let answered = pin!(attempts(state, cluster, outgoing, limits, record));
    match limits.deadline {
        None => answered.await,
        Some(deadline) => timeout_at(deadline, answered).await.unwrap_or_else(|_| Err(late(outgoing.body()))),
    }
}

/// The failure when the total time is over: it depends on which side was waited for.
fn late(request: &RequestBody) -> Failure {
    match request.service_awaited_since() {
        AwaitedSince::NotNow => Failure::BodyTimeout,
        AwaitedSince::Begin | AwaitedSince::Time(_) => Failure::ResponseTimeout,
    }
}

async fn attempts<B: FromUpstream>(
    state: &State,
    cluster: &Cluster,
    outgoing: &UpstreamRequest<'_>,
    limits: &ExchangeLimits<'_>,
    record: &mut Record,
) -> Result<Box<FramedResponse<B>>, Failure> {
    state.retries.deposit();
    let mut now = Instant::now();
    record.forwarded(now.into_std());
    let mut endpoint = cluster.next(now.into_std()).ok_or(Failure::NoInstance)?;
    for attempt in 1.. {
        record.reaches(&endpoint.authority);
        let lost = match exchange(state, endpoint, outgoing, now, limits).await {
            Ok(mut response) => {
                record.service_answered();
                outgoing.outside_of(endpoint).put_into(&mut response.headers);
                return Ok(response);
            }
            Err(lost) => lost,
        };
        record.is_lost(endpoint.connector.take_trouble());
        debug!(instance = &*endpoint.authority, failure = ?lost.failure, attempt, "an instance did not respond");
        let may_be_sent_again = match lost.failure.retry() {
            Retry::Never => false,
            Retry::Any => true,
            Retry::Idempotent => !lost.was_sent || outgoing.is_idempotent(),
        };
        // That a connection was closed while it was idle says nothing about its endpoint.
        let elsewhere = || cluster.other_than(endpoint).or_else(|| lost.was_used.then_some(endpoint));
        let again = may_be_sent_again && attempt < MAX_ATTEMPTS && !outgoing.body().is_begun();
        match elsewhere().filter(|_| again) {
            Some(next) if state.retries.withdraw() => (endpoint, now) = (next, Instant::now()),
            Some(_) | None => return Err(lost.failure),
        }
    }
    // The loop always returns: it has no other end.
    Err(Failure::Internal)
}

/// Sends the request to one endpoint, on an open connection or on a new one.
async fn exchange<B: FromUpstream>(
    state: &State,
    endpoint: &Rc<Endpoint>,
    outgoing: &UpstreamRequest<'_>,
    now: Instant,
    limits: &ExchangeLimits<'_>,
) -> Result<Box<FramedResponse<B>>, Lost> {
    if endpoint.speaks_http2() {
        return Box::pin(exchange_on_stream(state, endpoint, outgoing, limits)).await;
    }
    while let Some(connection) = endpoint.http1.take(now.into_std(), state.settings.idle_timeout) {
        match send(state, endpoint, connection, outgoing, now, limits).await {
            // Closed while it was idle, before anything was written: try again as if it had not existed.
            Err(Lost { failure: Failure::HungUp, was_sent: false, .. }) if !outgoing.body().is_begun() => {}
            Err(lost) => return Err(Lost { was_used: true, ..lost }),
            Ok(response) => return Ok(response),
        }
    }
    let lost = |failure| Lost { failure, was_sent: false, was_used: false };
    let permit = state.connection_permit().ok_or_else(|| lost(Failure::ConnectionsExhausted))?;
    match Box::pin(http1::connect(&endpoint.connector, limits.connect, permit)).await {
        Ok(connection) => {
            endpoint.uneject();
            send(state, endpoint, connection, outgoing, Instant::now(), limits).await
        }
        Err(failure) => {
            endpoint.eject(std::time::Instant::now());
            Err(lost(failure))
        }
    }
}

/// Like `exchange`, over HTTP/2.
async fn exchange_on_stream<B: FromUpstream>(
    state: &State,
    endpoint: &Rc<Endpoint>,
    outgoing: &UpstreamRequest<'_>,
    limits: &ExchangeLimits<'_>,
) -> Result<Box<FramedResponse<B>>, Lost> {
    // The loss of a shared connection says little about its endpoint: the next attempt opens another.
    let lost = |failure| Lost { failure, was_sent: true, was_used: true };
    let request = outgoing.request_for(endpoint).map_err(lost)?;
    let load = Load::of(&request);
    let stream = loop {
        if let Some(stream) = endpoint.http2.take(load) {
            break stream;
        }
        let permit = state.connection_permit().ok_or_else(|| lost(Failure::ConnectionsExhausted))?;
        match endpoint.http2.open(&endpoint.connector, limits.connect, permit).await {
            Ok(()) => endpoint.uneject(),
            Err(failure) => {
                endpoint.eject(std::time::Instant::now());
                // A connection that was closed right after it was opened may mean that the endpoint is restarting.
                let was_used = failure == Failure::HungUp;
                return Err(Lost { failure, was_sent: false, was_used });
            }
        }
    };
    let waiting = Waiting::new(&state.deadlines, Instant::now(), limits.first_byte);
    let begun = Http2Exchange::begin(stream, request, outgoing.is_head(), waiting).await;
    let (head, length, exchange) = begun.map_err(lost)?;
    Ok(received(state, head, length, UpstreamBody::Http2(exchange), outgoing.body(), limits))
}

async fn send<B: FromUpstream>(
    state: &State,
    endpoint: &Rc<Endpoint>,
    connection: Connection,
    outgoing: &UpstreamRequest<'_>,
    now: Instant,
    limits: &ExchangeLimits<'_>,
) -> Result<Box<FramedResponse<B>>, Lost> {
    let begun =
        Http1Exchange::begin(connection, endpoint, outgoing, Waiting::new(&state.deadlines, now, limits.first_byte))
            .await;
    let (head, length, exchange) =
        begun.map_err(|Unanswered { failure, was_sent }| Lost { failure, was_sent, was_used: false })?;
    endpoint.http1.hear(head.headers.text(&KEEP_ALIVE));
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        let lost = |failure| Lost { failure, was_sent: true, was_used: false };
        return switched(state, head, outgoing.upgrade(), exchange, limits).map_err(lost);
    }
    Ok(received(state, head, length, UpstreamBody::Http1(exchange), outgoing.body(), limits))
}

/// The response in the form in which it goes to the client.
#[expect(clippy::unnecessary_box_returns, reason = "a response is moved many times until it is written")]
fn received<B: FromUpstream>(
    state: &State,
    head: ResponseHead,
    length: BodyLength,
    body: UpstreamBody,
    request: &RequestBody,
    limits: &ExchangeLimits<'_>,
) -> Box<FramedResponse<B>> {
    if let Some(upload) = request.upload() {
        // From now on, the guard of the response limits the time of both.
        upload.response_begun();
    }
    let guard = Guard::new(&state.streams, limits.of_body(&head.headers), request.progress());
    // Boxed, as it is moved many times until it is written.
    Box::new(passed_on(head, length, B::from((body, guard))))
}

/// The 101 in the form in which it goes to the client, with the tunnel after it.
fn switched<B: FromUpstream>(
    state: &State,
    head: ResponseHead,
    asked: Option<&[u8]>,
    exchange: Box<Http1Exchange>,
    limits: &ExchangeLimits<'_>,
) -> Result<Box<FramedResponse<B>>, Failure> {
    let chosen = head.headers.share(&UPGRADE).filter(|_| head.headers.all(UPGRADE).nth(1).is_none());
    let mut response = passed_on(head, BodyLength::None, ());
    upgrade::agreed(asked, chosen, &mut response.headers)?;
    let service = exchange.switched().ok_or(Failure::Internal)?;
    let tunnel = Tunnel::new(service, state.streams.watch(limits.of_stream(), None));
    Ok(Box::new(response.map(|()| B::from(tunnel))))
}

/// Removes the headers of a response that do not concern the client.
fn passed_on<B>(head: ResponseHead, length: BodyLength, body: B) -> FramedResponse<B> {
    let ResponseHead { status, version, mut headers, .. } = head;
    sanitise_response(&mut headers);
    debug_assert!(!headers.contains(&CONNECTION), "it speaks of another connection");
    headers.append(VIA, via(version));
    FramedResponse { status, headers, length, body }
}

/// Whether a response is a stream of server-sent events.
pub(crate) fn is_event_stream(headers: &HeaderList) -> bool {
    let kind = headers.get(&CONTENT_TYPE).unwrap_or_default();
    kind.split(|&byte| byte == b';')
        .next()
        .is_some_and(|kind| kind.trim_ascii().eq_ignore_ascii_case(b"text/event-stream"))
}
