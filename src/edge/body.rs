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
use http::{Response, header::CONTENT_LENGTH};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming as Http2Incoming;

use super::{
    access_log::Record, error::Failure, exchange::Exchange, headers::sanitise_trailers, multiplex::Stream, ports,
    stream::Guard, tunnel::Tunnel, wire::Wire,
};

/// A body as it comes from the client.
pub(super) enum Incoming {
    /// None.
    Empty,
    /// On a connection of HTTP/1.x, which serves nothing else meanwhile.
    Http1(Rc<Wire>),
    /// On a stream of HTTP/2.
    Http2(Http2Incoming),
}

impl Incoming {
    /// What hyper hands on.
    pub(super) fn http2(body: Http2Incoming) -> Self {
        if body.is_end_stream() { Self::Empty } else { Self::Http2(body) }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Http1(wire) => wire.poll_body(context).map_err(io::Error::other),
            Self::Http2(body) => Pin::new(body).poll_frame(context).map_err(io::Error::other),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Http1(wire) => wire.is_body_over(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }
}

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
        if incoming.is_empty() {
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

    /// Why it broke off, if it did.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.upload().and_then(|upload| upload.failure())
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
            Self::Streamed(_) => SizeHint::default(),
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
    Upstream(Guard, Upstream),
    /// None; the connection goes on as this.
    Switched(Option<Box<Tunnel>>),
}

/// A body as it comes from a service.
pub(super) enum Upstream {
    /// On a connection of HTTP/1.1.
    Http1(Box<Exchange>),
    /// On a stream of HTTP/2; its place is given back with its end.
    Http2(Http2Incoming, Option<Stream>),
}

impl AnswerBody {
    fn new(content: Content) -> Self {
        Self { content, record: None }
    }

    /// A body that is there already.
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self::new(Content::Whole(bytes))
    }

    /// What the control plane answers.
    pub(super) fn own(body: ports::Body) -> Self {
        Self::new(Content::Own(body))
    }

    /// What a service answers; `guard` says when not to wait for that.
    pub(super) fn upstream(body: Upstream, guard: Guard) -> Self {
        let mut body = Self::new(Content::Upstream(guard, body));
        body.note_end();
        body
    }

    /// What stands behind a 101.
    pub(super) fn switched(tunnel: Tunnel) -> Self {
        Self::new(Content::Switched(Some(Box::new(tunnel))))
    }

    /// The answer to a `HEAD`: its head tells of the body, which is not sent (RFC 9110 §9.3.2).
    pub(super) fn withheld(answer: &mut Response<Self>) {
        let length = answer.body().size_hint().exact().filter(|&length| length > 0);
        if let Some(length) = length.filter(|_| !answer.headers().contains_key(CONTENT_LENGTH)) {
            answer.headers_mut().insert(CONTENT_LENGTH, length.into());
        }
        let body = answer.body_mut();
        if matches!(body.content, Content::Whole(_) | Content::Own(_)) {
            body.content = Content::Whole(Bytes::new());
            body.note_end();
        }
    }

    /// What the connection goes on as, if this stands behind a 101.
    pub(super) fn take_tunnel(&mut self) -> Option<Box<Tunnel>> {
        let Content::Switched(tunnel) = &mut self.content else { return None };
        let mut tunnel = tunnel.take()?;
        if let Some(record) = self.record.take() {
            tunnel.record(record);
        }
        Some(tunnel)
    }

    /// Logs `record` when the body has ended.
    pub(super) fn recorded(mut self, record: Record) -> Self {
        self.record = Some(record);
        self.note_end();
        self
    }

    /// Sends on what the client still uploads while it does not take more of the answer.
    pub(super) fn go_on_uploading(self: Pin<&mut Self>, context: &mut Context<'_>) {
        if let Content::Upstream(_, Upstream::Http1(exchange)) = &mut self.get_mut().content {
            // A failure comes back with the next part of the answer.
            let _ = exchange.poll_upload(context);
        }
    }

    /// Takes note of the end as soon as it is known, not when somebody asks what comes behind it.
    fn note_end(&mut self) {
        if self.is_end_stream() {
            self.end();
        }
    }

    fn end(&mut self) {
        if let Content::Upstream(_, body) = &mut self.content {
            body.give_back();
        }
        if let Some(record) = &mut self.record {
            record.complete();
        }
    }
}

impl Upstream {
    /// Gives the connection back to those that may be used again.
    fn give_back(&mut self) {
        match self {
            Self::Http1(exchange) => exchange.give_back(),
            Self::Http2(_, stream) => drop(stream.take()),
        }
    }
}

impl Body for Upstream {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Http1(exchange) => exchange.poll_frame(context),
            Self::Http2(body, _) => Pin::new(body).poll_frame(context).map_err(io::Error::other),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(exchange) => exchange.is_answered(),
            Self::Http2(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(exchange) if exchange.is_answered() => SizeHint::with_exact(0),
            Self::Http1(_) => SizeHint::default(),
            Self::Http2(body, _) => body.size_hint(),
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
                Content::Upstream(guard, body) => ready!(guarded(body, guard, context)),
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
            None => this.end(),
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
            Content::Upstream(_, body) => body.is_end_stream(),
            Content::Switched(_) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Own(body) => body.size_hint(),
            Content::Upstream(_, body) => body.size_hint(),
            Content::Switched(_) => SizeHint::with_exact(0),
        }
    }
}

/// The next frame from a service, as long as the stream may go on.
fn guarded(
    body: &mut Upstream,
    guard: &mut Guard,
    context: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
    if let Some(over) = guard.over() {
        return Poll::Ready(Some(Err(io::Error::other(over))));
    }
    let frame = Pin::new(body).poll_frame(context);
    if frame.is_pending() {
        guard.waits(context.waker());
    } else {
        guard.rests();
    }
    frame
}
