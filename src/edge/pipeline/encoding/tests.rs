use std::{collections::VecDeque, io::Read, task::Waker};

use http::HeaderMap;

use super::*;

/// A body whose frames come when they are polled for; `None` in the list: not yet.
fn compress(coding: Coding, frames: Vec<Option<Frame<Bytes>>>) -> (Vec<Vec<u8>>, Option<HeaderMap>, usize) {
    let mut encoding = Encoding::new(coding).unwrap();
    let mut frames: VecDeque<_> = frames.into();
    let mut context = Context::from_waker(Waker::noop());
    let (mut parts, mut trailers, mut pauses) = (Vec::new(), None, 0);
    loop {
        let polled = encoding.poll(&mut context, |_| match frames.pop_front() {
            Some(Some(frame)) => Poll::Ready(Some(Ok(frame))),
            Some(None) => Poll::Pending,
            None => Poll::Ready(None),
        });
        match polled {
            Poll::Pending => pauses += 1,
            Poll::Ready(None) => break,
            Poll::Ready(Some(frame)) => match frame.unwrap().into_data() {
                Ok(data) => parts.push(data.to_vec()),
                Err(last) => trailers = last.into_trailers().ok(),
            },
        }
    }
    assert!(encoding.is_over());
    (parts, trailers, pauses)
}

/// The plain text of as much as there is.
fn plain(coding: Coding, compressed: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut part = [0; 4096];
    let mut reader: Box<dyn Read> = match coding {
        Coding::Gzip => Box::new(flate2::read::GzDecoder::new(compressed)),
        Coding::Brotli => Box::new(brotli::Decompressor::new(compressed, 4096)),
        Coding::Zstd => Box::new(zstd::Decoder::new(compressed).unwrap()),
    };
    // An incomplete body ends with an error after its last byte.
    while let Ok(length @ 1..) = reader.read(&mut part) {
        text.extend_from_slice(&part[..length]);
    }
    text
}

fn data(text: &[u8]) -> Frame<Bytes> {
    Frame::data(Bytes::copy_from_slice(text))
}

/// A text that shrinks, but not to nothing.
fn text(bytes: usize) -> Vec<u8> {
    (0_u32..).flat_map(|n| format!("{} ", n.wrapping_mul(2_654_435_761)).into_bytes()).take(bytes).collect()
}

const ALL: [Coding; 3] = [Coding::Brotli, Coding::Gzip, Coding::Zstd];

#[test]
fn a_body_arrives_whole_and_smaller() {
    for coding in ALL {
        for length in [0, 1, 1024, 100_000, 1_000_000] {
            let text = text(length);
            let frames = text.chunks(70_000).map(|part| Some(data(part))).collect();
            let (parts, _, _) = tokio_context(|| compress(coding, frames));
            let compressed = parts.concat();
            assert_eq!(plain(coding, &compressed), text, "{coding:?} {length}");
            assert!(length < 1024 || compressed.len() < length * 2 / 3, "{coding:?} {length}: {}", compressed.len());
        }
    }
}

/// Yielding needs a runtime.
fn tokio_context<T>(run: impl FnOnce() -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async { run() })
}

#[test]
fn nothing_is_held_back_while_the_service_pauses() {
    for coding in ALL {
        let (parts, _, pauses) =
            compress(coding, vec![Some(data(b"first")), None, None, Some(data(b", second")), None]);
        assert_eq!(plain(coding, &parts[0]), b"first", "{coding:?}");
        assert_eq!(plain(coding, &parts[..2].concat()), b"first, second", "{coding:?}");
        assert_eq!(plain(coding, &parts.concat()), b"first, second");
        // The first poll of a pause sends what is there, so only the second pause was one for the client.
        assert_eq!(pauses, 1, "{coding:?}");
    }
}

#[test]
fn a_core_yields_in_between() {
    for coding in ALL {
        let text = text(10 * TURN_BYTES);
        let (parts, _, pauses) = tokio_context(|| compress(coding, vec![Some(data(&text))]));
        assert!((9..=10).contains(&pauses), "{coding:?}: {pauses}");
        assert_eq!(plain(coding, &parts.concat()), text);
    }
}

#[test]
fn trailers_follow_the_end() {
    for coding in ALL {
        let trailers: HeaderMap = [("x-checksum".parse().unwrap(), "1".parse().unwrap())].into_iter().collect();
        let frames = vec![Some(data(b"text")), Some(Frame::trailers(trailers.clone()))];
        let (parts, last, _) = compress(coding, frames);
        assert_eq!((plain(coding, &parts.concat()).as_slice(), last), (&b"text"[..], Some(trailers)), "{coding:?}");
    }
}

#[test]
fn an_error_breaks_off() {
    let mut encoding = Encoding::new(Coding::Gzip).unwrap();
    let mut context = Context::from_waker(Waker::noop());
    let polled = encoding.poll(&mut context, |_| Poll::Ready(Some(Err(io::Error::other("gone")))));
    assert!(matches!(polled, Poll::Ready(Some(Err(_)))));
}

#[test]
fn a_core_compresses_only_so_many_bodies_at_once() {
    let held: Vec<_> = (0..MAX_ENCODERS).map(|_| Encoding::new(Coding::Gzip)).collect();
    assert!(held.iter().all(Option::is_some) && Encoding::new(Coding::Gzip).is_none());
    drop(held);
    assert!(Encoding::new(Coding::Gzip).is_some());
}
