//! Serves one client connection: detects the protocol, and serves it; `ClientTimeouts` may close the connection.

use std::{
    future::Future,
    io,
    pin::pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use tokio::{io::ReadBuf, net::TcpStream};
use tokio_rustls::server::TlsStream;
use tracing::debug;

use super::{http1, http2, phase::Phase, worker::Worker};
use crate::edge::{
    http::client_address::Peer,
    http1::{connection::Http1Connection, request_head::BadHead},
    http2::frame_tracker::PREFACE,
    net::{
        client_stream::Socket,
        tcp::Tcp,
        tls::{Terminator, speaks_http2},
    },
    timer::client_timeouts::{ConnectionState, Order},
};

/// Serves the connection until it ends.
pub(crate) async fn serve(worker: &Rc<Worker>, stream: TcpStream, peer: Peer) {
    let connection_state = worker.client_timeouts.enrol();
    if worker.phase() != Phase::Serving {
        // In the last phase it has waited to be accepted; its first request is still served.
        connection_state.give(Order::Leave);
    }
    // Responses are written whole; waiting to fill packets would only delay them.
    let _ = stream.set_nodelay(true);
    let mut speaking = pin!(speak(worker, stream, &peer, &connection_state));
    std::future::poll_fn(|context| {
        connection_state.remember(context.waker());
        match connection_state.order() {
            Order::Serve | Order::Leave | Order::Drain => speaking.as_mut().poll(context),
            Order::Close => Poll::Ready(()),
        }
    })
    .await;
}

async fn speak(worker: &Rc<Worker>, stream: TcpStream, peer: &Peer, connection_state: &Rc<ConnectionState>) {
    let mut first = BytesMut::new();
    let (socket, protocol) = if let Some(tls) = &worker.tls {
        match unless_drained(connection_state, |context| poll_speaks_plain_http(&stream, context)).await {
            Some(false) => {}
            Some(true) => return Box::pin(refuse_plain_http(worker, stream, connection_state)).await,
            None => return,
        }
        // Boxed: a connection without TLS need not be as large.
        let Some(socket) = Box::pin(secured(tls, stream, connection_state)).await else { return };
        let protocol = if speaks_http2(&socket) { Protocol::Http2 } else { Protocol::Http1 };
        (Socket::Tls(Box::new(socket)), Some(protocol))
    } else {
        let mut socket = Socket::Plain(Tcp(stream));
        let protocol =
            unless_drained(connection_state, |context| poll_protocol(&mut socket, &mut first, context)).await;
        (socket, protocol.and_then(Result::ok))
    };
    match protocol {
        Some(Protocol::Http1) => {
            let connection = Rc::new(Http1Connection::new(socket, first, Rc::clone(connection_state)));
            http1::serve(worker, connection, peer, connection_state).await;
        }
        // Boxed: an HTTP/1.1 connection need not be as large.
        Some(Protocol::Http2) => Box::pin(http2::serve(worker, socket, first, peer.clone(), connection_state)).await,
        None => {}
    }
}

/// Responds to a plain HTTP client that this port requires TLS.
async fn refuse_plain_http(worker: &Worker, stream: TcpStream, connection_state: &Rc<ConnectionState>) {
    let connection = Http1Connection::new(Socket::Plain(Tcp(stream)), BytesMut::new(), Rc::clone(connection_state));
    http1::refuse(worker, &connection, connection_state, BadHead::PlainHttp).await;
}

/// Performs the TLS handshake. A failure is logged at debug level only.
async fn secured(
    tls: &Terminator,
    stream: TcpStream,
    connection_state: &ConnectionState,
) -> Option<TlsStream<TcpStream>> {
    let mut handshake = pin!(tls.accept(stream));
    match unless_drained(connection_state, |context| handshake.as_mut().poll(context)).await? {
        Ok(stream) => Some(stream),
        Err(error) => {
            debug!(%error, "a handshake failed");
            None
        }
    }
}

/// Whether a client begins with a request's method instead of a TLS handshake. A handshake begins with the byte 22 (RFC
/// 8446 §5.1). The byte is only peeked; there is none if the client has closed its side.
fn poll_speaks_plain_http(stream: &TcpStream, context: &mut Context<'_>) -> Poll<bool> {
    let mut first = [0];
    let peeked = ready!(stream.poll_peek(context, &mut ReadBuf::new(&mut first)));
    Poll::Ready(peeked.is_ok() && first[0].is_ascii_uppercase())
}

/// The result of `poll`; `None` if the core drains before.
async fn unless_drained<T>(
    connection_state: &ConnectionState,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Option<T> {
    std::future::poll_fn(|context| match connection_state.order() {
        Order::Drain => Poll::Ready(None),
        Order::Serve | Order::Leave | Order::Close => poll(context).map(Some),
    })
    .await
}

/// The protocol of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    /// HTTP/1.0, HTTP/1.1, or an unknown protocol.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Detects the protocol of a client without TLS by its first bytes. They are kept in `first`: nothing is read twice.
fn poll_protocol(socket: &mut Socket, first: &mut BytesMut, context: &mut Context<'_>) -> Poll<io::Result<Protocol>> {
    loop {
        let known = first.len().min(PREFACE.len());
        if first[..known] != PREFACE[..known] {
            return Poll::Ready(Ok(Protocol::Http1));
        }
        if known == PREFACE.len() {
            return Poll::Ready(Ok(Protocol::Http2));
        }
        if ready!(socket.poll_append(context, first))? == 0 {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
    }
}
