//! An answer's body as hyper takes it for a client of HTTP/2. hyper asks for no more of it while the client makes no room, but
//! what the client still uploads has to go on: a client may send all of it before it reads. So while the service takes more of
//! the request, a task of its own drives the exchange and keeps one part of the answer ready.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::task::AbortHandle;

use super::body::AnswerBody;

/// See the module.
pub(super) enum ClientBody {
    /// hyper drives the exchange.
    Direct(AnswerBody),
    /// A task does.
    Relayed(Relay),
}

impl ClientBody {
    /// The body of an answer, on the core that it was asked for on.
    pub(super) fn of(body: AnswerBody) -> Self {
        if body.is_uploading() { Self::Relayed(Relay::of(body)) } else { Self::Direct(body) }
    }
}

type Part = Option<io::Result<Frame<Bytes>>>;

/// What the task has for hyper.
#[derive(Default)]
struct Slot {
    part: Option<Part>,
    /// Whether no part follows.
    is_last: bool,
    /// Wakes hyper, which waits for a part.
    taker: Option<Waker>,
    /// Wakes the task, which waits for the part to be taken.
    maker: Option<Waker>,
}

/// The taking end. Dropping it ends the exchange.
pub(super) struct Relay {
    slot: Rc<RefCell<Slot>>,
    task: AbortHandle,
}

/// The making end.
struct Making(Rc<RefCell<Slot>>);

impl Relay {
    fn of(body: AnswerBody) -> Self {
        let slot = Rc::<RefCell<Slot>>::default();
        let making = Making(Rc::clone(&slot));
        let task = tokio::task::spawn_local(making.go_on(body));
        Self { slot, task: task.abort_handle() }
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Part> {
        let mut slot = self.slot.borrow_mut();
        if let Some(part) = slot.part.take() {
            slot.maker.take().into_iter().for_each(Waker::wake);
            return Poll::Ready(part);
        }
        if slot.is_last {
            return Poll::Ready(None);
        }
        if self.task.is_finished() {
            return Poll::Ready(Some(Err(io::Error::other("the answer broke off"))));
        }
        slot.taker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Making {
    async fn go_on(self, mut body: AnswerBody) {
        std::future::poll_fn(|context| {
            loop {
                if self.0.borrow().part.is_some() {
                    self.0.borrow_mut().maker = Some(context.waker().clone());
                    body.go_on_uploading(context);
                    return Poll::Pending;
                }
                let part = ready!(Pin::new(&mut body).poll_frame(context));
                let slot = &mut *self.0.borrow_mut();
                slot.is_last = !matches!(part, Some(Ok(_)));
                slot.part = Some(part);
                slot.taker.take().into_iter().for_each(Waker::wake);
                if slot.is_last {
                    return Poll::Ready(());
                }
            }
        })
        .await;
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        // However it ended, nobody waits for it in vain.
        self.0.borrow_mut().taker.take().into_iter().for_each(Waker::wake);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Part> {
        match self.get_mut() {
            Self::Direct(body) => Pin::new(body).poll_frame(context),
            Self::Relayed(relay) => relay.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Direct(body) => body.is_end_stream(),
            Self::Relayed(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Direct(body) => body.size_hint(),
            Self::Relayed(_) => SizeHint::default(),
        }
    }
}
