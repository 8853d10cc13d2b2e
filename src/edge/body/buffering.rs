//! Reads the beginning of a request's body before the request goes to its service, so that a client that sends slowly
//! occupies the gateway and not a worker of the service. A body that fits is complete by then; a larger one streams
//! from there on.

use std::{pin::pin, rc::Rc, task::Poll, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{buffer::BufferedBytes, request_body::Upload};
use crate::edge::{error::Failure, timer::stream_guard::Progress};

/// Reads up to `most` bytes of a body. The client may pause for `idle`, and has time until `deadline`.
///
/// # Errors
/// The body is too large or broken, or does not come in time.
pub(crate) async fn buffer(
    upload: &Upload,
    most: u64,
    core: &Rc<BufferedBytes>,
    idle: Duration,
    deadline: Option<Instant>,
) -> Result<(), Failure> {
    // Most bodies have arrived with their head: they need no timer and no boxed future.
    match poll_once(upload, most, core).await {
        Poll::Ready(done) => done,
        Poll::Pending => Box::pin(buffer_slowly(upload, most, core, idle, deadline)).await,
    }
}

/// Reads up to `most` bytes of a body that have arrived already.
///
/// # Errors
/// The body is too large or broken.
pub(crate) async fn buffer_what_is_there(upload: &Upload, most: u64, core: &Rc<BufferedBytes>) -> Result<(), Failure> {
    match poll_once(upload, most, core).await {
        Poll::Ready(done) => done,
        Poll::Pending => Ok(()),
    }
}

async fn poll_once(upload: &Upload, most: u64, core: &Rc<BufferedBytes>) -> Poll<Result<(), Failure>> {
    std::future::poll_fn(|context| Poll::Ready(upload.poll_buffer(context, most, core))).await
}

async fn buffer_slowly(
    upload: &Upload,
    most: u64,
    core: &Rc<BufferedBytes>,
    idle: Duration,
    deadline: Option<Instant>,
) -> Result<(), Failure> {
    let mut buffering = pin!(std::future::poll_fn(|context| upload.poll_buffer(context, most, core)));
    loop {
        let idles_at = Instant::from_std(upload.moved_at()) + idle;
        let ends_at = deadline.map_or(idles_at, |deadline| deadline.min(idles_at));
        if let Ok(done) = timeout_at(ends_at, buffering.as_mut()).await {
            return done;
        }
        let has_moved = Instant::from_std(upload.moved_at()) + idle > ends_at;
        if !has_moved || deadline.is_some_and(|deadline| ends_at >= deadline) {
            return Err(Failure::BodyTimeout);
        }
    }
}
