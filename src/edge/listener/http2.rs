//! The HTTP/2 server: the h2 library reads and writes frames, the pipeline answers requests, and each request has a
//! task of its own. Time limits for requests are in `stream_guard`; those for the connection are in `client_timeouts`,
//! which sees the raw bytes. The library refuses malformed frames and heads, but does not report missing ones.

use std::{
    cell::Cell,
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use h2::{
    Reason, RecvStream, SendStream,
    server::{Builder, Connection, SendResponse},
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response,
    header::{CONNECTION, DATE, TE, TRANSFER_ENCODING, UPGRADE},
};
use http_body::Body;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tracing::debug;

use super::worker::Worker;
use crate::edge::{
    body::incoming::Incoming,
    http::client_address::Peer,
    http1::request_head::{BadHead, MAX_HEAD_BYTES},
    http2::{
        body::Http2Body,
        frame_tracker::Frames,
        trailers::{ExpectedTrailers, SharedTrailerCounts},
    },
    net::{client_stream::Socket, lingering_close::LingeringClose},
    pipeline::{self, response_body::ResponseBody},
    timer::{
        client_timeouts::{ConnectionState, Order},
        stream_guard::{Guard, StreamLimits},
    },
};

/// The most concurrent requests of one connection: the minimum that RFC 9113 §6.5.2 recommends, and what others use.
const MAX_STREAMS: u32 = 100;

/// How much of a body may wait until its service takes it. The connection's window is the sum of all streams' windows,
/// so that bodies that no service takes do not block the client's other requests.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = MAX_STREAMS * STREAM_WINDOW_BYTES;

/// How much of a response may wait in the library until the socket takes it.
const UNSENT_BYTES: usize = 64 * 1024;

/// Serves a client until the connection ends.
pub(crate) async fn serve(
    worker: &Rc<Worker>,
    socket: Socket,
    first: BytesMut,
    peer: Peer,
    connection_state: &Rc<ConnectionState>,
) {
    let mut frames = Frames::new();
    frames.follow(&first);
    connection_state.speaks_http2(frames.in_head());
    let has_fragment = Rc::new(Cell::new(frames.has_fragment()));
    let trailers = frames.trailers();
    let observed = ObservedIo {
        socket,
        first,
        frames,
        has_fragment: Rc::clone(&has_fragment),
        connection_state: Rc::clone(connection_state),
        closing: LingeringClose::default(),
        is_shut: false,
    };
    let served = match worker.http2.handshake(observed).await {
        Ok(connection) => {
            Box::pin(respond_to_all(worker, connection, Rc::new(peer), connection_state, &has_fragment, &trailers))
                .await
        }
        Err(error) => Err(error),
    };
    if let Err(error) = served {
        debug!(%error, "a client's connection broke");
    }
}

async fn respond_to_all(
    worker: &Rc<Worker>,
    mut connection: Connection<ObservedIo, Bytes>,
    peer: Rc<Peer>,
    connection_state: &Rc<ConnectionState>,
    has_fragment: &Cell<bool>,
    trailers: &SharedTrailerCounts,
) -> Result<(), h2::Error> {
    let (mut draining, mut has_asked) = (false, false);
    std::future::poll_fn(|context| {
        let must_end = match connection_state.order() {
            Order::Serve | Order::Close => false,
            // A new connection may send its first request: the client has no better one.
            Order::Leave => has_asked,
            Order::Drain => true,
        };
        if must_end && !draining {
            draining = true;
            connection.graceful_shutdown();
        }
        while let Some(accepted) = ready!(connection.poll_accept(context)) {
            let (request, sender) = accepted?;
            // An entry of the dynamic table can repeat a target that was sent with a fragment, and there the fragment
            // cannot be detected: so this connection serves no more requests.
            let is_refused = has_fragment.get();
            has_asked = true;
            if (is_refused || connection_state.order() == Order::Leave) && !draining {
                draining = true;
                connection.graceful_shutdown();
            }
            let trailers = ExpectedTrailers::of(trailers, request.body().stream_id().as_u32());
            let (worker, peer, connection_state) = (Rc::clone(worker), Rc::clone(&peer), Rc::clone(connection_state));
            let asked = Asked { request, trailers, sender, is_refused };
            // The future is built inside: built outside, it would need its space twice.
            tokio::task::spawn_local(async move { respond(&worker, &peer, &connection_state, asked).await });
        }
        Poll::Ready(Ok(()))
    })
    .await
}

/// A request, with what is needed to respond to it.
struct Asked {
    request: Request<RecvStream>,
    trailers: ExpectedTrailers,
    sender: SendResponse<Bytes>,
    is_refused: bool,
}

/// Responds to one request. If the client cancels it, everything in progress for it is dropped.
async fn respond(worker: &Worker, peer: &Peer, connection_state: &Rc<ConnectionState>, asked: Asked) {
    let Asked { request, trailers, mut sender, is_refused } = asked;
    let is_head = request.method() == Method::HEAD;
    let (parts, body) = request.into_parts();
    let mut head = parts.into();
    let idle = worker.core.listener.idle_timeout;
    let body = Incoming::http2(body, trailers, &worker.core.upstream.streams, idle);
    let unread = body.http2_body();
    let response = if is_refused {
        drop(body);
        Some(pipeline::refuse(&worker.core, connection_state, BadHead::Target))
    } else {
        let mut answering = pin!(pipeline::respond(&worker.core, peer, connection_state, &mut head, body));
        std::future::poll_fn(|context| match answering.as_mut().poll(context) {
            Poll::Ready(response) => Poll::Ready(Some(response)),
            Poll::Pending => sender.poll_reset(context).map(|_| None),
        })
        .await
    };
    let Some(mut response) = response else { return };
    if unread.as_ref().is_some_and(|body| body.borrow().is_malformed()) {
        return sender.send_reset(Reason::PROTOCOL_ERROR);
    }
    if is_head {
        ResponseBody::withheld(&mut response);
    }
    let (mut parts, mut body) = Response::from(*response).into_parts();
    prepare(worker, &mut parts.headers);
    let has_ended = body.is_end_stream();
    match sender.send_response(Response::from_parts(parts, ()), has_ended) {
        Ok(_) if has_ended => body.complete(),
        Ok(stream) => {
            let terms = StreamLimits { idle, deadline: None, token: None };
            send(stream, body, Guard::new(&worker.core.upstream.streams, terms, None)).await;
        }
        Err(error) => {
            debug!(%error, "a response could not be sent");
            sender.send_reset(Reason::INTERNAL_ERROR);
        }
    }
    if let Some(body) = unread {
        Http2Body::discard(&body).await;
    }
}

/// Removes the headers that concern the connection: HTTP/2 does not allow them (RFC 9113 §8.2.2).
fn prepare(worker: &Worker, headers: &mut HeaderMap) {
    static OF_CONNECTION: [HeaderName; 6] = [
        CONNECTION,
        TRANSFER_ENCODING,
        UPGRADE,
        TE,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ];
    for name in &OF_CONNECTION {
        headers.remove(name);
    }
    if !headers.contains_key(DATE)
        && let Ok(date) = worker.with_date(HeaderValue::from_str)
    {
        headers.insert(DATE, date);
    }
}

/// Sends a response's body as the client takes it. `of_client` limits the wait for the client while the response itself
/// has no limit. If the client cancels the request, or the time is over, only the stream ends.
async fn send(mut stream: SendStream<Bytes>, body: ResponseBody, mut of_client: Guard) {
    let mut body = pin!(body);
    let mut rest = Bytes::new();
    let reason = std::future::poll_fn(|context| {
        loop {
            if stream.poll_reset(context).is_ready() {
                return Poll::Ready(Ok(()));
            }
            while !rest.is_empty() {
                if stream.capacity() == 0 {
                    // Reserve no more than there is data: capacity reserved by a stream is not available to the
                    // connection's others.
                    stream.reserve_capacity(rest.len().min(UNSENT_BYTES));
                }
                let room = match stream.capacity() {
                    0 => match stream.poll_capacity(context) {
                        Poll::Ready(Some(Ok(room))) => room,
                        Poll::Ready(_) => return Poll::Ready(Ok(())),
                        Poll::Pending => {
                            let guard = body.guard().unwrap_or(&mut of_client);
                            guard.start_idle_timer(context.waker());
                            if guard.end_reason().is_some() {
                                return Poll::Ready(Err(Reason::CANCEL));
                            }
                            // A client that takes no more may still be sending a body that the service waits for.
                            body.go_on_uploading(context);
                            return Poll::Pending;
                        }
                    },
                    room => room,
                };
                body.guard().unwrap_or(&mut of_client).pause_idle_timer();
                let part = rest.split_to(room.min(rest.len()));
                let (bytes, is_last) = (part.len(), rest.is_empty() && body.is_end_stream());
                if stream.send_data(part, is_last).is_err() {
                    return Poll::Ready(Ok(()));
                }
                body.sent(bytes);
                if is_last {
                    body.complete();
                    return Poll::Ready(Ok(()));
                }
            }
            let sent = match ready!(body.as_mut().poll_frame(context)) {
                None => stream.send_data(Bytes::new(), true),
                Some(Err(_)) => return Poll::Ready(Err(Reason::INTERNAL_ERROR)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() && body.is_end_stream() => stream.send_data(data, true),
                    Ok(data) => {
                        rest = data;
                        continue;
                    }
                    Err(frame) => stream.send_trailers(frame.into_trailers().unwrap_or_default()),
                },
            };
            // If sending failed, the stream has ended already.
            if sent.is_ok() {
                body.complete();
            }
            return Poll::Ready(Ok(()));
        }
    })
    .await;
    if let Err(reason) = reason {
        stream.send_reset(reason);
    }
}

/// The settings of the HTTP/2 server. Time limits are enforced elsewhere; all other violations are refused by the
/// library.
pub(crate) fn builder() -> Builder {
    /// Streams that a client may open and reset before they are handled (CVE-2023-44487), and errors of its own that it
    /// may have us answer (CVE-2025-8671).
    const MAX_RESETS: usize = 20;
    /// How many bytes of useless frames a client may send, such as bodies in very small parts.
    const OVERHEAD_BYTES: usize = 512 * 1024;

    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(Some(MAX_RESETS * 5))
        .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX))
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .data_frame_budget(OVERHEAD_BYTES)
        .max_send_buffer_size(UNSENT_BYTES);
    builder
}

/// The client's socket as the library sees it; reads and writes are reported to `ConnectionState`.
struct ObservedIo {
    socket: Socket,
    /// The bytes that were read before the protocol was known.
    first: BytesMut,
    frames: Frames,
    has_fragment: Rc<Cell<bool>>,
    connection_state: Rc<ConnectionState>,
    closing: LingeringClose,
    is_shut: bool,
}

impl AsyncRead for ObservedIo {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.first.is_empty() {
            let length = this.first.len().min(buf.remaining());
            buf.put_slice(&this.first[..length]);
            this.first.advance(length);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut this.socket).poll_read(context, buf);
        if buf.filled().len() > before {
            this.frames.follow(&buf.filled()[before..]);
            this.has_fragment.set(this.frames.has_fragment());
            this.connection_state.on_read(this.frames.in_head());
        }
        read
    }
}

impl AsyncWrite for ObservedIo {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write(context, bytes);
        this.connection_state.client_read(written.is_ready(), written.is_pending());
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write_vectored(context, slices);
        this.connection_state.client_read(written.is_ready(), written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.socket).poll_flush(context);
        this.connection_state.client_read(false, flushed.is_pending());
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.is_shut {
            ready!(this.closing.poll(context, &mut this.socket, &this.connection_state))?;
            this.is_shut = true;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, task::Waker, time::Duration};

    use rcgen::{CertificateParams, KeyPair};
    use rustls::{
        ClientConfig, RootCertStore,
        crypto::aws_lc_rs,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName},
        sign::CertifiedKey,
    };
    use tokio::{
        io::AsyncReadExt,
        net::{TcpListener, TcpStream},
    };
    use tokio_rustls::{TlsConnector, client::TlsStream};

    use super::*;
    use crate::edge::{
        net::tls::Terminator,
        timer::client_timeouts::{ClientTimeouts, Timeouts},
    };

    /// Both ends of a TLS connection.
    async fn connected() -> (TlsStream<TcpStream>, Socket) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["www.jinmini.com".to_owned()]).unwrap().self_signed(&key).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certified = CertifiedKey::from_der(vec![certificate.der().clone()], key, &provider).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let client = Arc::new(client.with_root_certificates(roots).with_no_client_auth());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let terminator = Terminator::new(Arc::new(certified)).unwrap();
        let accepted = async { terminator.accept(listener.accept().await.unwrap().0).await };
        let name = ServerName::try_from("www.jinmini.com").unwrap();
        let (client, server) = tokio::join!(TlsConnector::from(client).connect(name, stream), accepted);
        (client.unwrap(), Socket::Tls(Box::new(server.unwrap())))
    }

    #[tokio::test]
    async fn bytes_held_by_tls_are_not_sent_yet() {
        const PART: [u8; 16 * 1024] = [b'a'; 16 * 1024];
        const MORE_THAN_SOCKETS_TAKE: usize = 256 * 1024 * 1024;
        let (mut client, socket) = connected().await;
        let limits = Timeouts { head: Duration::MAX, idle: Duration::MAX };
        let mut observed = ObservedIo {
            socket,
            first: BytesMut::new(),
            frames: Frames::new(),
            has_fragment: Rc::default(),
            connection_state: ClientTimeouts::new(limits).enrol(),
            closing: LingeringClose::default(),
            is_shut: false,
        };
        assert!(observed.is_write_vectored(), "a head and its body go out at once");
        let mut written = 0;
        // Tokio's cooperative budget would return `Pending` from time to time.
        let is_flushed = tokio::task::unconstrained(async {
            let mut context = Context::from_waker(Waker::noop());
            while let Poll::Ready(part) = Pin::new(&mut observed).poll_write(&mut context, &PART) {
                let part = part.unwrap();
                written += part;
                assert!(part > 0 && written < MORE_THAN_SOCKETS_TAKE);
            }
            Pin::new(&mut observed).poll_flush(&mut context).is_ready()
        });
        assert!(!is_flushed.await);
        let mut read = vec![0; written];
        let flushed = std::future::poll_fn(|context| Pin::new(&mut observed).poll_flush(context));
        let (flushed, read) = tokio::join!(flushed, client.read_exact(&mut read));
        flushed.unwrap();
        assert_eq!(read.unwrap(), written);
    }
}
