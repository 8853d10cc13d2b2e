//! Closes connections whose client takes too long: to send a head, to send its next request, to send an announced body,
//! or to read its response. One coarse timer per core checks all of its connections, so that a request costs no timer
//! of its own; the drain is signalled the same way.

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
    task::Waker,
    time::{Duration, Instant},
};

/// The instruction to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Continue.
    Serve,
    /// Continue, and announce the end of the connection with each response.
    Leave,
    /// Finish the requests in progress, then close.
    Drain,
    /// Close now.
    Close,
}

/// The next action expected of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    /// The rest of a head.
    Head(Instant),
    /// Another request.
    NextRequest(Instant),
    /// Nothing: the client waits for the gateway.
    Nothing,
    /// Closing the connection: the client was told that it ends.
    Close(Instant),
    /// Closing its side: the gateway has closed its own. Until then, the client's input is discarded.
    Lingering { since: Instant, heard: Instant },
}

/// How long a client may take to close a connection that the gateway wants to end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a client may go on sending after the last response and the close of our side, and how long it may pause
/// meanwhile: a client that sends a large body before it reads can still read why that was refused. Limits in seconds,
/// not bytes, as in nginx (`lingering_time`, `lingering_timeout`). Meanwhile the connection counts like any other.
pub(crate) const LINGER: Duration = Duration::from_secs(30);
pub(crate) const LINGER_SILENCE: Duration = Duration::from_secs(5);

/// How long to wait for a half-closed client if nothing has been sent to it since: it may have gone altogether, which
/// only sending would show. Compare `timeout client-fin` of other proxies; long enough for clients that close their
/// side and read on (`nc -N`, probes).
const HALF_CLOSED: Duration = Duration::from_secs(10);

/// After this time without a request, the next one is not expected soon.
const PAUSE: Duration = Duration::from_secs(1);

/// The state of one connection, shared by the tasks that serve it.
#[derive(Debug)]
pub(crate) struct ConnectionState {
    awaited: Cell<Awaited>,
    /// The number of requests in progress: with HTTP/2 there may be several.
    requests: Cell<usize>,
    body_awaited_since: Cell<Option<Instant>>,
    http2: Http2State,
    unread_since: Cell<Option<Instant>>,
    half: Cell<Half>,
    /// How long the body of this request or response may be idle, if the route sets a limit.
    idle_limit: Cell<Option<Duration>>,
    order: Cell<Order>,
    /// Whether no request has come for a while.
    rests: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// Whether the client has half-closed an HTTP/1 connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Half {
    /// No.
    Open,
    /// Yes, and nothing was sent to it since then.
    Closed(Instant),
    /// Yes, and something was sent: if the client had gone, it would have answered with a reset.
    Reads,
}

/// The state of an HTTP/2 connection. Its requests and responses have guards of their own (`stream_guard`).
#[derive(Debug, Default)]
struct Http2State {
    is_spoken: Cell<bool>,
    head_begun: Cell<Option<Instant>>,
}

impl ConnectionState {
    fn new(now: Instant) -> Self {
        Self {
            // A client that connects must send something: the time for its head counts from the start.
            awaited: Cell::new(Awaited::Head(now)),
            requests: Cell::new(0),
            body_awaited_since: Cell::new(None),
            http2: Http2State::default(),
            unread_since: Cell::new(None),
            half: Cell::new(Half::Open),
            idle_limit: Cell::new(None),
            order: Cell::new(Order::Serve),
            rests: Cell::new(false),
            waker: RefCell::new(None),
        }
    }

    /// The first bytes of a head have arrived, but not all of it.
    pub(crate) fn head_begun(&self) {
        if let Awaited::NextRequest(_) = self.awaited.get() {
            self.awaited.set(Awaited::Head(Instant::now()));
        }
    }

    /// A request has begun.
    pub(crate) fn request_begun(&self) {
        self.requests.set(self.requests.get() + 1);
        self.awaited.set(Awaited::Nothing);
        self.rests.set(false);
    }

    /// A request was answered.
    pub(crate) fn request_ended(&self, now: Instant) {
        self.requests.set(self.requests.get().saturating_sub(1));
        if self.requests.get() == 0 {
            self.idle_limit.set(None);
            self.body_awaited_since.set(None);
            let is_last = self.order.get() == Order::Drain;
            self.awaited.set(if is_last { Awaited::Close(now) } else { Awaited::NextRequest(now) });
        }
    }

    /// The client uses HTTP/2. It may open a connection before it has a request.
    pub(crate) fn speaks_http2(&self, in_head: bool) {
        self.http2.is_spoken.set(true);
        self.awaited.set(Awaited::NextRequest(Instant::now()));
        self.on_read(in_head);
    }

    /// An HTTP/2 client has sent bytes; `in_head` is whether they end within a head.
    pub(crate) fn on_read(&self, in_head: bool) {
        track_stall(&self.http2.head_begun, in_head);
    }

    /// The client was told that the connection ends.
    pub(crate) fn on_end_announced(&self) {
        self.awaited.set(Awaited::Close(Instant::now()));
    }

    /// The last response was sent and our side is closed, or the client has sent something since then.
    pub(crate) fn lingers(&self) {
        let heard = Instant::now();
        let since = if let Awaited::Lingering { since, .. } = self.awaited.get() { since } else { heard };
        self.awaited.set(Awaited::Lingering { since, heard });
    }

    /// The client has closed its side, and there is nothing to write to it now. It counts as a client that does not
    /// read.
    pub(crate) fn half_closed(&self) {
        track_stall(&self.unread_since, true);
        if self.half.get() == Half::Open {
            self.half.set(Half::Closed(Instant::now()));
        }
    }

    /// Sets how long the bodies of the current request and its response may be idle. With HTTP/2 this concerns the
    /// connection itself, so the longest limit of its requests applies.
    pub(crate) fn may_idle(&self, limit: Duration) {
        let known = self.idle_limit.get().filter(|_| self.http2.is_spoken.get());
        self.idle_limit.set(Some(known.map_or(limit, |known| known.max(limit))));
    }

    /// Records whether bytes of a body came when they were needed.
    pub(crate) fn body_came(&self, came: bool) {
        track_stall(&self.body_awaited_since, !came);
        if came {
            restart(&self.unread_since);
        }
    }

    /// Records a write: `took` is whether the client took any bytes, `waits` whether there are some that it did not
    /// take. As long as it takes some, it need not send any.
    pub(crate) fn client_read(&self, took: bool, waits: bool) {
        if took {
            self.unread_since.set(None);
            if matches!(self.half.get(), Half::Closed(_)) {
                self.half.set(Half::Reads);
            }
            restart(&self.body_awaited_since);
        }
        track_stall(&self.unread_since, waits);
    }

    /// Wakes the task that serves the connection.
    pub(crate) fn wake(&self) {
        let waker = self.waker.borrow().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether no request has come for a while: memory kept for the next one can be released.
    pub(crate) fn is_paused(&self) -> bool {
        self.rests.get()
    }

    /// The current instruction.
    pub(crate) fn order(&self) -> Order {
        self.order.get()
    }

    /// Stores the waker to wake when the order changes.
    pub(crate) fn remember(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }

    /// Whether this is the waker of the task that serves the connection.
    pub(crate) fn is_served_by(&self, waker: &Waker) -> bool {
        self.waker.borrow().as_ref().is_some_and(|known| known.will_wake(waker))
    }

    /// Gives this order, and wakes the task that serves the connection.
    pub(crate) fn give(&self, order: Order) {
        if self.order.get() != Order::Close {
            self.order.set(order);
        }
        self.wake();
    }

    fn is_overdue(&self, now: Instant, limits: Timeouts) -> bool {
        let over = |since: Instant, limit: Duration| now.saturating_duration_since(since) >= limit;
        let awaited = match self.awaited.get() {
            Awaited::Head(since) => over(since, limits.head),
            Awaited::NextRequest(since) => over(since, limits.idle),
            Awaited::Close(since) => over(since, CLOSE_TIMEOUT),
            Awaited::Lingering { since, heard } => {
                let is_last = self.order.get() == Order::Drain;
                let (total, silence) = if is_last { (CLOSE_TIMEOUT, CLOSE_TIMEOUT) } else { (LINGER, LINGER_SILENCE) };
                over(since, total) || over(heard, silence)
            }
            Awaited::Nothing => false,
        };
        let idle = self.idle_limit.get().unwrap_or(limits.idle);
        let idle = if self.http2.is_spoken.get() { idle.max(limits.idle) } else { idle };
        let stalled = |since: &Cell<Option<Instant>>| since.get().is_some_and(|since| over(since, idle));
        let gone = matches!(self.half.get(), Half::Closed(since) if over(since, idle.min(HALF_CLOSED)));
        let slow_head = self.http2.head_begun.get().is_some_and(|since| over(since, limits.head));
        awaited || stalled(&self.body_awaited_since) || stalled(&self.unread_since) || gone || slow_head
    }

    /// Records an idle period, once.
    fn note_rest(&self, now: Instant) {
        let Awaited::NextRequest(since) = self.awaited.get() else { return };
        let is_pause = now.saturating_duration_since(since) >= PAUSE;
        if is_pause && !self.http2.is_spoken.get() && !self.rests.replace(true) {
            self.wake();
        }
    }

    /// Ends the connection because of a timeout. An HTTP/2 connection that was merely idle first gets a GOAWAY: a
    /// request may be on its way (RFC 9113 §6.8).
    fn end(&self) {
        if self.http2.is_spoken.get() && matches!(self.awaited.get(), Awaited::NextRequest(_)) {
            self.on_end_announced();
            self.give(Order::Drain);
        } else {
            self.give(Order::Close);
        }
    }
}

fn track_stall(since: &Cell<Option<Instant>>, stalled: bool) {
    match (since.get(), stalled) {
        (None, true) => since.set(Some(Instant::now())),
        (Some(_), false) => since.set(None),
        (None, false) | (Some(_), true) => {}
    }
}

/// Restarts a wait that is in progress: there was other activity.
fn restart(since: &Cell<Option<Instant>>) {
    if since.get().is_some() {
        since.set(Some(Instant::now()));
    }
}

/// The time limits for a client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// To send a head.
    pub(crate) head: Duration,
    /// Until the next request; also without any progress of a body, in either direction.
    pub(crate) idle: Duration,
}

/// The time limits of all client connections of one core.
#[derive(Debug)]
pub(crate) struct ClientTimeouts {
    connections: RefCell<Vec<Weak<ConnectionState>>>,
    limits: Timeouts,
}

impl ClientTimeouts {
    pub(crate) fn new(limits: Timeouts) -> Self {
        Self { connections: RefCell::default(), limits }
    }

    /// The interval of ticks: a limit is exceeded by at most an eighth, and never by more than a second.
    pub(crate) fn period(&self) -> Duration {
        let shortest = self.limits.head.min(self.limits.idle);
        (shortest / 8).clamp(Duration::from_millis(5), Duration::from_secs(1))
    }

    /// Adds a connection.
    pub(crate) fn enrol(&self) -> Rc<ConnectionState> {
        let connection_state = Rc::new(ConnectionState::new(Instant::now()));
        self.connections.borrow_mut().push(Rc::downgrade(&connection_state));
        connection_state
    }

    /// Closes timed-out connections, marks idle ones, drops finished ones.
    pub(crate) fn tick(&self, now: Instant) {
        self.connections.borrow_mut().retain(|connection| {
            let Some(connection_state) = connection.upgrade() else { return false };
            if connection_state.is_overdue(now, self.limits) {
                connection_state.end();
            } else if connection_state.half.get() == Half::Open {
                connection_state.note_rest(now);
            } else {
                // A half-closed connection has no other way to notice that its client has gone.
                connection_state.wake();
            }
            true
        });
    }

    /// Drains every connection, but for those whose first request is still to come.
    pub(crate) fn end_idle(&self) {
        for connection_state in self.connections.borrow().iter().filter_map(Weak::upgrade) {
            match connection_state.awaited.get() {
                Awaited::Head(_) => {}
                // A client that does not answer the GOAWAY is not waited for.
                Awaited::NextRequest(_) if connection_state.http2.is_spoken.get() => connection_state.end(),
                Awaited::NextRequest(_) | Awaited::Nothing | Awaited::Close(_) | Awaited::Lingering { .. } => {
                    connection_state.give(Order::Drain);
                }
            }
        }
    }

    /// Gives every connection this order.
    pub(crate) fn give_all(&self, order: Order) {
        for connection_state in self.connections.borrow().iter().filter_map(Weak::upgrade) {
            connection_state.give(order);
        }
    }
}

#[cfg(test)]
mod tests;
