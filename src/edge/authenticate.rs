//! Finds out who calls, from the bearer token (RFC 6750 §2.1). A signature is checked once per core; whether the token has
//! expired or was revoked is judged on every request. What no signature vouches for is asked of the [`Resolver`], if it
//! knows such tokens at all.
//!
//! [`Resolver`]: super::ports::Resolver

use std::{fmt::Write, rc::Rc, sync::Arc};

use http::{HeaderValue, header::AUTHORIZATION};

use super::{error::Failure, header_list::HeaderList, ports::ResolverUnavailable, snapshot::Snapshot, worker::Core};
use crate::domain::gateway::models::{
    identity::Identity,
    token::{Rejection, TokenDigest},
};

/// The longest token that is looked at: longer than any that the gateway issues, and it leaves room in a head of 16 KiB.
const MAX_TOKEN_BYTES: usize = 12 * 1024;

/// A caller whose token was found good, with the headers that tell a service about them.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) identity: Arc<Identity>,
    pub(super) user_id: HeaderValue,
    pub(super) user_scope: HeaderValue,
    /// Whether the resolver vouches for the token, and not a signature.
    is_opaque: bool,
}

impl Caller {
    fn new(identity: Identity, is_opaque: bool) -> Rc<Self> {
        let user_id = header_text(&identity.subject);
        let user_scope = HeaderValue::try_from(identity.scope.to_string()).unwrap_or(HeaderValue::from_static(""));
        Rc::new(Self { identity: Arc::new(identity), user_id, user_scope, is_opaque })
    }
}

/// Who calls; `None` if no token was sent.
pub(super) async fn authenticate(
    core: &Core,
    snapshot: &Snapshot,
    headers: &HeaderList,
) -> Result<Option<Rc<Caller>>, Failure> {
    let Some(token) = presented(headers)? else { return Ok(None) };
    if token.len() > MAX_TOKEN_BYTES {
        return Err(Failure::Token(Rejection::Malformed));
    }
    let digest = TokenDigest::of(token);
    let known = core.tokens.borrow_mut().get(&digest);
    if let Some(caller) = known {
        match judge(core, snapshot, &caller.identity) {
            Ok(()) => return Ok(Some(caller)),
            Err(rejection) => {
                core.tokens.borrow_mut().forget(&digest);
                // The same text may have been registered anew.
                if !caller.is_opaque {
                    return Err(Failure::Token(rejection));
                }
            }
        }
    }
    let caller = match verify(core, snapshot, token) {
        Ok(identity) => Caller::new(identity, false),
        Err(rejection) => Box::pin(resolve(core, digest, rejection)).await?,
    };
    judge(core, snapshot, &caller.identity).map_err(Failure::Token)?;
    core.tokens.borrow_mut().insert(digest, Rc::clone(&caller));
    Ok(Some(caller))
}

/// The token in `Authorization`. Another scheme is none of our business, but there may be one credential at most.
fn presented(headers: &HeaderList) -> Result<Option<&[u8]>, Failure> {
    let mut values = headers.all(AUTHORIZATION);
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(one), None) => one.as_bytes(),
        (Some(_), Some(_)) => return Err(Failure::Credential),
    };
    let (scheme, token) = value.split_at(value.iter().position(|&byte| byte == b' ').unwrap_or(value.len()));
    match token.trim_ascii() {
        _ if !scheme.eq_ignore_ascii_case(b"bearer") => Ok(None),
        [] => Err(Failure::Credential),
        token => Ok(Some(token)),
    }
}

fn verify(core: &Core, snapshot: &Snapshot, token: &[u8]) -> Result<Identity, Rejection> {
    let text = std::str::from_utf8(token).map_err(|_| Rejection::Malformed)?;
    let claims = snapshot.keys.verify(text)?;
    claims.judge(&snapshot.expectations, core.clock.now())?;
    Ok(claims.identity())
}

/// Asks the resolver. If it does not know the token either, the reason why the token is no good as a signed one is told,
/// unless it does not even look like one.
async fn resolve(core: &Core, digest: TokenDigest, as_signed: Rejection) -> Result<Rc<Caller>, Failure> {
    if !core.resolver.knows_opaque_tokens() {
        return Err(Failure::Token(as_signed));
    }
    let resolver = Arc::clone(&core.resolver);
    let answer = core.control.spawn(async move { resolver.opaque_token(digest).await }).await;
    match answer {
        Ok(Ok(Ok(identity))) => Ok(Caller::new(identity, true)),
        Ok(Ok(Err(Rejection::Unknown))) if as_signed != Rejection::Malformed => Err(Failure::Token(as_signed)),
        Ok(Ok(Err(rejection))) => Err(Failure::Token(rejection)),
        Ok(Err(ResolverUnavailable)) => Err(Failure::CheckUnavailable),
        Err(_panicked) => Err(Failure::Internal),
    }
}

/// What may have changed since the token was found good.
fn judge(core: &Core, snapshot: &Snapshot, identity: &Identity) -> Result<(), Rejection> {
    if !identity.is_live(core.clock.now()) {
        Err(Rejection::Expired)
    } else if snapshot.revocations.contains_any(&identity.revocable()) {
        Err(Rejection::Revoked)
    } else {
        Ok(())
    }
}

/// A text as a header's value. Whatever is not printable ASCII is percent-encoded, and so is `%` itself: a subject of any
/// form arrives, can be read back, and equals no other's; and none can break out of its line.
fn header_text(text: &str) -> HeaderValue {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'%';
    if text.bytes().all(plain) {
        return HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
    }
    let mut encoded = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if plain(byte) {
            encoded.push(char::from(byte));
        } else {
            // A `String` takes everything.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    HeaderValue::try_from(encoded).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests;
