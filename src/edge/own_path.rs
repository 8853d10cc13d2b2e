//! Hands a request for one of the gateway's own paths to the control plane, on its own runtime: its work may be slow, and
//! none of it may delay a core.

use std::sync::Arc;

use http::{HeaderValue, Request, Response, Uri, header::HOST, request::Parts};
use hyper::body::Incoming;
use tracing::error;

use super::{body::AnswerBody, error::Failure, ports::RequestOrigin, worker::Core};

/// Answers a request whose headers are sanitised already, under the canonical path.
pub(super) async fn answer(
    core: &Core,
    mut parts: Parts,
    body: Incoming,
    target: String,
    host: HeaderValue,
    origin: RequestOrigin,
) -> Result<Response<AnswerBody>, Failure> {
    parts.uri = Uri::try_from(target).map_err(|_| Failure::Internal)?;
    parts.headers.insert(HOST, host);
    parts.extensions.clear();
    parts.extensions.insert(origin);
    let request = Request::from_parts(parts, body);
    let control_plane = Arc::clone(&core.control_plane);
    // If the client goes away, the task still ends its work: half a change is worse than an answer that nobody reads.
    let task = core.control.spawn(async move { control_plane.answer(request).await });
    match task.await {
        Ok(answer) => Ok(answer.map(AnswerBody::own)),
        Err(failed) => {
            error!(request_id = %origin.request_id, panicked = failed.is_panic(), "the control plane failed to answer");
            Err(Failure::Internal)
        }
    }
}
