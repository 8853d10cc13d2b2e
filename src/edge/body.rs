//! Bodies on their way through: a request's to a service, an answer's to the client. Both are streamed with back-pressure
//! and never kept. Trailers go along but for those that could pose as headers of ours.

use std::{
    cell::{Cell, RefCell},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::{
    access_log::Record, error::Failure, headers::sanitise_trailers, pool::Lease, ports, stream::Guard, tunnel::Tunnel,
};

/// A request's body on its way to a service.
pub(super) enum RequestBody {
    /// None.
    Empty,
    /// One that is read from the client as the service takes it.
    Streamed(Rc<Upload>),
}

/// The body that is read from the client, and how far it has come.
pub(super) struct Upload {
    incoming: RefCell<Incoming>,
    limit_bytes: u64,
    sent_bytes: Cell<u64>,
    begun: Cell<bool>,
    awaits_client: Cell<bool>,
    moved_at: Cell<Instant>,
    failure: RefCell<Option<Failure>>,
}

impl RequestBody {
    /// The client's body, cut off with a failure behind `limit_bytes`.
    pub(super) fn new(incoming: Incoming, limit_bytes: u64) -> Self {
        if incoming.is_end_stream() {
            return Self::Empty;
        }
        Self::Streamed(Rc::new(Upload {
            incoming: RefCell::new(incoming),
            limit_bytes,
            sent_bytes: Cell::new(0),
            begun: Cell::new(false),
            awaits_client: Cell::new(false),
            moved_at: Cell::new(Instant::now()),
            failure: RefCell::new(None),
        }))
    }

    /// The same body once more, for a request that may have to be sent again.
    pub(super) fn share(&self) -> Self {
        match self {
            Self::Empty => Self::Empty,
            Self::Streamed(upload) => Self::Streamed(Rc::clone(upload)),
        }
    }

    /// How far the body has come, if there is one.
    pub(super) fn upload(&self) -> Option<Rc<Upload>> {
        match self {
            Self::Empty => None,
            Self::Streamed(upload) => Some(Rc::clone(upload)),
        }
    }

    /// Whether bytes of it were taken: it cannot be sent again.
    pub(super) fn is_begun(&self) -> bool {
        match self {
            Self::Empty => false,
            Self::Streamed(upload) => upload.begun.get(),
        }
    }
}

impl Upload {
    /// Why the body broke off, if it did.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.failure.borrow().clone()
    }

    /// Since when it is the service that is waited for; `None` while it is the client.
    pub(super) fn service_awaited_since(&self) -> Option<Instant> {
        (!self.awaits_client.get()).then(|| self.moved_at.get())
    }

    fn fail(&self, failure: Failure) -> io::Error {
        *self.failure.borrow_mut() = Some(failure);
        io::Error::other("the request body broke off")
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Self::Streamed(upload) = self.get_mut() else { return Poll::Ready(None) };
        upload.begun.set(true);
        loop {
            let polled = Pin::new(&mut *upload.incoming.borrow_mut()).poll_frame(context);
            upload.awaits_client.set(polled.is_pending());
            let frame = ready!(polled);
            upload.moved_at.set(Instant::now());
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Err(trailers))) => {
                    if let Some(trailers) = passable(trailers) {
                        return Poll::Ready(Some(Ok(trailers)));
                    }
                }
                Some(Ok(Ok(data))) => {
                    let sent = upload.sent_bytes.get().saturating_add(data.len() as u64);
                    upload.sent_bytes.set(sent);
                    let limit_bytes = upload.limit_bytes;
                    let too_large = sent > limit_bytes;
                    return Poll::Ready(Some(if too_large {
                        Err(upload.fail(Failure::BodyTooLarge { limit_bytes }))
                    } else {
                        Ok(Frame::data(data))
                    }));
                }
                Some(Err(_)) => return Poll::Ready(Some(Err(upload.fail(Failure::BodyBroken)))),
                None => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streamed(upload) => upload.incoming.borrow().is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streamed(upload) => upload.incoming.borrow().size_hint(),
        }
    }
}

/// What may be passed on of trailers, if anything.
fn passable(trailers: Frame<Bytes>) -> Option<Frame<Bytes>> {
    let mut trailers = trailers.into_trailers().ok()?;
    sanitise_trailers(&mut trailers);
    (!trailers.is_empty()).then(|| Frame::trailers(trailers))
}

/// An answer's body on its way to the client. When it has ended, or is dropped because the client is gone, the request is
/// logged.
pub(super) struct AnswerBody {
    content: Content,
    record: Option<Record>,
}

enum Content {
    Whole(Bytes),
    Own(ports::Body),
    Upstream {
        incoming: Incoming,
        lease: Option<Lease>,
        guard: Guard,
    },
    /// None; the connection goes on as this.
    Switched(Option<Box<Tunnel>>),
}

impl AnswerBody {
    /// A body that is there already.
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self { content: Content::Whole(bytes), record: None }
    }

    /// What the control plane answers.
    pub(super) fn own(body: ports::Body) -> Self {
        Self { content: Content::Own(body), record: None }
    }

    /// What a service answers. Its connection goes back to the pool with the last byte; `guard` says when not to wait for that.
    pub(super) fn upstream(incoming: Incoming, lease: Lease, guard: Guard) -> Self {
        let mut body = Self { content: Content::Upstream { incoming, lease: Some(lease), guard }, record: None };
        body.note_end();
        body
    }

    /// What stands behind a 101.
    pub(super) fn switched(tunnel: Tunnel) -> Self {
        Self { content: Content::Switched(Some(Box::new(tunnel))), record: None }
    }

    /// What the connection goes on as, if this stands behind a 101.
    pub(super) fn take_tunnel(&mut self) -> Option<Box<Tunnel>> {
        match &mut self.content {
            Content::Switched(tunnel) => tunnel.take(),
            Content::Whole(_) | Content::Own(_) | Content::Upstream { .. } => None,
        }
    }

    /// Logs `record` when the body has ended.
    pub(super) fn recorded(mut self, record: Record) -> Self {
        self.record = Some(record);
        if self.is_end_stream() {
            self.note_end();
        }
        self
    }

    fn note_end(&mut self) {
        if let Content::Upstream { incoming, lease, .. } = &mut self.content
            && incoming.is_end_stream()
            && let Some(lease) = lease.take()
        {
            lease.give_back();
        }
        if self.is_end_stream()
            && let Some(record) = &mut self.record
        {
            record.complete();
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        if let Some(record) = &mut this.record {
            record.part_taken();
        }
        let frame = loop {
            let frame = match &mut this.content {
                Content::Whole(bytes) if bytes.is_empty() => None,
                Content::Whole(bytes) => Some(Ok(Frame::data(std::mem::take(bytes)))),
                Content::Own(body) => ready!(Pin::new(body).poll_frame(context)),
                Content::Upstream { incoming, guard, .. } => {
                    ready!(guarded(incoming, guard, context))
                }
                Content::Switched(_) => None,
            };
            match frame {
                Some(Ok(trailers)) if trailers.is_trailers() => {
                    if let Some(trailers) = passable(trailers) {
                        break Some(Ok(trailers));
                    }
                }
                other => break other,
            }
        };
        match &frame {
            None => {
                if let Content::Upstream { lease, .. } = &mut this.content
                    && let Some(lease) = lease.take()
                {
                    lease.give_back();
                }
                if let Some(record) = &mut this.record {
                    record.complete();
                }
            }
            Some(Ok(_)) => {
                if let Some(record) = &mut this.record {
                    record.part_handed_on();
                }
                this.note_end();
            }
            Some(Err(error)) => {
                if let Some(record) = &mut this.record {
                    record.break_off(error);
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.is_empty(),
            Content::Own(body) => body.is_end_stream(),
            Content::Upstream { incoming, .. } => incoming.is_end_stream(),
            Content::Switched(_) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Own(body) => body.size_hint(),
            Content::Upstream { incoming, .. } => incoming.size_hint(),
            Content::Switched(_) => SizeHint::with_exact(0),
        }
    }
}

/// The next frame from a service, as long as the stream may go on.
fn guarded(
    incoming: &mut Incoming,
    guard: &mut Guard,
    context: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
    if let Some(over) = guard.over() {
        return Poll::Ready(Some(Err(io::Error::other(over))));
    }
    let frame = Pin::new(incoming).poll_frame(context);
    if frame.is_pending() {
        guard.waits(context.waker());
    } else {
        guard.rests();
    }
    frame.map(|frame| frame.map(|frame| frame.map_err(io::Error::other)))
}
