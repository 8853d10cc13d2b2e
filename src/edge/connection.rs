//! Serves one client connection: hyper parses and frames, the pipeline answers, the watchdog may end it. After an upgrade the
//! connection goes on without them.

use std::{
    convert::Infallible,
    future::Future,
    pin::{Pin, pin},
    rc::Rc,
    task::Poll,
};

use hyper::{
    server::conn::{
        http1::{Connection, Parts},
        http2,
    },
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tracing::debug;

use super::{
    client::Peer,
    pipeline,
    socket::{ClientSocket, Protocol},
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
    let mut socket = ClientSocket::new(stream, Rc::clone(&vitals), Rc::clone(&switch));
    let protocol = std::future::poll_fn(|context| socket.poll_protocol(context));
    let Some(Ok(protocol)) = unless_closed(&vitals, until_drained(&vitals, protocol)).await.flatten() else { return };
    let (peer, of_requests) = (Rc::new(peer), Rc::clone(&vitals));
    let service = {
        let (core, switch) = (Rc::clone(&core), Rc::clone(&switch));
        service_fn(move |request| {
            let (core, peer) = (Rc::clone(&core), Rc::clone(&peer));
            let answer = pipeline::answer(core, peer, Rc::clone(&of_requests), Rc::clone(&switch), request);
            async move { Ok::<_, Infallible>(answer.await) }
        })
    };
    let io = TokioIo::new(socket);
    match protocol {
        Protocol::Http1 => {
            let mut connection = core.http1.serve_connection(io, service);
            if served(&vitals, Pin::new(&mut connection), Connection::graceful_shutdown).await {
                go_on_without_http(&vitals, &switch, connection.into_parts()).await;
            }
        }
        Protocol::Http2 => {
            // In a place of its own: a connection of HTTP/1.1 need not be as large.
            let mut connection = Box::pin(core.http2.serve_connection(io, service));
            served(&vitals, connection.as_mut(), http2::Connection::graceful_shutdown).await;
        }
    }
}

/// Serves until there are no more requests; when the core drains, `shut_down` says so to the connection. Whether it ended well.
async fn served<C: Future<Output = hyper::Result<()>>>(
    vitals: &Vitals,
    mut connection: Pin<&mut C>,
    shut_down: impl Fn(Pin<&mut C>),
) -> bool {
    let mut draining = false;
    let serving = std::future::poll_fn(|context| {
        if vitals.order() == Order::Drain && !draining {
            draining = true;
            shut_down(connection.as_mut());
        }
        connection.as_mut().poll(context)
    });
    match unless_closed(vitals, serving).await {
        None => false,
        Some(Ok(())) => true,
        Some(Err(error)) => {
            debug!(%error, "a client's connection broke");
            false
        }
    }
}

/// Goes on as a tunnel after an upgrade; else closes.
async fn go_on_without_http<S>(vitals: &Vitals, switch: &Switch, parts: Parts<TokioIo<ClientSocket<TcpStream>>, S>) {
    let Parts { io, read_buf, .. } = parts;
    let mut socket = io.into_inner();
    if let Some(tunnel) = switch.take_tunnel() {
        let (stream, held) = socket.into_parts();
        unless_closed(vitals, tunnel.run(stream, joined(read_buf, &held))).await;
    } else {
        // hyper leaves this to us if an upgrade was ever asked for, whatever became of it.
        unless_closed(vitals, socket.shutdown()).await;
    }
}

/// What `future` comes to, unless the core drains before.
async fn until_drained<T>(vitals: &Vitals, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| match vitals.order() {
        Order::Drain => Poll::Ready(None),
        Order::Serve | Order::Close => future.as_mut().poll(context).map(Some),
    })
    .await
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
