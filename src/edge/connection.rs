//! Serves one client connection: hyper parses and frames, the pipeline answers, the watchdog may end it.

use std::{convert::Infallible, future::Future, pin::pin, rc::Rc, task::Poll};

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tracing::debug;

use super::{client::Peer, pipeline, socket::ClientSocket, watchdog::Order, worker::Core};

/// Serves until the connection ends.
pub(super) async fn serve(core: Rc<Core>, stream: TcpStream, peer: Peer) {
    let vitals = core.watchdog.enrol();
    if core.is_draining() {
        return;
    }
    // Answers are written whole; waiting to fill packets would only delay them.
    let _ = stream.set_nodelay(true);
    let socket = ClientSocket::new(stream, Rc::clone(&vitals));
    let (peer, of_requests) = (Rc::new(peer), Rc::clone(&vitals));
    let service = {
        let core = Rc::clone(&core);
        service_fn(move |request| {
            let answer = pipeline::answer(Rc::clone(&core), Rc::clone(&peer), Rc::clone(&of_requests), request);
            async move { Ok::<_, Infallible>(answer.await) }
        })
    };
    let mut connection = pin!(core.http.serve_connection(TokioIo::new(socket), service));
    let mut draining = false;
    std::future::poll_fn(|context| {
        vitals.remember(context.waker());
        match vitals.order() {
            Order::Serve => {}
            Order::Drain if draining => {}
            Order::Drain => {
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
            Order::Close => return Poll::Ready(()),
        }
        connection.as_mut().poll(context).map(|ended| {
            if let Err(error) = ended {
                debug!(%error, "a client's connection broke");
            }
        })
    })
    .await;
}
