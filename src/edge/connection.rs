//! Serves one client connection: hyper parses and frames, the pipeline answers, the watchdog may end it. After an upgrade the
//! connection goes on without them.

use std::{
    convert::Infallible,
    future::Future,
    pin::{Pin, pin},
    rc::Rc,
    task::Poll,
};

use hyper::{server::conn::http1::Parts, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tracing::debug;

use super::{
    client::Peer,
    pipeline,
    socket::ClientSocket,
    upgrade::{Switch, joined},
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
    let switch = Rc::<Switch>::default();
    let socket = ClientSocket::new(stream, Rc::clone(&vitals), Rc::clone(&switch));
    let (peer, of_requests) = (Rc::new(peer), Rc::clone(&vitals));
    let service = {
        let (core, switch) = (Rc::clone(&core), Rc::clone(&switch));
        service_fn(move |request| {
            let (core, peer) = (Rc::clone(&core), Rc::clone(&peer));
            let answer = pipeline::answer(core, peer, Rc::clone(&of_requests), Rc::clone(&switch), request);
            async move { Ok::<_, Infallible>(answer.await) }
        })
    };
    let mut connection = core.http.serve_connection(TokioIo::new(socket), service);
    let mut draining = false;
    let serving = std::future::poll_fn(|context| {
        if vitals.order() == Order::Drain && !draining {
            draining = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        Pin::new(&mut connection).poll(context)
    });
    match unless_closed(&vitals, serving).await {
        None => return,
        Some(Err(error)) => return debug!(%error, "a client's connection broke"),
        Some(Ok(())) => {}
    }
    let Parts { io, read_buf, .. } = connection.into_parts();
    let mut socket = io.into_inner();
    if let Some(tunnel) = switch.take_tunnel() {
        let (stream, held) = socket.into_parts();
        unless_closed(&vitals, tunnel.run(stream, joined(read_buf, &held))).await;
    } else {
        // hyper leaves this to us if an upgrade was ever asked for, whatever became of it.
        unless_closed(&vitals, socket.shutdown()).await;
    }
}

/// What `future` comes to, unless the watchdog wants the connection closed before.
async fn unless_closed<T>(vitals: &Vitals, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        vitals.remember(context.waker());
        match vitals.order() {
            Order::Serve | Order::Drain => future.as_mut().poll(context).map(Some),
            Order::Close => Poll::Ready(None),
        }
    })
    .await
}
