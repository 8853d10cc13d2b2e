//! Reads the beginning of a request's body before its service is asked, so that a client that sends slowly keeps the gateway
//! waiting and not a worker of the service. A body that fits is there as a whole by then; a larger one streams from there on.

use std::{cell::Cell, pin::pin, rc::Rc, task::Poll, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use tokio::time::{Instant, timeout_at};

use super::{error::Failure, upload::Upload};

/// How much a core keeps of bodies that wait for their end. When it is used up, the next ones stream at once.
const MOST_BUFFERED_BYTES: usize = 64 * 1024 * 1024;

/// What a core keeps of bodies.
#[derive(Debug, Default)]
pub(super) struct BufferedBytes(Cell<usize>);

/// The beginning of a body, kept until the service takes it.
#[derive(Default)]
pub(super) struct Buffered {
    data: Data,
    trailers: Option<Frame<Bytes>>,
    /// Counted on the core.
    counted: Option<Rc<BufferedBytes>>,
}

#[derive(Default)]
enum Data {
    #[default]
    None,
    /// A body that came at once: it stays where it was read to.
    Whole(Bytes),
    /// One that came in parts. Small parts would otherwise keep the large blocks that they were read to.
    Parts(BytesMut),
}

impl Data {
    fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Whole(bytes) => bytes.len(),
            Self::Parts(bytes) => bytes.len(),
        }
    }
}

impl Buffered {
    /// How many bytes of data there are.
    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    /// Adds a part; `is_last` if nothing follows. Whether there is room for more.
    pub(super) fn add(&mut self, part: Frame<Bytes>, is_last: bool, core: &Rc<BufferedBytes>) -> bool {
        let data = match part.into_data() {
            Ok(data) => data,
            Err(trailers) => {
                self.trailers = Some(trailers);
                return true;
            }
        };
        let counted = self.counted.get_or_insert_with(|| Rc::clone(core));
        counted.0.set(counted.0.get() + data.len());
        if is_last && self.data.len() == 0 {
            self.data = Data::Whole(data);
            return true;
        }
        if !matches!(self.data, Data::Parts(_)) {
            self.data = Data::Parts(BytesMut::new());
        }
        if let Data::Parts(parts) = &mut self.data {
            parts.extend_from_slice(&data);
        }
        core.0.get() < MOST_BUFFERED_BYTES
    }

    /// The next part for the service.
    pub(super) fn take(&mut self) -> Option<Frame<Bytes>> {
        self.uncount();
        match std::mem::take(&mut self.data) {
            Data::None => self.trailers.take(),
            Data::Whole(bytes) => Some(Frame::data(bytes)),
            Data::Parts(bytes) => Some(Frame::data(bytes.freeze())),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self.data, Data::None) && self.trailers.is_none()
    }

    fn uncount(&mut self) {
        if let Some(counted) = self.counted.take() {
            counted.0.set(counted.0.get().saturating_sub(self.data.len()));
        }
    }
}

impl Drop for Buffered {
    fn drop(&mut self) {
        self.uncount();
    }
}

/// Reads up to `most` bytes of a body. The client may pause for `idle`, and has time until `deadline`.
///
/// # Errors
/// The body is too large or broken, or does not come in time.
pub(super) async fn buffer(
    upload: &Upload,
    most: u64,
    core: &Rc<BufferedBytes>,
    idle: Duration,
    deadline: Option<Instant>,
) -> Result<(), Failure> {
    // Most bodies have come with their head: they cost no timer and no room.
    match poll_once(upload, most, core).await {
        Poll::Ready(done) => done,
        Poll::Pending => Box::pin(buffer_slowly(upload, most, core, idle, deadline)).await,
    }
}

/// Reads up to `most` bytes of a body that have come already.
///
/// # Errors
/// The body is too large or broken.
pub(super) async fn buffer_what_is_there(upload: &Upload, most: u64, core: &Rc<BufferedBytes>) -> Result<(), Failure> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn part(text: &'static str) -> Frame<Bytes> {
        Frame::data(Bytes::from_static(text.as_bytes()))
    }

    fn text(frame: Option<Frame<Bytes>>) -> String {
        String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn what_is_kept_is_counted_until_it_is_taken_or_given_up() {
        let core = Rc::<BufferedBytes>::default();
        let (mut one, mut other) = (Buffered::default(), Buffered::default());
        assert!(one.is_empty() && one.add(part("ab"), false, &core) && one.add(part("c"), true, &core));
        assert!(other.add(part("whole"), true, &core));
        assert_eq!((one.len(), core.0.get()), (3, 8));
        assert_eq!(text(one.take()), "abc");
        assert_eq!((one.is_empty(), core.0.get()), (true, 5));
        drop(other);
        assert_eq!(core.0.get(), 0);
        core.0.set(MOST_BUFFERED_BYTES);
        assert!(!Buffered::default().add(part("x"), false, &core), "there is no room");
    }

    #[test]
    fn trailers_come_last() {
        let (core, mut buffered) = (Rc::<BufferedBytes>::default(), Buffered::default());
        buffered.add(part("ab"), false, &core);
        buffered.add(Frame::trailers(http::HeaderMap::new()), true, &core);
        assert_eq!(text(buffered.take()), "ab");
        assert!(!buffered.is_empty() && buffered.take().unwrap().is_trailers() && buffered.take().is_none());
    }
}
