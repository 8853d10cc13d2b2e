//! One request and its response on an HTTP/1.1 connection to a service. The task that waits for the response drives it:
//! there is no other task, and nothing else between the two sockets.

use std::{
    cell::Cell,
    future::Future,
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame};
use tokio::io::AsyncReadExt;

use crate::edge::{
    body::request_body::RequestBody,
    error::Failure,
    http::message::BodyLength,
    http1::{
        body_decoder::{BodyDecoder, BodyPart},
        body_encoder::BodyEncoder,
        response_head::{BadResponseHead, MAX_RESPONSE_HEAD_BYTES, ResponseHead},
        write_buffer::WriteBuffer,
    },
    limits::local_permit::LocalPermit,
    net::{
        tcp::SMALL_READ_BYTES,
        turn::{TURN_BYTES, end_turn},
    },
    timer::deadlines::Waiting,
    upstream::{cluster::endpoint::Endpoint, connector::Connector, pool::http1::Connection, request::UpstreamRequest},
};

/// The size of one body read, for most bodies and for those that fill it: each read costs two system calls and, on a
/// busy machine, a switch to another process.
const BODY_READ_BYTES: usize = 64 * 1024;
const LARGE_READ_BYTES: usize = 256 * 1024;

/// How many bodies of a core may be read in large parts at a time: one such part is held for each client that does not
/// take it.
const MAX_LARGE_READS: usize = 64;

thread_local! {
    static LARGE_READS: Cell<usize> = const { Cell::new(0) };
}

/// The size of the next body read.
#[derive(Debug, Default)]
struct ReadSize {
    large: Option<LocalPermit>,
}

impl ReadSize {
    fn bytes(&self) -> usize {
        if self.large.is_some() { LARGE_READ_BYTES } else { BODY_READ_BYTES }
    }

    /// Adapts the size to the number of bytes read: if they filled the buffer, there are more.
    fn after(&mut self, read: usize) {
        if self.large.is_none() && read >= BODY_READ_BYTES {
            self.large = LocalPermit::try_acquire(MAX_LARGE_READS, &LARGE_READS);
        }
    }
}

/// One request and its response on an HTTP/1.1 connection.
pub(crate) struct Http1Exchange {
    /// `None` after the connection was given back.
    connection: Option<Connection>,
    endpoint: Rc<Endpoint>,
    writer: RequestWriter,
    response: BodyDecoder,
    read_size: ReadSize,
    /// Whether the service keeps the connection open after this response.
    stays_open: bool,
}

/// The state of sending the request.
struct RequestWriter {
    output: WriteBuffer,
    encoder: BodyEncoder,
    body: RequestBody,
    has_ended: bool,
    /// The service takes no more. It may have sent a response before that.
    is_refused: bool,
    has_begun: bool,
}

/// A request that got no response.
pub(crate) struct Unanswered {
    pub(crate) failure: Failure,
    /// Whether any of it may have reached the service.
    pub(crate) was_sent: bool,
}

impl Http1Exchange {
    /// Sends a request and waits for the head of its response, until `waiting` is over.
    pub(crate) async fn begin(
        connection: Connection,
        endpoint: &Rc<Endpoint>,
        outgoing: &UpstreamRequest<'_>,
        mut waiting: Waiting,
    ) -> Result<(ResponseHead, BodyLength, Box<Self>), Unanswered> {
        let mut output = WriteBuffer::new();
        let encoder = outgoing.put_head(endpoint, output.head());
        let mut exchange = Box::new(Self {
            connection: Some(connection),
            endpoint: Rc::clone(endpoint),
            writer: RequestWriter {
                output,
                has_ended: false,
                encoder,
                body: outgoing.body().share(),
                is_refused: false,
                has_begun: false,
            },
            response: BodyDecoder::Ended,
            read_size: ReadSize::default(),
            stays_open: false,
        });
        let is_head = outgoing.is_head();
        let (mut interim, was_asked) = (0, outgoing.upgrade().is_some());
        let answered = std::future::poll_fn(|context| {
            if let Poll::Ready(Err(failure)) = exchange.poll_upload(context) {
                return Poll::Ready(Err(failure));
            }
            let Some(connection) = &mut exchange.connection else { return Poll::Ready(Err(Failure::Internal)) };
            if let Poll::Ready(head) = poll_head(connection, &exchange.endpoint.connector, &mut interim, context) {
                return Poll::Ready(head);
            }
            if waiting.poll(|| exchange.writer.body.service_awaited_since(), context).is_ready() {
                return Poll::Ready(Err(Failure::ResponseTimeout));
            }
            Poll::Pending
        })
        .await;
        let read = answered.and_then(|head| {
            if head.status == StatusCode::SWITCHING_PROTOCOLS && !was_asked {
                return Err(Failure::BadResponse);
            }
            let (framing, length) = head.framing(is_head).map_err(|BadResponseHead| Failure::BadResponse)?;
            exchange.response = BodyDecoder::of_response(framing);
            exchange.stays_open = head.stays_open();
            Ok((head, length))
        });
        let was_sent = exchange.writer.has_begun;
        read.map(|(head, length)| (head, length, exchange)).map_err(|failure| Unanswered { failure, was_sent })
    }

    /// Whether all of the response was read.
    pub(crate) fn is_answered(&self) -> bool {
        self.response.is_ended()
    }

    /// Whether some of the request is still to be sent.
    pub(crate) fn is_uploading(&self) -> bool {
        let upload = &self.writer;
        self.connection.is_some() && !upload.is_refused && !(upload.has_ended && upload.output.is_empty())
    }

    /// The connection itself, after a 101.
    pub(crate) fn switched(mut self) -> Option<Connection> {
        self.connection.take()
    }

    /// Ends the exchange after the response was read. The connection is kept for another request, if it is in a
    /// reusable state.
    pub(crate) fn give_back(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        if self.stays_open && self.writer.has_ended && !self.writer.is_refused && self.writer.output.is_empty() {
            self.endpoint.http1.put(connection, std::time::Instant::now(), self.endpoint.connection_age());
        }
    }

    /// The next part of the response's body.
    pub(crate) fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.response.is_ended() {
            return Poll::Ready(None);
        }
        if let Poll::Ready(Err(_)) = self.poll_upload(context) {
            return Poll::Ready(Some(Err(super::request_broke_off())));
        }
        let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
        loop {
            match self.response.next(&mut connection.input).map_err(io::Error::other) {
                Err(error) => return Poll::Ready(Some(Err(error))),
                Ok(Some(BodyPart::Data(data))) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(Some(BodyPart::Trailers(trailers))) => return Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
                Ok(None) if self.response.is_ended() => return Poll::Ready(None),
                Ok(None) => {}
            }
            match ready!(fill(connection, self.response.size_hint(), self.read_size.bytes(), context)) {
                Ok(0) => match self.response.close() {
                    Ok(()) => return Poll::Ready(None),
                    Err(error) => return Poll::Ready(Some(Err(io::Error::other(error)))),
                },
                Ok(read) => self.read_size.after(read),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }

    /// Sends as much of the request as is available and as the service takes; ready when all was sent, or no more will
    /// be.
    pub(crate) fn poll_upload(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(Ok(())) };
        let upload = &mut self.writer;
        let mut moved = 0;
        loop {
            if moved >= TURN_BYTES {
                end_turn(context);
                return Poll::Pending;
            }
            while !upload.has_ended && upload.output.has_room() {
                match Pin::new(&mut upload.body).poll_frame(context) {
                    Poll::Ready(Some(Ok(frame))) => {
                        upload.encoder.put(frame, &mut upload.output).map_err(|_| Failure::BodyBroken)?;
                    }
                    Poll::Ready(Some(Err(_))) => {
                        return Poll::Ready(Err(upload.body.failure().unwrap_or(Failure::BodyBroken)));
                    }
                    Poll::Ready(None) => {
                        upload.has_ended = true;
                        upload.encoder.finish(&mut upload.output).map_err(|_| Failure::BodyBroken)?;
                    }
                    Poll::Pending => break,
                }
            }
            if upload.output.is_empty() || upload.is_refused {
                return if upload.has_ended { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
            moved += upload.output.left();
            let written = upload.output.poll_write(context, &mut connection.stream);
            upload.has_begun |= upload.output.is_begun() || matches!(written, Poll::Ready(Ok(())));
            if ready!(written).is_err() {
                // A response that it sent before that can still be read.
                (upload.is_refused, upload.has_ended) = (true, true);
            }
        }
    }
}

/// The head of the response, after the interim ones, which have `interim` bytes in total.
fn poll_head(
    connection: &mut Connection,
    connector: &Connector,
    interim: &mut usize,
    context: &mut Context<'_>,
) -> Poll<Result<ResponseHead, Failure>> {
    loop {
        if !connection.input.is_empty() {
            let before = connection.input.len();
            match ResponseHead::take(&mut connection.input) {
                Err(BadResponseHead) => return Poll::Ready(Err(Failure::BadResponse)),
                Ok(Some(head)) if head.is_interim() => {
                    // They are not passed on: no client may rely on them.
                    *interim += before - connection.input.len();
                    if *interim > MAX_RESPONSE_HEAD_BYTES {
                        return Poll::Ready(Err(Failure::BadResponse));
                    }
                    continue;
                }
                Ok(Some(head)) => return Poll::Ready(Ok(head)),
                Ok(None) if before > MAX_RESPONSE_HEAD_BYTES => return Poll::Ready(Err(Failure::BadResponse)),
                Ok(None) => {}
            }
        }
        match ready!(fill(connection, 0, 0, context)) {
            Ok(1..) => {}
            Ok(0) => return Poll::Ready(Err(Failure::HungUp)),
            Err(error) => {
                connector.on_broken(&error);
                return Poll::Ready(Err(Failure::HungUp));
            }
        }
    }
}

/// Reads once. Returns the number of bytes read. `wanted` is how many more are to come, as far as is known; `most` is
/// how many of them may be read.
fn fill(connection: &mut Connection, wanted: u64, most: usize, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
    let Connection { stream, input, .. } = connection;
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX).min(most);
    if wanted > SMALL_READ_BYTES {
        // A large body: read it directly into its own block.
        input.reserve(wanted);
        return pin!(stream.read_buf(input)).poll(context);
    }
    stream.poll_append(context, input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_bodies_read_in_large_parts_is_limited() {
        let mut sizes: Vec<ReadSize> = (0..=MAX_LARGE_READS).map(|_| ReadSize::default()).collect();
        let read = |sizes: &mut Vec<ReadSize>, bytes| {
            for size in sizes {
                size.after(bytes);
            }
        };
        read(&mut sizes, BODY_READ_BYTES - 1);
        assert!(sizes.iter().all(|size| size.bytes() == BODY_READ_BYTES), "less than there is room for");
        read(&mut sizes, BODY_READ_BYTES);
        read(&mut sizes, LARGE_READ_BYTES);
        assert_eq!(sizes.iter().filter(|size| size.bytes() == LARGE_READ_BYTES).count(), MAX_LARGE_READS);
        drop(sizes);
        let mut next = ReadSize::default();
        next.after(BODY_READ_BYTES);
        assert_eq!(next.bytes(), LARGE_READ_BYTES, "those that have ended do not count");
    }
}
