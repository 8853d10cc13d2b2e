//! A request's body on its way to a service: streamed with back-pressure, cut off at the limit, and buffered only where
//! its service is called later. It records its progress, so that a request can be sent again if none of its body was
//! taken.

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

use super::{
    buffer::{Buffered, BufferedBytes},
    incoming::Incoming,
};
use crate::edge::{
    error::Failure,
    http::sanitize::forwardable,
    timer::{deadlines::AwaitedSince, stream_guard::Progress},
};

/// A request's body on its way to a service.
pub(crate) enum RequestBody {
    /// There is no body.
    Empty,
    /// A body that is read from the client as the service takes it.
    Streamed(Rc<Upload>),
}

/// A body that is read from the client, with its progress.
pub(crate) struct Upload {
    incoming: RefCell<Incoming>,
    buffered: RefCell<Buffered>,
    /// Nothing more comes from the client.
    has_ended: Cell<bool>,
    limit_bytes: u64,
    came_bytes: Cell<u64>,
    begun: Cell<bool>,
    awaits_client: Cell<bool>,
    moved_at: Cell<Instant>,
    failure: RefCell<Option<Failure>>,
}

impl RequestBody {
    /// The client's body; it fails after `limit_bytes`.
    pub(crate) fn new(incoming: Incoming, limit_bytes: u64) -> Self {
        if incoming.is_empty() {
            return Self::Empty;
        }
        Self::Streamed(Rc::new(Upload {
            incoming: RefCell::new(incoming),
            buffered: RefCell::default(),
            has_ended: Cell::new(false),
            limit_bytes,
            came_bytes: Cell::new(0),
            begun: Cell::new(false),
            awaits_client: Cell::new(false),
            moved_at: Cell::new(Instant::now()),
            failure: RefCell::new(None),
        }))
    }

    /// Another handle to this body, for a request that may have to be sent again.
    pub(crate) fn share(&self) -> Self {
        match self {
            Self::Empty => Self::Empty,
            Self::Streamed(upload) => Self::Streamed(Rc::clone(upload)),
        }
    }

    /// The upload, if there is a body.
    pub(crate) fn upload(&self) -> Option<&Rc<Upload>> {
        match self {
            Self::Empty => None,
            Self::Streamed(upload) => Some(upload),
        }
    }

    /// The reason why the body broke off, if it did.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.upload().and_then(|upload| upload.failure())
    }

    /// Since when the gateway has been waiting for the service.
    pub(crate) fn service_awaited_since(&self) -> AwaitedSince {
        match self {
            Self::Empty => AwaitedSince::Begin,
            Self::Streamed(upload) if upload.awaits_client.get() => AwaitedSince::NotNow,
            Self::Streamed(upload) => AwaitedSince::Time(upload.moved_at.get()),
        }
    }

    /// The upload as the progress that keeps the response's deadline from expiring.
    pub(crate) fn progress(&self) -> Option<Rc<dyn Progress>> {
        match self {
            Self::Empty => None,
            Self::Streamed(upload) => Some(Rc::clone(upload) as Rc<dyn Progress>),
        }
    }

    /// Whether some of its bytes were taken: if so, it cannot be sent again.
    pub(crate) fn is_begun(&self) -> bool {
        match self {
            Self::Empty => false,
            Self::Streamed(upload) => upload.begun.get(),
        }
    }
}

impl Upload {
    /// The reason why the body broke off, if it did.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.failure.borrow().clone()
    }

    /// The number of bytes that have come from the client.
    pub(crate) fn came_bytes(&self) -> u64 {
        self.came_bytes.get()
    }

    /// Reads up to `most` bytes and buffers them until the service takes them. Ready when they are there, or the whole
    /// body is.
    pub(crate) fn poll_buffer(
        &self,
        context: &mut Context<'_>,
        most: u64,
        core: &Rc<BufferedBytes>,
    ) -> Poll<Result<(), Failure>> {
        loop {
            match ready!(self.poll_incoming(context)) {
                Some(Ok(part)) => {
                    let is_last = self.incoming.borrow().is_end_stream();
                    let mut buffered = self.buffered.borrow_mut();
                    let has_room = buffered.add(part, is_last, core);
                    // The length is only verified after the last part, so that part does not return early.
                    if !is_last && (!has_room || buffered.len() as u64 >= most) {
                        return Poll::Ready(Ok(()));
                    }
                }
                Some(Err(_)) => return Poll::Ready(Err(self.failure().unwrap_or(Failure::BodyBroken))),
                None => return Poll::Ready(Ok(())),
            }
        }
    }

    /// The length of the body, if all of it has arrived.
    pub(crate) fn whole_bytes(&self) -> Option<u64> {
        let is_whole = self.has_ended.get() || self.incoming.borrow().is_end_stream();
        is_whole.then(|| self.buffered.borrow().len() as u64)
    }

    /// The next part from the client.
    fn poll_incoming(&self, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            if self.has_ended.get() {
                return Poll::Ready(None);
            }
            let polled = Pin::new(&mut *self.incoming.borrow_mut()).poll_frame(context);
            self.awaits_client.set(polled.is_pending());
            match ready!(polled).map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Err(trailers))) => {
                    if let Some(trailers) = forwardable(trailers) {
                        return Poll::Ready(Some(Ok(trailers)));
                    }
                }
                // An empty HTTP/2 frame is skipped, and does not count as activity.
                Some(Ok(Ok(data))) if data.is_empty() => {}
                Some(Ok(Ok(data))) => {
                    self.moved_at.set(Instant::now());
                    let came = self.came_bytes.get().saturating_add(data.len() as u64);
                    self.came_bytes.set(came);
                    let limit_bytes = self.limit_bytes;
                    return Poll::Ready(Some(if came > limit_bytes {
                        Err(self.fail(Failure::BodyTooLarge { limit_bytes }))
                    } else {
                        Ok(Frame::data(data))
                    }));
                }
                Some(Err(error)) => {
                    let is_late = error.kind() == io::ErrorKind::TimedOut;
                    let failure = if is_late { Failure::BodyTimeout } else { Failure::BodyBroken };
                    return Poll::Ready(Some(Err(self.fail(failure))));
                }
                None => self.has_ended.set(true),
            }
        }
    }

    /// The response has begun: a client that reads it need not send.
    pub(crate) fn response_begun(&self) {
        self.incoming.borrow_mut().response_begun();
    }

    fn fail(&self, failure: Failure) -> io::Error {
        *self.failure.borrow_mut() = Some(failure);
        io::Error::other("the request body broke off")
    }
}

impl Progress for Upload {
    /// The time when the last byte came from the client or went to the service.
    fn moved_at(&self) -> Instant {
        self.moved_at.get()
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Self::Streamed(upload) = self.get_mut() else { return Poll::Ready(None) };
        upload.begun.set(true);
        let kept = upload.buffered.borrow_mut().take();
        match kept {
            Some(part) => {
                upload.moved_at.set(Instant::now());
                Poll::Ready(Some(Ok(part)))
            }
            None => upload.poll_incoming(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streamed(upload) => {
                upload.buffered.borrow().is_empty()
                    && (upload.has_ended.get() || upload.incoming.borrow().is_end_stream())
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streamed(_) => SizeHint::default(),
        }
    }
}
