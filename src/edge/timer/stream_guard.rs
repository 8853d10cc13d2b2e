//! Ends streams that must not go on: those that were idle for too long, took too long in total, or whose token has
//! expired or was revoked. One coarse timer per core checks all of them, so that a stream costs no timer of its own; a
//! body that never causes a wait is not even registered.

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use thiserror::Error;

use crate::domain::gateway::models::{token::Revocations, values::identity::Identity};

/// The interval of ticks.
pub(crate) const PERIOD: Duration = Duration::from_millis(250);

/// The interval of looks for new revocations. With the time in which replicas learn of one, that makes a tenth of a
/// second.
pub(crate) const LOOK: Duration = Duration::from_millis(50);

/// The reason why a stream was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum EndReason {
    /// It was idle for too long.
    #[error("the stream was idle for too long")]
    Idle,
    /// It has taken too long in total.
    #[error("the stream lasted too long")]
    TooLong,
    /// Its token has expired or was revoked.
    #[error("the token of the stream is no longer valid")]
    TokenEnded,
}

/// Activity beside a stream that keeps it alive.
pub(crate) trait Progress {
    /// The time of the last activity.
    fn moved_at(&self) -> Instant;
}

/// The limits of a stream.
#[derive(Debug, Clone)]
pub(crate) struct StreamLimits {
    /// The longest time without activity.
    pub(crate) idle: Duration,
    /// The end of the total time.
    pub(crate) deadline: Option<Instant>,
    /// The credential that must stay valid.
    pub(crate) token: Option<Arc<Identity>>,
}

/// A stream that is checked until it is dropped.
pub(crate) struct Stream {
    limits: StreamLimits,
    /// The body of the request to which the stream is the response: activity of the body keeps the stream alive.
    upload: Option<Rc<dyn Progress>>,
    waiting_since: Cell<Option<Instant>>,
    end_reason: Cell<Option<EndReason>>,
    waker: RefCell<Option<Waker>>,
}

impl Stream {
    /// There was activity: the wait for the next starts now.
    pub(crate) fn restart_idle_timer(&self) {
        self.waiting_since.set(Some(Instant::now()));
    }

    /// There is nothing to wait for now.
    pub(crate) fn pause_idle_timer(&self) {
        self.waiting_since.set(None);
    }

    /// Starts a wait, if none is in progress.
    pub(crate) fn start_idle_timer(&self) {
        if self.waiting_since.get().is_none() {
            self.restart_idle_timer();
        }
    }

    /// The reason to end the stream, if there is one. Wakes the given waker when that changes.
    pub(crate) fn end_reason(&self, waker: &Waker) -> Option<EndReason> {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
        self.end_reason.get()
    }

    fn reason_to_end(&self, now: Instant, time: DateTime<Utc>, revocations: &Revocations) -> Option<EndReason> {
        let StreamLimits { idle, deadline, token } = &self.limits;
        let has_ended = |token: &Arc<Identity>| !token.is_live(time) || revocations.contains_any(&token.revocable());
        if token.as_ref().is_some_and(has_ended) {
            Some(EndReason::TokenEnded)
        } else if deadline.is_some_and(|deadline| now >= deadline) {
            Some(EndReason::TooLong)
        } else {
            let idles = |since: Instant| {
                let moved = self.upload.as_ref().map_or(since, |upload| upload.moved_at().max(since));
                now.saturating_duration_since(moved) >= *idle
            };
            self.waiting_since.get().is_some_and(idles).then_some(EndReason::Idle)
        }
    }
}

/// All streams of one core.
#[derive(Default)]
pub(crate) struct StreamRegistry(RefCell<Vec<Weak<Stream>>>);

impl StreamRegistry {
    /// Registers a stream, which is checked from now on.
    pub(crate) fn watch(&self, limits: StreamLimits, upload: Option<Rc<dyn Progress>>) -> Rc<Stream> {
        let stream = Rc::new(Stream {
            limits,
            upload,
            waiting_since: Cell::new(None),
            end_reason: Cell::new(None),
            waker: RefCell::new(None),
        });
        self.0.borrow_mut().push(Rc::downgrade(&stream));
        stream
    }

    /// Ends the streams that must not go on, and drops those that have ended.
    pub(crate) fn tick(&self, now: Instant, time: DateTime<Utc>, revocations: &Revocations) {
        let mut wakers = Vec::new();
        self.0.borrow_mut().retain(|stream| {
            let Some(stream) = stream.upgrade() else { return false };
            let end_reason = stream.reason_to_end(now, time, revocations);
            stream.end_reason.set(end_reason);
            if end_reason.is_some() {
                wakers.extend(stream.waker.borrow_mut().take());
            }
            end_reason.is_none()
        });
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// The guard of a body, in either direction: registered once the body causes a wait, or at once if its limits require
/// it.
pub(crate) struct Guard {
    streams: Rc<StreamRegistry>,
    limits: StreamLimits,
    upload: Option<Rc<dyn Progress>>,
    watched: Option<Rc<Stream>>,
}

impl Guard {
    /// `upload` is the body of the request that is being answered.
    pub(crate) fn new(streams: &Rc<StreamRegistry>, limits: StreamLimits, upload: Option<Rc<dyn Progress>>) -> Self {
        let always = limits.deadline.is_some() || limits.token.is_some();
        let watched = always.then(|| streams.watch(limits.clone(), upload.clone()));
        Self { streams: Rc::clone(streams), limits, upload, watched }
    }

    /// Sets how long it may be idle. There must have been no wait before.
    pub(crate) fn may_idle(&mut self, idle: Duration) {
        self.limits.idle = idle;
    }

    /// Starts a wait: the next part does not come, or is not taken. Wakes the waiting task when the stream must not go
    /// on.
    pub(crate) fn start_idle_timer(&mut self, waker: &Waker) {
        let watch = || self.streams.watch(self.limits.clone(), self.upload.clone());
        let stream = self.watched.get_or_insert_with(watch);
        stream.start_idle_timer();
        stream.end_reason(waker);
    }

    /// A part has come, or was taken.
    pub(crate) fn pause_idle_timer(&self) {
        if let Some(stream) = &self.watched {
            stream.pause_idle_timer();
        }
    }

    /// The reason to end the stream, if there is one.
    pub(crate) fn end_reason(&self) -> Option<EndReason> {
        self.watched.as_ref()?.end_reason.get()
    }

    /// Like [`Self::end_reason`], but wakes the given waker when that changes. Does not start a wait.
    pub(crate) fn poll_end_reason(&self, waker: &Waker) -> Option<EndReason> {
        self.watched.as_ref()?.end_reason(waker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::gateway::models::values::{id::FamilyId, scope::Scope},
        edge::tests::support::{revocation, token_id},
    };

    const IDLE: Duration = Duration::from_secs(10);

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn token(number: u8, expires_at: i64) -> Arc<Identity> {
        Arc::new(Identity {
            subject: "u1".into(),
            scope: Scope::default(),
            token_id: token_id(number),
            family: FamilyId::from_random([number; 16]),
            expires_at: at(expires_at),
            claims: serde_json::Map::default(),
        })
    }

    fn limits() -> StreamLimits {
        StreamLimits { idle: IDLE, deadline: None, token: None }
    }

    #[test]
    fn a_stream_ends_when_it_is_idle_and_not_while_nothing_is_awaited() {
        let (streams, now) = (StreamRegistry::default(), Instant::now());
        let stream = streams.watch(limits(), None);
        let end_reason = |after: u64| {
            streams.tick(now + Duration::from_secs(after), at(0), &Revocations::default());
            stream.end_reason(Waker::noop())
        };
        assert_eq!(end_reason(1_000), None);
        stream.start_idle_timer();
        assert_eq!(end_reason(9), None);
        stream.pause_idle_timer();
        assert_eq!(end_reason(1_000), None);
        stream.restart_idle_timer();
        assert_eq!(end_reason(11), Some(EndReason::Idle));
    }

    #[test]
    fn a_stream_ends_at_its_deadline_and_with_its_token() {
        let (streams, now) = (StreamRegistry::default(), Instant::now());
        let timed = streams.watch(StreamLimits { deadline: Some(now + IDLE), ..limits() }, None);
        let expiring = streams.watch(StreamLimits { token: Some(token(1, 50)), ..limits() }, None);
        let revoked = streams.watch(StreamLimits { token: Some(token(2, 100)), ..limits() }, None);
        let all = || [&timed, &expiring, &revoked].map(|stream| stream.end_reason(Waker::noop()));
        let mut revocations = Revocations::default();
        revocations.insert(revocation(3));
        streams.tick(now, at(49), &revocations);
        assert_eq!(all(), [None; 3]);
        revocations.insert(revocation(2));
        streams.tick(now + IDLE, at(50), &revocations);
        assert_eq!(all(), [Some(EndReason::TooLong), Some(EndReason::TokenEnded), Some(EndReason::TokenEnded)]);
    }

    #[test]
    fn ended_streams_are_dropped_and_a_body_that_never_waits_is_not_registered() {
        let streams = Rc::new(StreamRegistry::default());
        let mut guard = Guard::new(&streams, limits(), None);
        guard.pause_idle_timer();
        assert_eq!(streams.0.borrow().len(), 0);
        guard.start_idle_timer(Waker::noop());
        guard.start_idle_timer(Waker::noop());
        assert_eq!(streams.0.borrow().len(), 1);
        drop(guard);
        streams.tick(Instant::now(), at(0), &Revocations::default());
        assert_eq!(streams.0.borrow().len(), 0);
    }
}
