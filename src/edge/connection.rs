//! Serves one client connection: hyper parses and frames, the pipeline answers, the watchdog may end it.

use std::{
    convert::Infallible,
    future::Future,
    pin::{Pin, pin},
    rc::Rc,
    task::Poll,
};

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tracing::debug;

use super::{
    client::Peer,
    pipeline,
    socket::{ClientSocket, Protocol},
    watchdog::{Order, Vitals},
    worker::Core,
};

/// Serves until the connection ends.
pub(super) async fn serve(core: Rc<Core>, stream: TcpStream, peer: Peer) {
    let vitals = core.watchdog.enrol();
    if core.is_draining() {
        return;
    }
    // Answers are written whole; waiting to fill packets would only delay them.
    let _ = stream.set_nodelay(true);
    converse(core, stream, peer, vitals).await;
}

/// Answers requests in the protocol that the client speaks.
async fn converse<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    core: Rc<Core>,
    stream: S,
    peer: Peer,
    vitals: Rc<Vitals>,
) {
    let mut socket = ClientSocket::new(stream, Rc::clone(&vitals));
    let protocol =
        obeying(&vitals, pin!(std::future::poll_fn(|context| socket.poll_protocol(context))), |_| false).await;
    let Some(Ok(protocol)) = protocol else { return };
    let (peer, of_requests) = (Rc::new(peer), Rc::clone(&vitals));
    let service = {
        let core = Rc::clone(&core);
        service_fn(move |request| {
            let answer = pipeline::answer(Rc::clone(&core), Rc::clone(&peer), Rc::clone(&of_requests), request);
            async move { Ok::<_, Infallible>(answer.await) }
        })
    };
    let io = TokioIo::new(socket);
    let ended = match protocol {
        Protocol::Http1 => {
            let connection = pin!(core.http1.serve_connection(io, service));
            obeying(&vitals, connection, |connection| {
                connection.graceful_shutdown();
                true
            })
            .await
        }
        Protocol::Http2 => {
            // In a place of its own: a connection of HTTP/1.1 need not be as large.
            let mut connection = Box::pin(core.http2.serve_connection(io, service));
            obeying(&vitals, connection.as_mut(), |connection| {
                connection.graceful_shutdown();
                true
            })
            .await
        }
    };
    if let Some(Err(error)) = ended {
        debug!(%error, "a client's connection broke");
    }
}

/// What `work` comes to, unless the watchdog orders otherwise. Told to drain, `drain` says whether it goes on.
async fn obeying<F: Future>(
    vitals: &Vitals,
    mut work: Pin<&mut F>,
    drain: impl Fn(Pin<&mut F>) -> bool,
) -> Option<F::Output> {
    let mut draining = false;
    std::future::poll_fn(|context| {
        vitals.remember(context.waker());
        match vitals.order() {
            Order::Serve => {}
            Order::Drain if draining => {}
            Order::Drain => {
                draining = true;
                if !drain(work.as_mut()) {
                    return Poll::Ready(None);
                }
            }
            Order::Close => return Poll::Ready(None),
        }
        work.as_mut().poll(context).map(Some)
    })
    .await
}
