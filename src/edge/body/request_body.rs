//! A request's body on its way to a service: streamed with back-pressure, cut off behind the limit, and kept no further than
//! its service is asked later. How far it has come is known, so that a request can be sent again if none of it was taken.

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
    /// None.
    Empty,
    /// One that is read from the client as the service takes it.
    Streamed(Rc<Upload>),
}

/// The body that is read from the client, and how far it has come.
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
    /// The client's body, cut off with a failure behind `limit_bytes`.
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

    /// The same body once more, for a request that may have to be sent again.
    pub(crate) fn share(&self) -> Self {
        match self {
            Self::Empty => Self::Empty,
            Self::Streamed(upload) => Self::Streamed(Rc::clone(upload)),
        }
    }

    /// How far the body has come, if there is one.
    pub(crate) fn upload(&self) -> Option<&Rc<Upload>> {
        match self {
            Self::Empty => None,
            Self::Streamed(upload) => Some(upload),
        }
    }

    /// Why it broke off, if it did.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.upload().and_then(|upload| upload.failure())
    }

    /// Since when it is the service that is waited for.
    pub(crate) fn service_awaited_since(&self) -> AwaitedSince {
        match self {
            Self::Empty => AwaitedSince::Begin,
            Self::Streamed(upload) if upload.awaits_client() => AwaitedSince::NotNow,
            Self::Streamed(upload) => AwaitedSince::Time(upload.moved_at.get()),
        }
    }

    /// The same as what keeps the answer to its request going.
    pub(crate) fn progress(&self) -> Option<Rc<dyn Progress>> {
        match self {
            Self::Empty => None,
            Self::Streamed(upload) => Some(Rc::clone(upload) as Rc<dyn Progress>),
        }
    }

    /// Whether bytes of it were taken: it cannot be sent again.
    pub(crate) fn is_begun(&self) -> bool {
        match self {
            Self::Empty => false,
            Self::Streamed(upload) => upload.begun.get(),
        }
    }
}

impl Upload {
    /// Why the body broke off, if it did.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.failure.borrow().clone()
    }

    /// Whether it is the client that is waited for, and not the service.
    pub(crate) fn awaits_client(&self) -> bool {
        self.awaits_client.get()
    }

    /// How many bytes have come from the client.
    pub(crate) fn came_bytes(&self) -> u64 {
        self.came_bytes.get()
    }

    /// Reads up to `most` bytes, and keeps them until the service takes them. Ready when they are there, or all there are.
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
                    // Behind the last part stands whether all of them are as long as the head said.
                    if !is_last && (!has_room || buffered.len() as u64 >= most) {
                        return Poll::Ready(Ok(()));
                    }
                }
                Some(Err(_)) => return Poll::Ready(Err(self.failure().unwrap_or(Failure::BodyBroken))),
                None => return Poll::Ready(Ok(())),
            }
        }
    }

    /// How many bytes the body has, if all of it is there.
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
                // An empty frame of HTTP/2 is nothing, and no sign of life.
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

    /// The service answers: a client that reads that need not send.
    pub(crate) fn answer_begun(&self) {
        self.incoming.borrow_mut().answer_begun();
    }

    fn fail(&self, failure: Failure) -> io::Error {
        *self.failure.borrow_mut() = Some(failure);
        io::Error::other("the request body broke off")
    }
}

impl Progress for Upload {
    /// When the last byte came from the client or went to the service.
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
