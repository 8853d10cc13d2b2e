//! The HTTP/1.x server loop: reads a head, has the request answered, writes the response, and repeats. All of it
//! happens in the connection's own task, including the exchange with the service.

use std::{
    cell::Cell,
    future::Future,
    pin::{Pin, pin},
    rc::Rc,
    task::Poll,
};

use http::{
    Version,
    header::{CONNECTION, EXPECT},
};
use http_body::Body;
use tracing::debug;

use super::worker::Worker;
use crate::edge::{
    body::incoming::Incoming,
    http::{
        client_address::Peer, field_line::put_header, header_list::HeaderList, header_values::all_elements,
        message::RequestHead,
    },
    http1::{
        body_encoder::BodyEncoder,
        connection::Http1Connection,
        request_head::{BadHead, Head},
        response_encoder::{Form, write_head},
        write_buffer::WriteBuffer,
    },
    limits::local_permit::LocalPermit,
    net::turn::{TURN_BYTES, end_turn},
    pipeline::{self, response_body::Response},
    timer::client_timeouts::{ConnectionState, Order},
    upstream::{forward::is_event_stream, upgrade::tunnel::Tunnel},
};

/// The next step after a response.
enum NextStep {
    /// Wait for the next request.
    Request,
    /// Close, as the response announced; with `linger`, the client may still be sending.
    Close { linger: bool },
    /// Close at once: the client has gone, or the response broke off.
    Gone,
    /// Switch to another protocol.
    Tunnel(Box<Tunnel>),
}

/// How many connections per core keep their 3 KiB response future between requests. It is larger than the rest of an
/// idle connection, and too large to be allocated for each request.
const MAX_KEPT: usize = 64;

thread_local! {
    static KEPT: Cell<usize> = const { Cell::new(0) };
}

/// The next event from a client.
enum ClientEvent {
    /// It sends a request.
    Request,
    /// It has been idle for a while.
    Pause,
    /// It has ended.
    End,
}

/// Serves a client until the connection ends.
pub(crate) async fn serve(
    worker: &Rc<Worker>,
    connection: Rc<Http1Connection>,
    peer: &Peer,
    connection_state: &Rc<ConnectionState>,
) {
    loop {
        if !matches!(next(&connection, connection_state, false).await, ClientEvent::Request) {
            // With TLS, the end has to be sent.
            return Box::pin(connection.close(false)).await;
        }
        // Boxed, so that a connection that waits for its next request is small.
        match Box::pin(serve_requests(worker, &connection, peer, connection_state)).await {
            NextStep::Request => {}
            NextStep::Close { linger } => return Box::pin(connection.close(linger)).await,
            NextStep::Gone => return,
            NextStep::Tunnel(tunnel) => {
                let Some(connection) = Rc::into_inner(connection) else { return };
                let (socket, first) = connection.into_parts();
                return Box::pin(tunnel.run(socket, first.freeze())).await;
            }
        }
    }
}

/// Refuses the next request, and closes.
pub(crate) async fn refuse(
    worker: &Worker,
    connection: &Http1Connection,
    connection_state: &Rc<ConnectionState>,
    bad: BadHead,
) {
    if matches!(next(connection, connection_state, false).await, ClientEvent::Request) {
        let response = pipeline::refuse(&worker.core, connection_state, bad);
        if send(worker, connection, response, &Form::REFUSED, false).await.is_ok() {
            connection.close(true).await;
        }
    }
}

/// Waits for the client's next event; with `pause_counts`, at most until the client is idle.
async fn next(connection: &Http1Connection, connection_state: &ConnectionState, pause_counts: bool) -> ClientEvent {
    std::future::poll_fn(|context| match connection_state.order() {
        Order::Drain => Poll::Ready(ClientEvent::End),
        Order::Serve | Order::Leave | Order::Close => match connection.poll_head(context) {
            Poll::Ready(true) => Poll::Ready(ClientEvent::Request),
            Poll::Ready(false) => Poll::Ready(ClientEvent::End),
            Poll::Pending if pause_counts && connection_state.is_paused() => Poll::Ready(ClientEvent::Pause),
            Poll::Pending => Poll::Pending,
        },
    })
    .await
}

/// Answers the present request, and those that follow soon.
async fn serve_requests(
    worker: &Rc<Worker>,
    connection: &Rc<Http1Connection>,
    peer: &Peer,
    connection_state: &Rc<ConnectionState>,
) -> NextStep {
    let kept = LocalPermit::try_acquire(MAX_KEPT, &KEPT);
    loop {
        let after = respond(worker, connection, peer, connection_state).await;
        if kept.is_none() || !matches!(after, NextStep::Request) {
            return after;
        }
        match next(connection, connection_state, true).await {
            ClientEvent::Request => {}
            ClientEvent::Pause => return NextStep::Request,
            ClientEvent::End => return NextStep::Close { linger: false },
        }
    }
}

async fn respond(
    worker: &Rc<Worker>,
    connection: &Rc<Http1Connection>,
    peer: &Peer,
    connection_state: &Rc<ConnectionState>,
) -> NextStep {
    let head = connection.take_head();
    let is_refused = head.is_err();
    let (mut response, form) = match head {
        Err(bad) => (pipeline::refuse(&worker.core, connection_state, bad), Form::REFUSED),
        Ok(Head { mut request, framing }) => {
            let form = Form::of(&request);
            let body = connection.begin_body(framing, waits_for_100(&request)).map_or(Incoming::Empty, Incoming::Http1);
            let answering = pin!(pipeline::respond(&worker.core, peer, connection_state, &mut request, body));
            match unless_gone(connection, answering).await {
                Some(response) => (response, form),
                None => return NextStep::Gone,
            }
        }
    };
    let tunnel = response.body.take_tunnel();
    let keeps_alive = form.keeps_alive && connection_state.order() == Order::Serve && !says_close(&response.headers);
    let Ok(keeps_alive) = send(worker, connection, response, &form, keeps_alive).await else { return NextStep::Gone };
    if let Some(tunnel) = tunnel {
        return NextStep::Tunnel(tunnel);
    }
    let is_over = connection.is_body_over() || Box::pin(connection.drain_body(keeps_alive && !is_refused)).await;
    if keeps_alive && is_over && !is_refused {
        NextStep::Request
    } else {
        NextStep::Close { linger: is_refused || !is_over || connection.has_begun() }
    }
}

/// The result of `answering`; `None` if the client goes away before. A client that has only half-closed still gets its
/// response.
async fn unless_gone<T>(connection: &Http1Connection, mut answering: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    std::future::poll_fn(|context| match answering.as_mut().poll(context) {
        Poll::Ready(response) => Poll::Ready(Some(response)),
        Poll::Pending => connection.poll_gone(context).map(|()| None),
    })
    .await
}

/// The client does not get the response, or not all of it.
struct BrokenOff;

/// Writes a response. Returns whether the connection may be reused.
async fn send(
    worker: &Worker,
    connection: &Http1Connection,
    mut response: Box<Response>,
    form: &Form,
    keeps_alive: bool,
) -> Result<bool, BrokenOff> {
    let mut output = WriteBuffer::new();
    let (mut encoder, keeps_alive) = write_head(&response, form, keeps_alive, output.head(), |head| {
        worker.with_date(|date| put_header("date", date.as_bytes(), head));
    });
    let ends_with_connection = encoder == BodyEncoder::UntilClose;
    let (mut has_ended, mut is_broken) = (encoder == BodyEncoder::Nothing, false);
    let sent = std::future::poll_fn(|context| {
        let mut moved = 0;
        loop {
            if moved >= TURN_BYTES {
                end_turn(context);
                return Poll::Pending;
            }
            while !has_ended && !is_broken && output.has_room() {
                match Pin::new(&mut response.body).poll_frame(context) {
                    Poll::Ready(Some(Ok(frame))) => is_broken = encoder.put(frame, &mut output).is_err(),
                    Poll::Ready(Some(Err(_))) => is_broken = true,
                    Poll::Ready(None) => {
                        has_ended = true;
                        is_broken = encoder.finish(&mut output).is_err();
                    }
                    Poll::Pending => break,
                }
            }
            if output.is_empty() {
                return match (is_broken, has_ended) {
                    (true, _) => {
                        if ends_with_connection {
                            connection.end_with_reset();
                        }
                        Poll::Ready(Err(BrokenOff))
                    }
                    (false, true) => Poll::Ready(Ok(keeps_alive)),
                    (false, false) if connection.poll_gone(context).is_ready() => Poll::Ready(Err(BrokenOff)),
                    // An event stream has no end: a client that closes its side no longer wants it.
                    (false, false) if connection.is_half_closed() && is_event_stream(&response.headers) => {
                        Poll::Ready(Err(BrokenOff))
                    }
                    (false, false) => Poll::Pending,
                };
            }
            moved += output.left();
            let written = connection.poll_write(context, &mut output);
            response.body.sent(output.body_written());
            match written {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    debug!(%error, "a client's connection broke");
                    return Poll::Ready(Err(BrokenOff));
                }
                Poll::Pending => {
                    if response.body.is_over(context) {
                        return Poll::Ready(Err(BrokenOff));
                    }
                    // A client that does not read may still be sending: a body for the service, or an unwanted one.
                    if !response.body.go_on_uploading(context) {
                        connection.discard_body(context);
                    }
                    return Poll::Pending;
                }
            }
        }
    })
    .await;
    if sent.is_ok() {
        response.body.complete();
    }
    sent
}

fn waits_for_100(request: &RequestHead) -> bool {
    let expects = request.headers.get(&EXPECT).is_some_and(|what| what.eq_ignore_ascii_case(b"100-continue"));
    request.version == Version::HTTP_11 && expects
}

fn says_close(headers: &HeaderList) -> bool {
    all_elements(headers, CONNECTION).any(|name| name.eq_ignore_ascii_case(b"close"))
}
