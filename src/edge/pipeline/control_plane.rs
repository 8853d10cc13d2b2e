//! Passes a request for one of the gateway's own paths to the control plane, on its own runtime: its work may be slow,
//! and none of it may delay a core. The body stays with the connection, on this core, and is sent over part by part.

use std::{
    future::Future,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{
    Uri,
    header::{CONTENT_LENGTH, HOST},
};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty};
use tokio::sync::{Notify, mpsc};
use tracing::error;

use super::{
    core::Core,
    response_body::{Response, ResponseBody},
};
use crate::edge::{
    body::incoming::Incoming,
    error::Failure,
    http::message::{FramedResponse, RequestHead},
    observe::access_log::Record,
    ports::{self, RequestOrigin},
};

/// Answers a request for `target`, the canonical path. Its headers must be sanitised already.
pub(crate) async fn respond(
    core: &Core,
    mut head: RequestHead,
    body: Incoming,
    target: String,
    host: Option<Bytes>,
    origin: RequestOrigin,
    record: &Record,
) -> Result<Box<Response>, Failure> {
    head.uri = Uri::try_from(target).map_err(|_| Failure::Internal)?;
    if let Some(host) = host {
        head.headers.insert(HOST, host);
    }
    let (body, bridging) = bridge(body, record);
    let mut request = head.with_body(body);
    request.extensions_mut().insert(origin);
    let control_plane = Arc::clone(&core.control_plane);
    // If the client goes away, the task still finishes its work: a half-made change is worse than an unread response.
    let runtime = core.control_plane.own_runtime(request.uri().path()).unwrap_or(&core.control);
    let task = runtime.spawn(async move { control_plane.respond(request).await });
    match join_first(task, bridging).await {
        Ok(response) => {
            let (mut parts, body) = response.into_parts();
            // The body itself knows its length.
            parts.headers.remove(CONTENT_LENGTH);
            Ok(Box::new(FramedResponse {
                headers: parts.headers.into(),
                ..FramedResponse::new(parts.status, ResponseBody::own(body))
            }))
        }
        Err(failed) => {
            error!(request_id = %origin.request_id, panicked = failed.is_panic(), "the control plane failed to respond");
            Err(Failure::Internal)
        }
    }
}

/// A message of the bridge: a part of the body, or its end.
type Handed = Option<io::Result<Frame<Bytes>>>;

/// The body as the other runtime sees it, and the future that must run here meanwhile.
fn bridge(mut body: Incoming, record: &Record) -> (ports::Body, impl Future<Output = ()>) {
    let (sender, receiver) = mpsc::channel(1);
    let wanted = Arc::<Notify>::default();
    let is_empty = body.is_empty();
    let asked = Arc::clone(&wanted);
    let bridging = async move {
        loop {
            // Read only on demand: otherwise a client that waits for `100 Continue` would send a body that is never
            // read.
            asked.notified().await;
            let part = body.frame().await;
            if let Some(Ok(frame)) = &part {
                record.received(frame.data_ref().map_or(0, Bytes::len));
            }
            let is_last = !matches!(part, Some(Ok(_)));
            if sender.send(part).await.is_err() || is_last {
                return;
            }
        }
    };
    let body = if is_empty {
        Empty::new().map_err(|never| match never {}).boxed()
    } else {
        BridgedBody { receiver, wanted }.boxed()
    };
    (body, bridging)
}

struct BridgedBody {
    receiver: mpsc::Receiver<Handed>,
    wanted: Arc<Notify>,
}

impl Body for BridgedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let received = this.receiver.poll_recv(context);
        if received.is_pending() {
            this.wanted.notify_one();
        }
        let handed = ready!(received);
        // Without a final message the client has gone, and the body is incomplete.
        Poll::Ready(handed.unwrap_or_else(|| Some(Err(io::ErrorKind::UnexpectedEof.into()))))
    }
}

/// The result of `first`; runs `second` concurrently until then.
async fn join_first<T>(first: impl Future<Output = T>, second: impl Future<Output = ()>) -> T {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let mut goes_on = true;
    std::future::poll_fn(|context| {
        if goes_on {
            goes_on = second.as_mut().poll(context).is_pending();
        }
        first.as_mut().poll(context)
    })
    .await
}
