//! One client connection of HTTP/1.x: the unparsed input, and the position in the body of the current request. Only the
//! connection's own task reads and writes it.
//!
//! A body is read through a [`BodyReader`], which may take the bytes of one request only. It loses that right when the
//! request has been answered, so it can never take bytes of the next request, however long it is kept.
//!
//! A connection that waits for its next request holds no buffer.

use std::{
    cell::RefCell,
    io,
    pin::{Pin, pin},
    rc::{Rc, Weak},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use tokio::{
    io::{AsyncReadExt, AsyncWrite},
    time::timeout,
};

use super::{
    body_decoder::{BadBody, BodyDecoder, BodyPart},
    body_framing::BodyFraming,
    request_head::{self, BadHead, Head},
    write_buffer::WriteBuffer,
};
use crate::edge::{
    net::{client_stream::Socket, lingering_close::LingeringClose, tcp::SMALL_READ_BYTES},
    timer::client_timeouts::ConnectionState,
};

/// The maximum size of one body read.
const BODY_READ_BYTES: usize = 64 * 1024;

/// Limits on draining an unread body, so that the connection can be reused: the number of bytes, and the time to wait
/// for them. A service may respond before it has read the body, and often little of it is left.
const MAX_DRAIN_BYTES: u64 = 256 * 1024;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Tells a client to send its body (RFC 9110 §10.1.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A client connection of HTTP/1.x.
pub(crate) struct Http1Connection {
    socket: RefCell<Socket>,
    input: RefCell<Input>,
    connection_state: Rc<ConnectionState>,
}

struct Input {
    buffer: BytesMut,
    /// How many bytes of the buffer were searched for the end of a head.
    scanned: usize,
    body: BodyDecoder,
    /// The number of the current request: readers of other requests may no longer read.
    turn: u64,
    /// The `100 Continue` to write before the client sends its body, once the body is needed.
    pending_100_continue: Option<WriteBuffer>,
    /// Nothing more will come: the client has closed its side, or the connection is broken.
    is_ended: bool,
    /// The client can neither send nor read any more.
    is_broken: bool,
}

/// The right to read the body of one request.
pub(crate) struct BodyReader {
    /// Only its task owns the connection: a reader that outlives the request does not keep it open.
    connection: Weak<Http1Connection>,
    turn: u64,
}

impl BodyReader {
    /// The next part of the body. After the request has ended, the body counts as broken off.
    pub(crate) fn poll(&self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BadBody>>> {
        self.connection
            .upgrade()
            .map_or(Poll::Ready(Some(Err(BadBody))), |connection| connection.poll_body(self.turn, context))
    }

    /// Whether all of the body was read.
    pub(crate) fn is_over(&self) -> bool {
        self.connection.upgrade().is_some_and(|connection| {
            let input = connection.input.borrow();
            input.turn == self.turn && input.body.is_ended()
        })
    }
}

impl Http1Connection {
    /// Starts with `buffer`, which was read from the socket already.
    pub(crate) fn new(socket: Socket, buffer: BytesMut, connection_state: Rc<ConnectionState>) -> Self {
        let input = Input {
            buffer,
            scanned: 0,
            body: BodyDecoder::Ended,
            turn: 0,
            pending_100_continue: None,
            is_ended: false,
            is_broken: false,
        };
        Self { socket: RefCell::new(socket), input: RefCell::new(input), connection_state }
    }

    /// The socket, and the unparsed input.
    pub(crate) fn into_parts(self) -> (Socket, BytesMut) {
        (self.socket.into_inner(), self.input.into_inner().buffer)
    }

    /// Ready with true when the buffer holds a whole or an invalid head; with false when the client has closed its
    /// side.
    pub(crate) fn poll_head(&self, context: &mut Context<'_>) -> Poll<bool> {
        loop {
            {
                let input = &mut *self.input.borrow_mut();
                if !input.buffer.is_empty() {
                    match request_head::end(&input.buffer, &mut input.scanned) {
                        Ok(None) => self.connection_state.head_begun(),
                        Ok(Some(_)) | Err(_) => return Poll::Ready(true),
                    }
                }
                if input.is_ended {
                    return Poll::Ready(false);
                }
            }
            ready!(self.poll_fill(context, SMALL_READ_BYTES));
        }
    }

    /// Takes the next request's head.
    pub(crate) fn take_head(&self) -> Result<Head, BadHead> {
        let input = &mut *self.input.borrow_mut();
        let end = request_head::end(&input.buffer, &mut input.scanned)?.ok_or(BadHead::RequestLine)?;
        input.scanned = 0;
        request_head::parse(&input.buffer.split_to(end).freeze())
    }

    /// Whether the next head has begun.
    pub(crate) fn has_begun(&self) -> bool {
        !self.input.borrow().buffer.is_empty()
    }

    /// Begins the body of a request; `waits` is whether the client waits for `100 Continue`. `None` if there is no
    /// body.
    pub(crate) fn begin_body(self: &Rc<Self>, framing: BodyFraming, waits: bool) -> Option<BodyReader> {
        let mut input = self.input.borrow_mut();
        input.turn += 1;
        input.body = BodyDecoder::of_request(framing);
        if input.body.is_ended() {
            input.pending_100_continue = None;
            return None;
        }
        input.pending_100_continue = waits.then(|| WriteBuffer::of(CONTINUE));
        Some(BodyReader { connection: Rc::downgrade(self), turn: input.turn })
    }

    fn poll_body(&self, turn: u64, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BadBody>>> {
        debug_assert!(self.connection_state.is_served_by(context.waker()), "two tasks cannot wait for one socket");
        loop {
            {
                let input = &mut *self.input.borrow_mut();
                if input.turn != turn {
                    return Poll::Ready(Some(Err(BadBody)));
                }
                let part = input.body.next(&mut input.buffer);
                if matches!(part, Ok(Some(_))) || input.body.is_ended() {
                    // Framing bytes do not count as activity.
                    self.connection_state.body_came(true);
                }
                match part {
                    Ok(Some(BodyPart::Data(data))) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                    Ok(Some(BodyPart::Trailers(trailers))) => return Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
                    Ok(None) if input.body.is_ended() => return Poll::Ready(None),
                    Ok(None) if input.is_ended => return Poll::Ready(Some(Err(BadBody))),
                    Ok(None) => {}
                    // The error stays, and no other head is parsed after it.
                    Err(bad) => return Poll::Ready(Some(Err(bad))),
                }
            }
            ready!(self.poll_wanted(context));
        }
    }

    /// Whether all of the body was read.
    pub(crate) fn is_body_over(&self) -> bool {
        self.input.borrow().body.is_ended()
    }

    /// Discards what has arrived of an unread body. The client may send all of it before it reads the response.
    pub(crate) fn discard_body(&self, context: &mut Context<'_>) {
        let mut left = u64::MAX;
        // The client decides how far it gets: `ClientTimeouts` ends the wait if it reads nothing.
        let _ = self.poll_finish(context, &mut left);
    }

    /// Drains the unread request body and invalidates its reader; with `waits`, also bytes still in flight. Returns
    /// whether the body ended.
    pub(crate) async fn drain_body(&self, waits: bool) -> bool {
        let mut left = MAX_DRAIN_BYTES;
        let mut finished = pin!(std::future::poll_fn(|context| self.poll_finish(context, &mut left)));
        if waits {
            return timeout(DRAIN_TIMEOUT, finished).await.unwrap_or(false);
        }
        std::future::poll_fn(|context| Poll::Ready(finished.as_mut().poll(context) == Poll::Ready(true))).await
    }

    fn poll_finish(&self, context: &mut Context<'_>, left: &mut u64) -> Poll<bool> {
        let input = &mut *self.input.borrow_mut();
        // Readers have no right to the discarded bytes.
        input.turn += 1;
        loop {
            // If the client waits for `100 Continue`, it is unknown whether the body will come at all.
            if input.body.is_ended() || input.is_ended || input.pending_100_continue.is_some() {
                return Poll::Ready(input.body.is_ended());
            }
            if input.body.size_hint() > *left {
                return Poll::Ready(false);
            }
            match input.body.next(&mut input.buffer) {
                Ok(Some(BodyPart::Data(data))) => *left = left.saturating_sub(data.len() as u64),
                Ok(Some(BodyPart::Trailers(_))) => {}
                Err(BadBody) => return Poll::Ready(false),
                Ok(None) if input.body.is_ended() => {}
                Ok(None) => ready!(fill(context, &mut self.socket.borrow_mut(), input, BODY_READ_BYTES)),
            }
        }
    }

    /// Ready when the client has gone. Until then, reads ahead at most as much as a head may need. A client that has
    /// half-closed may still read, and only a write shows whether it does. So `ClientTimeouts` ends the wait for a
    /// client that is not written to, and wakes the task now and then to check whether the client has gone.
    pub(crate) fn poll_gone(&self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            {
                let input = &mut *self.input.borrow_mut();
                if input.is_broken {
                    return Poll::Ready(());
                }
                if input.is_ended {
                    self.connection_state.half_closed();
                    // The kernel reports it once, and then forgets it.
                    input.is_broken = self.socket.borrow().is_broken();
                    return if input.is_broken { Poll::Ready(()) } else { Poll::Pending };
                }
                if input.buffer.len() >= SMALL_READ_BYTES {
                    // The rest stays unread.
                    return Poll::Pending;
                }
            }
            ready!(self.poll_fill(context, SMALL_READ_BYTES));
            if !self.is_body_over() {
                // The reader polled before this input came.
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    /// Whether the client has closed its side.
    pub(crate) fn is_half_closed(&self) -> bool {
        self.input.borrow().is_ended
    }

    /// Writes as much as the client takes.
    pub(crate) fn poll_write(&self, context: &mut Context<'_>, output: &mut WriteBuffer) -> Poll<io::Result<()>> {
        let socket = &mut *self.socket.borrow_mut();
        let input = &mut *self.input.borrow_mut();
        let before = output.left();
        let mut written = Poll::Ready(Ok(()));
        if let Some(pending_100_continue) =
            input.pending_100_continue.as_mut().filter(|pending_100_continue| pending_100_continue.is_begun())
        {
            written = pending_100_continue.poll_write(context, socket);
        }
        if matches!(written, Poll::Ready(Ok(()))) {
            written = output.poll_write(context, socket);
        }
        self.connection_state.client_read(written.is_ready() || output.left() < before, written.is_pending());
        written
    }

    /// Ends the connection with a reset: the response broke off, and there is no other way to signal that.
    pub(crate) fn end_with_reset(&self) {
        self.socket.borrow().end_with_reset();
    }

    /// Closes the connection so that the last response arrives. With `lingers`, the client may still be sending.
    pub(crate) async fn close(&self, lingers: bool) {
        let mut closing = LingeringClose::default();
        // The result does not matter: the connection is dropped next.
        let _ = std::future::poll_fn(|context| {
            let socket = &mut *self.socket.borrow_mut();
            if lingers {
                closing.poll(context, socket, &self.connection_state)
            } else {
                Pin::new(socket).poll_shutdown(context)
            }
        })
        .await;
    }

    /// Reads more of a body for a waiting reader. Before that, sends `100 Continue` if the client waits for it.
    fn poll_wanted(&self, context: &mut Context<'_>) -> Poll<()> {
        let input = &mut *self.input.borrow_mut();
        let socket = &mut *self.socket.borrow_mut();
        if let Some(pending_100_continue) = &mut input.pending_100_continue {
            // If the connection is broken, the read reports it.
            let _ = ready!(pending_100_continue.poll_write(context, socket));
            input.pending_100_continue = None;
        }
        let filled = fill(context, socket, input, BODY_READ_BYTES);
        if filled.is_pending() {
            self.connection_state.body_came(false);
        }
        filled
    }

    /// Reads once, up to `most` bytes. Ready when bytes have arrived or the input has ended.
    fn poll_fill(&self, context: &mut Context<'_>, most: usize) -> Poll<()> {
        fill(context, &mut self.socket.borrow_mut(), &mut self.input.borrow_mut(), most)
    }
}

fn fill(context: &mut Context<'_>, socket: &mut Socket, input: &mut Input, most: usize) -> Poll<()> {
    let wanted = usize::try_from(input.body.size_hint()).unwrap_or(usize::MAX);
    let read = if wanted > SMALL_READ_BYTES && most > SMALL_READ_BYTES {
        // A large body: read it directly into its own block.
        input.buffer.reserve(wanted.min(most));
        ready!(pin!(socket.read_buf(&mut input.buffer)).poll(context))
    } else {
        ready!(socket.poll_append(context, &mut input.buffer))
    };
    match read {
        Ok(1..) => {}
        Ok(0) => input.is_ended = true,
        // This includes an unannounced end of TLS (RFC 8446 §6.1): such a client does not intend to read on.
        Err(_) => (input.is_ended, input.is_broken) = (true, true),
    }
    Poll::Ready(())
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Arc,
        task::{Wake, Waker},
    };

    use tokio::{
        io::AsyncWriteExt,
        net::{TcpListener, TcpStream},
    };

    use super::*;
    use crate::edge::{
        net::tcp::Tcp,
        timer::client_timeouts::{ClientTimeouts, Timeouts},
    };

    struct NoWaker;

    impl Wake for NoWaker {
        fn wake(self: Arc<Self>) {}
    }

    #[tokio::test]
    async fn a_stale_reader_gets_nothing_of_the_next_body_and_keeps_nothing_open() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let socket = Socket::Plain(Tcp(listener.accept().await.unwrap().0));
        let connection_state = ClientTimeouts::new(Timeouts { head: Duration::MAX, idle: Duration::MAX }).enrol();
        let connection = Rc::new(Http1Connection::new(socket, BytesMut::new(), Rc::clone(&connection_state)));
        let waker = Waker::from(Arc::new(NoWaker));
        connection_state.remember(&waker);
        let polled = |reader: &BodyReader| reader.poll(&mut Context::from_waker(&waker));
        let first = connection.begin_body(BodyFraming::Length(10), false).unwrap();
        assert!(polled(&first).is_pending());
        client.write_all(b"first body").await.unwrap();
        assert!(connection.drain_body(true).await);
        assert!(matches!(polled(&first), Poll::Ready(Some(Err(BadBody)))) && !first.is_over());
        let second = connection.begin_body(BodyFraming::Length(11), false).unwrap();
        client.write_all(b"second body").await.unwrap();
        std::future::poll_fn(|context| connection.poll_fill(context, SMALL_READ_BYTES)).await;
        for _ in 0..2 {
            assert!(matches!(polled(&first), Poll::Ready(Some(Err(BadBody)))));
        }
        let Poll::Ready(Some(Ok(data))) = polled(&second) else { panic!("it has come") };
        assert!(data.into_data().unwrap() == "second body" && second.is_over() && !first.is_over());
        assert!(Rc::into_inner(connection).is_some(), "readers do not hold the connection");
        assert!(matches!(polled(&second), Poll::Ready(Some(Err(BadBody)))));
    }
}
