//! Upgrades to another protocol on the same connection (RFC 9110 §7.8), such as WebSocket. The request goes to the
//! service like any other. Bytes that the client sends after it are not parsed until the response is there: after a 101
//! they belong to the new protocol, after any other response they are the next request's head.

pub(crate) mod tunnel;

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

/// The option of `Connection` that accompanies `Upgrade`.
const CONNECTION_UPGRADE: &str = "upgrade";

/// The protocols to which a request asks to upgrade, in the form for the service; `None` if there are none, or none
/// that is possible. In HTTP/1.0 and together with a body the header is ignored, as a server may do (some clients send
/// it with every request, bodies included).
pub(crate) fn asked(version: Version, headers: &HeaderList, body: &Incoming) -> Option<Vec<u8>> {
    if version != Version::HTTP_11 || !body.is_empty() || !all_elements(headers, CONNECTION).any(is_upgrade) {
        return None;
    }
    let protocols: Vec<&[u8]> = all_elements(headers, UPGRADE).filter(|protocol| is_forwardable(protocol)).collect();
    Some(protocols.join(&b", "[..])).filter(|protocols| !protocols.is_empty())
}

/// Prepares the head of a service's 101 for the client. Its headers are sanitised already; `chosen` is the value of its
/// `Upgrade` before that. It may choose only a requested protocol.
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

/// Whether a protocol cannot hide requests from the gateway. Inside another version of HTTP, or TLS with one, a client
/// could send a service any request, past every route and every token (known as h2c smuggling). Names are compared by
/// their beginning: some servers accept `h2c-14` and `HTTP2` for `h2c`. Text that is no token, such as `"h2c"`, is not
/// a protocol name (RFC 9110 §7.8).
fn is_forwardable(protocol: &[u8]) -> bool {
    const HTTP: [&[u8]; 5] = [b"h2", b"h3", b"http", b"spdy", b"tls"];
    let begins = |prefix: &[u8]| protocol.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix));
    let in_name = |&byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/".contains(&byte);
    !HTTP.iter().any(|http| begins(http)) && protocol.iter().all(in_name)
}

fn is_upgrade(option: &[u8]) -> bool {
    option.eq_ignore_ascii_case(b"upgrade")
}
