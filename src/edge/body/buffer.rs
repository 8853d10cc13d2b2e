//! The beginning of a request's body, buffered until its service takes it.

use std::{cell::Cell, rc::Rc};

use bytes::{Bytes, BytesMut};
use http_body::Frame;

/// How much a core buffers of bodies that wait for their end. When it is used up, further bodies stream at once.
const MAX_BUFFERED_BYTES: usize = 64 * 1024 * 1024;

/// The number of bytes that a core has buffered of bodies.
#[derive(Debug, Default)]
pub(crate) struct BufferedBytes(Cell<usize>);

/// The beginning of a body, buffered until the service takes it.
#[derive(Default)]
pub(crate) struct Buffered {
    data: Data,
    trailers: Option<Frame<Bytes>>,
    /// The counter of the core, once bytes were added to it.
    counted: Option<Rc<BufferedBytes>>,
}

#[derive(Default)]
enum Data {
    #[default]
    None,
    /// A body that came at once: it stays in the block into which it was read.
    Whole(Bytes),
    /// A body that came in parts, copied: small parts would otherwise keep the large blocks into which they were read.
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
    /// The number of bytes of data.
    pub(crate) fn len(&self) -> usize {
        self.data.len()
    }

    /// Adds a part; `is_last` if nothing follows. Returns whether more may be added.
    pub(crate) fn add(&mut self, part: Frame<Bytes>, is_last: bool, core: &Rc<BufferedBytes>) -> bool {
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
        core.0.get() < MAX_BUFFERED_BYTES
    }

    /// The next part for the service.
    pub(crate) fn take(&mut self) -> Option<Frame<Bytes>> {
        self.uncount();
        match std::mem::take(&mut self.data) {
            Data::None => self.trailers.take(),
            Data::Whole(bytes) => Some(Frame::data(bytes)),
            Data::Parts(bytes) => Some(Frame::data(bytes.freeze())),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
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
    fn buffered_bytes_are_counted_until_they_are_taken_or_dropped() {
        let core = Rc::<BufferedBytes>::default();
        let (mut one, mut other) = (Buffered::default(), Buffered::default());
        assert!(one.is_empty() && one.add(part("ab"), false, &core) && one.add(part("c"), true, &core));
        assert!(other.add(part("whole"), true, &core));
        assert_eq!((one.len(), core.0.get()), (3, 8));
        assert_eq!(text(one.take()), "abc");
        assert_eq!((one.is_empty(), core.0.get()), (true, 5));
        drop(other);
        assert_eq!(core.0.get(), 0);
        core.0.set(MAX_BUFFERED_BYTES);
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
