//! Another protocol on the same connection (RFC 9110 §7.8), such as WebSocket. The request goes to the service as any other
//! does, and what the client sends behind it is looked at by nobody until the answer is there: behind a 101 it is of the new
//! protocol, behind any other answer it is the next request's head.

use bytes::Bytes;
use http::{
    Version,
    header::{CONNECTION, UPGRADE},
};

use crate::edge::{
    body::incoming::Incoming,
    error::Failure,
    http::{
        header_list::HeaderList,
        header_values::{all_elements, elements},
    },
};

/// What `Connection` says beside `Upgrade`.
const CONNECTION_UPGRADE: &str = "upgrade";

/// The protocols that a request asks to go on with, as they are asked for at the service; `None` if there are none, or none
/// that could be gone on with: in HTTP/1.0 and beside a body the header is ignored, as a server may (some clients send one
/// with every request, bodies included).
pub(crate) fn asked(version: Version, headers: &HeaderList, body: &Incoming) -> Option<Vec<u8>> {
    if version != Version::HTTP_11 || !body.is_empty() || !all_elements(headers, CONNECTION).any(is_upgrade) {
        return None;
    }
    let protocols: Vec<&[u8]> = all_elements(headers, UPGRADE).filter(|protocol| is_forwardable(protocol)).collect();
    Some(protocols.join(&b", "[..])).filter(|protocols| !protocols.is_empty())
}

/// The head of a service's 101, as it goes to the client; its headers are sanitised, and `chosen` is what its `Upgrade` said
/// before that. It may choose only what it was asked for.
pub(crate) fn agreed(asked: Option<&[u8]>, chosen: Option<Bytes>, headers: &mut HeaderList) -> Result<(), Failure> {
    let (Some(asked), Some(chosen)) = (asked, chosen) else { return Err(Failure::BadResponse) };
    let was_asked = |one: &[u8]| elements(asked).any(|protocol| protocol.eq_ignore_ascii_case(one));
    if chosen.is_empty() || !elements(&chosen).all(was_asked) {
        return Err(Failure::BadResponse);
    }
    headers.insert(UPGRADE, chosen);
    headers.insert(CONNECTION, CONNECTION_UPGRADE);
    Ok(())
}

/// Whether requests in this protocol cannot be hidden from us. Behind another version of HTTP, or TLS with one, a client could
/// ask a service for whatever it likes, past every route and every token (known as h2c smuggling). Names are compared by how
/// they begin: some servers take `h2c-14` and `HTTP2` for `h2c`. What is no token, such as `"h2c"`, is no protocol's name
/// (RFC 9110 §7.8).
fn is_forwardable(protocol: &[u8]) -> bool {
    const HTTP: [&[u8]; 5] = [b"h2", b"h3", b"http", b"spdy", b"tls"];
    let begins = |prefix: &[u8]| protocol.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix));
    let in_name = |&byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/".contains(&byte);
    !HTTP.iter().any(|http| begins(http)) && protocol.iter().all(in_name)
}

fn is_upgrade(option: &[u8]) -> bool {
    option.eq_ignore_ascii_case(b"upgrade")
}
