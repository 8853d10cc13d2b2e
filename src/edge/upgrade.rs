//! Another protocol on the same connection (RFC 9110 §7.8), such as WebSocket. The request goes to the service as any other
//! does, and what the client sends behind it is held back until the answer is there: behind a 101 it is of the new protocol,
//! behind any other answer it is the next request's head.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderValue, Request, Response, Version,
    header::{CONNECTION, CONTENT_LENGTH, UPGRADE},
};
use http_body::Body;

use super::{error::Failure, tunnel::Tunnel};

/// What `Connection` says beside `Upgrade`.
const CONNECTION_UPGRADE: HeaderValue = HeaderValue::from_static("upgrade");

/// Whether what follows a request is held back until it is answered. The socket judges the same from the raw head.
pub(super) fn is_awaited<B: Body>(request: &Request<B>) -> bool {
    request.headers().contains_key(UPGRADE) && request.body().is_end_stream()
}

/// The protocols that a request asks to go on with, as they are asked for at the service; `None` if there are none, or none
/// that could be gone on with: in HTTP/1.0 and beside a body the header is ignored, as a server may (some clients send one
/// with every request, bodies included).
pub(super) fn asked<B: Body>(version: Version, headers: &HeaderMap, body: &B) -> Option<HeaderValue> {
    if version != Version::HTTP_11 || !body.is_end_stream() || !names(headers, &CONNECTION).any(is_upgrade) {
        return None;
    }
    let protocols: Vec<&[u8]> = names(headers, &UPGRADE).filter(|protocol| may_pass(protocol)).collect();
    HeaderValue::from_bytes(&protocols.join(&b", "[..])).ok().filter(|value| !value.is_empty())
}

/// The head of a service's 101, as it goes to the client; its headers are sanitised, and `chosen` is what its `Upgrade` said
/// before that. It may choose only what it was asked for.
pub(super) fn agreed<B>(
    asked: Option<&HeaderValue>,
    chosen: Option<HeaderValue>,
    answer: &mut Response<B>,
) -> Result<(), Failure> {
    let (Some(asked), Some(chosen)) = (asked, chosen) else { return Err(Failure::BadAnswer) };
    let was_asked = |one: &[u8]| elements(asked).any(|protocol| protocol.eq_ignore_ascii_case(one));
    if chosen.is_empty() || !elements(&chosen).all(was_asked) {
        return Err(Failure::BadAnswer);
    }
    answer.headers_mut().insert(UPGRADE, chosen);
    answer.headers_mut().insert(CONNECTION, CONNECTION_UPGRADE);
    // It has no body, whatever it says (RFC 9110 §8.6).
    answer.headers_mut().remove(CONTENT_LENGTH);
    Ok(())
}

/// Whether requests in this protocol cannot be hidden from us. Behind another version of HTTP, or TLS with one, a client could
/// ask a service for whatever it likes, past every route and every token (known as h2c smuggling).
fn may_pass(protocol: &[u8]) -> bool {
    let name = protocol.split(|&byte| byte == b'/').next().unwrap_or_default();
    let is_http = [b"h2".as_slice(), b"h2c", b"h3", b"http", b"tls"].iter().any(|http| name.eq_ignore_ascii_case(http));
    !is_http && protocol.iter().all(|&byte| byte.is_ascii_graphic())
}

fn is_upgrade(option: &[u8]) -> bool {
    option.eq_ignore_ascii_case(b"upgrade")
}

fn names<'h>(headers: &'h HeaderMap, name: &http::HeaderName) -> impl Iterator<Item = &'h [u8]> {
    headers.get_all(name).iter().flat_map(elements)
}

/// The elements of a list (RFC 9110 §5.6.1).
fn elements(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// Decides, between the pipeline and the socket of one connection, what becomes of the bytes behind a request for an upgrade.
#[derive(Default)]
pub(super) struct Switch(RefCell<Decision>);

#[derive(Default)]
enum Decision {
    /// None yet, or none any more.
    #[default]
    None,
    /// They are the next request's.
    StaysHttp,
    /// They go into this.
    Switches(Box<Tunnel>),
}

impl Switch {
    /// The request was answered, and not with 101.
    pub(super) fn stay_http(&self) {
        self.0.replace(Decision::StaysHttp);
    }

    /// The request was answered with 101.
    pub(super) fn go_over(&self, tunnel: Box<Tunnel>) {
        self.0.replace(Decision::Switches(tunnel));
    }

    /// Whether HTTP goes on; told once.
    pub(super) fn stays_http(&self) -> bool {
        let stays = matches!(*self.0.borrow(), Decision::StaysHttp);
        if stays {
            self.0.take();
        }
        stays
    }

    /// What is to go on where HTTP has ended, if anything is.
    pub(super) fn take_tunnel(&self) -> Option<Box<Tunnel>> {
        match self.0.take() {
            Decision::Switches(tunnel) => Some(tunnel),
            Decision::None | Decision::StaysHttp => None,
        }
    }
}

/// What was read already, and what is to be read after it, as one.
pub(super) fn joined(first: Bytes, second: &[u8]) -> Bytes {
    let mut both = BytesMut::from(first);
    both.extend_from_slice(second);
    both.freeze()
}
