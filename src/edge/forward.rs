//! Sends a request to an instance and its answer back. What was not sent, or can be sent twice without harm, is sent to
//! another instance when one fails, within a budget.

use std::{error::Error, future::Future, pin::pin, rc::Rc, sync::Arc, task::Poll, time::Duration};

use h2::Reason;
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, UPGRADE, VIA},
    response::Parts,
};
use hyper::body::Incoming;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::debug;

use super::{
    access_log::Record,
    body::{AnswerBody, RequestBody, Upload},
    error::{Failure, Retry},
    headers::sanitise_answer,
    multiplex::Multiplex,
    outgoing::{Outgoing, via},
    pool::{self, Lease, Sender},
    stream::{Guard, Terms},
    tunnel::Tunnel,
    upgrade,
    view::{Target, Upstream},
    worker::Core,
};
use crate::domain::gateway::models::identity::Identity;

/// How often one request is sent at most.
const MOST_ATTEMPTS: usize = 3;

/// How long an exchange may take.
pub(super) struct Limits {
    /// Until an instance takes the connection.
    pub(super) connect: Duration,
    /// From the request's end to the answer's head.
    pub(super) first_byte: Duration,
    /// Without a byte, while the answer's body or an upgraded connection is under way.
    pub(super) idle: Duration,
    /// Until the answer has ended, unless it is a stream.
    pub(super) deadline: Option<Instant>,
    /// The credential that a stream ends with.
    pub(super) token: Option<Arc<Identity>>,
}

impl Limits {
    /// Those of a body.
    fn of_body(&self, headers: &HeaderMap) -> Terms {
        if is_event_stream(headers) {
            return self.of_stream();
        }
        Terms { idle: self.idle, deadline: self.deadline.map(Instant::into_std), token: None }
    }

    /// Those of what has no end of its own.
    fn of_stream(&self) -> Terms {
        Terms { idle: self.idle, deadline: None, token: self.token.clone() }
    }
}

/// A request that got no answer.
struct Lost {
    failure: Failure,
    /// The request, if none of it was sent.
    unsent: Option<Request<RequestBody>>,
    /// Whether the connection had been used before: it may have been closed just as the request went out.
    was_used: bool,
}

/// Sends the request to an instance of the service.
pub(super) async fn forward(
    core: &Core,
    upstream: &Upstream,
    outgoing: Outgoing,
    limits: &Limits,
    record: &mut Record,
) -> Result<Response<AnswerBody>, Failure> {
    let answered = attempts(core, upstream, outgoing, limits, record);
    match limits.deadline {
        None => answered.await,
        Some(deadline) => timeout_at(deadline, answered).await.unwrap_or(Err(Failure::AnswerTimeout)),
    }
}

async fn attempts(
    core: &Core,
    upstream: &Upstream,
    mut outgoing: Outgoing,
    limits: &Limits,
    record: &mut Record,
) -> Result<Response<AnswerBody>, Failure> {
    core.retries.deposit();
    let mut target = upstream.next(std::time::Instant::now()).ok_or(Failure::NoInstance)?;
    for attempt in 1.. {
        record.reaches(target);
        // With HTTP/2 even one that is not may turn out not to have been acted on.
        let copy = (outgoing.is_idempotent() || target.speaks_http2()).then(|| outgoing.copy());
        let lost = match exchange(core, target, outgoing, limits).await {
            Ok(answer) => return Ok(answer),
            Err(lost) => lost,
        };
        debug!(instance = target.authority, failure = ?lost.failure, attempt, "an instance did not answer");
        let unsent = lost.unsent.map(|request| Outgoing::taken_back(request, target));
        let again = match lost.failure.retry() {
            Retry::Never => None,
            Retry::Any => unsent.or(copy),
            Retry::Idempotent => copy.filter(Outgoing::is_idempotent),
        };
        let again = again.filter(|again| attempt < MOST_ATTEMPTS && !again.body().is_begun());
        // A connection that was closed while it lay idle says nothing about its instance.
        let elsewhere = || upstream.other_than(target).or_else(|| lost.was_used.then_some(target));
        match again.and_then(|again| Some((again, elsewhere()?))) {
            Some(next) if core.retries.withdraw() => (outgoing, target) = next,
            Some(_) | None => return Err(lost.failure),
        }
    }
    // The loop returns: it has no end of its own.
    Err(Failure::Internal)
}

/// Sends the request to one instance, on a connection that is open already or on a new one.
async fn exchange(
    core: &Core,
    target: &Rc<Target>,
    outgoing: Outgoing,
    limits: &Limits,
) -> Result<Response<AnswerBody>, Lost> {
    let lost = |failure| Lost { failure, unsent: None, was_used: false };
    let mut request = outgoing.addressed_to(target).map_err(lost)?;
    if target.speaks_http2() {
        return exchange_on_stream(core, target, request, limits).await;
    }
    while let Some(sender) = target.pool.take(std::time::Instant::now(), core.upstream.idle_timeout) {
        match send(core, target, sender, request, limits).await {
            // Closed while it lay idle, before anything was written: as if it had not been there.
            Err(Lost { unsent: Some(unsent), .. }) => request = unsent,
            Err(lost) => return Err(Lost { was_used: true, ..lost }),
            Ok(answer) => return Ok(answer),
        }
    }
    match pool::connect(target, limits.connect).await {
        Ok(sender) => {
            target.has_rested();
            send(core, target, sender, request, limits).await
        }
        Err(failure) => {
            target.let_rest(std::time::Instant::now());
            Err(Lost { failure, unsent: Some(request), was_used: false })
        }
    }
}

/// The same over HTTP/2.
async fn exchange_on_stream(
    core: &Core,
    target: &Rc<Target>,
    request: Request<RequestBody>,
    limits: &Limits,
) -> Result<Response<AnswerBody>, Lost> {
    // What is lost with a shared connection says little about its instance: the next attempt opens another.
    let lost = |failure, unsent| Lost { failure, unsent, was_used: true };
    let stream = loop {
        if let Some(stream) = target.multiplex.take() {
            break stream;
        }
        match Multiplex::open(target, limits.connect).await {
            Ok(()) => target.has_rested(),
            Err(failure) => {
                target.let_rest(std::time::Instant::now());
                return Err(Lost { was_used: false, ..lost(failure, Some(request)) });
            }
        }
    };
    let upload = request.body().upload();
    let sent = stream.try_send_request(request);
    match in_time(sent, upload.as_deref(), limits.first_byte).await {
        None => {
            stream.doubt();
            Err(lost(Failure::AnswerTimeout, None))
        }
        // There is nothing to switch to from a stream (RFC 9113 §8.6).
        Some(Ok(answer)) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => Err(lost(Failure::BadAnswer, None)),
        Some(Ok(answer)) => {
            received(core, answer, Lease::Stream(stream), limits).map_err(|failure| lost(failure, None))
        }
        Some(Err(mut error)) => {
            let unsent = error.take_message();
            let failure = upload.and_then(|upload| upload.failure()).unwrap_or_else(|| failure_of(error.error()));
            // What hyper gives back was never begun, because the connection had ended.
            let failure = if unsent.is_some() { Failure::Refused } else { failure };
            Err(lost(failure, unsent))
        }
    }
}

async fn send(
    core: &Core,
    target: &Rc<Target>,
    mut sender: Sender,
    request: Request<RequestBody>,
    limits: &Limits,
) -> Result<Response<AnswerBody>, Lost> {
    let asked = request.headers().get(UPGRADE).cloned();
    let upload = request.body().upload();
    let sent = sender.try_send_request(request);
    let lost = |failure| Lost { failure, unsent: None, was_used: false };
    match in_time(sent, upload.as_deref(), limits.first_byte).await {
        None => Err(lost(Failure::AnswerTimeout)),
        Some(Ok(answer)) => {
            sender.answered();
            if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                return switched(core, answer, asked.as_ref(), sender, limits).await.map_err(lost);
            }
            received(core, answer, Lease::Connection(sender, Rc::clone(target)), limits).map_err(lost)
        }
        Some(Err(mut error)) => {
            let unsent = error.take_message();
            // The client's own failure comes back as one of sending; it knows better.
            let failure = upload.and_then(|upload| upload.failure()).unwrap_or_else(|| failure_of(error.error()));
            Err(Lost { unsent, ..lost(failure) })
        }
    }
}

fn failure_of(error: &hyper::Error) -> Failure {
    if let Some(http2) = error.source().and_then(|source| source.downcast_ref::<h2::Error>()) {
        return match http2.reason() {
            // RFC 9113 §8.7: neither was acted on.
            Some(Reason::REFUSED_STREAM) if http2.is_remote() => Failure::Refused,
            Some(Reason::NO_ERROR) if http2.is_remote() && http2.is_go_away() => Failure::Refused,
            Some(_) if http2.is_library() => Failure::BadAnswer,
            Some(_) | None => Failure::HungUp,
        };
    }
    if error.is_parse() || error.is_parse_too_large() { Failure::BadAnswer } else { Failure::HungUp }
}

/// The answer as it goes to the client.
fn received(
    core: &Core,
    answer: Response<Incoming>,
    lease: Lease,
    limits: &Limits,
) -> Result<Response<AnswerBody>, Failure> {
    let (mut parts, body) = answer.into_parts();
    let mut codings = parts.headers.get_all(TRANSFER_ENCODING).iter().peekable();
    if codings.peek().is_some() {
        // hyper has undone `chunked` and nothing else (RFC 9112 §6.1): what is left would be passed on without its name.
        if !codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
            return Err(Failure::BadAnswer);
        }
        // The chunks say how long it is; a length beside them is not to be believed (RFC 9112 §6.3).
        parts.headers.remove(CONTENT_LENGTH);
    }
    let terms = limits.of_body(&parts.headers);
    let body = AnswerBody::upstream(body, lease, Guard::new(&core.streams, terms));
    Ok(Response::from_parts(passed_on(parts), body))
}

/// The 101 as it goes to the client, and what stands behind it.
async fn switched(
    core: &Core,
    answer: Response<Incoming>,
    asked: Option<&HeaderValue>,
    sender: Sender,
    limits: &Limits,
) -> Result<Response<AnswerBody>, Failure> {
    let mut chosen = answer.headers().get_all(UPGRADE).iter();
    let chosen = chosen.next().filter(|_| chosen.next().is_none()).cloned();
    let (parts, _no_body) = answer.into_parts();
    let mut answer = Response::from_parts(passed_on(parts), ());
    upgrade::agreed(asked, chosen, &mut answer)?;
    let switched = timeout(limits.first_byte, sender.switched()).await;
    let (service, first) = switched.map_err(|_| Failure::AnswerTimeout)?.ok_or(Failure::HungUp)?;
    let tunnel = Tunnel::new(service, first, core.streams.watch(limits.of_stream()));
    Ok(answer.map(|()| AnswerBody::switched(tunnel)))
}

/// An answer's head without what does not concern the client.
fn passed_on(mut parts: Parts) -> Parts {
    sanitise_answer(&mut parts.headers);
    debug_assert!(!parts.headers.contains_key(CONNECTION), "it speaks of another connection");
    parts.headers.append(VIA, via(parts.version));
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    parts
}

/// Whether an answer is a stream of server-sent events.
fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"))
}

/// What `sent` comes to, or `None` if the service keeps us waiting for longer than `limit`: for the answer's head, or for
/// taking more of the body. While it is the client that is waited for, the time does not count.
async fn in_time<T>(sent: impl Future<Output = T>, upload: Option<&Upload>, limit: Duration) -> Option<T> {
    let mut sent = pin!(sent);
    let mut timer = pin!(sleep(limit));
    let began = Instant::now();
    std::future::poll_fn(|context| {
        if let Poll::Ready(outcome) = sent.as_mut().poll(context) {
            return Poll::Ready(Some(outcome));
        }
        while timer.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            let since = upload.map_or(began, |upload| upload.service_awaited_since().map_or(now, Instant::from_std));
            if now >= since + limit {
                return Poll::Ready(None);
            }
            timer.as_mut().reset(since + limit);
        }
        Poll::Pending
    })
    .await
}
