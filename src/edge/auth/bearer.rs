//! Authenticates the caller by the bearer token (RFC 6750 §2.1). A signature is checked once per core; expiry and
//! revocation are checked on every request. A token without a valid signature is looked up with the [`Resolver`], if it
//! knows opaque tokens at all.
//!
//! [`Resolver`]: crate::edge::ports::Resolver

use std::{cell::RefCell, rc::Rc};

use http::header::AUTHORIZATION;

use super::{
    cache::{self, TokenCache},
    caller::Caller,
    lookup::Lookup,
    token_hash::{TokenHash, TokenHasher},
};
use crate::{
    domain::gateway::models::{
        http::credential::bearer_token,
        token::Rejection,
        values::{digest::Sha256Digest, identity::Identity},
    },
    edge::{error::Failure, http::header_list::HeaderList, snapshot::Snapshot},
};

/// The longest token that is checked: longer than any that the gateway issues, and it leaves space in a head of 16 KiB.
const MAX_TOKEN_BYTES: usize = 12 * 1024;

/// A token that was found valid.
#[derive(Clone)]
struct Known {
    caller: Rc<Caller>,
    /// Whether the resolver vouches for it, instead of a signature.
    is_opaque: bool,
}

/// The tokens that one core has found valid.
pub(crate) struct Tokens {
    known: RefCell<TokenCache<TokenHash, Known>>,
    fingerprints: TokenHasher,
}

impl Tokens {
    /// Starts empty. The `seed` keys the fingerprints and must stay secret.
    pub(crate) fn new(seed: &[u8; 16]) -> Self {
        Self { known: RefCell::new(TokenCache::new(cache::TOKENS)), fingerprints: TokenHasher::new(seed) }
    }

    /// Removes all of them.
    pub(crate) fn clear(&self) {
        self.known.borrow_mut().clear();
    }
}

/// The caller; `None` if no token was sent.
pub(crate) async fn by_token(
    lookup: &Lookup,
    tokens: &Tokens,
    snapshot: &Snapshot,
    headers: &HeaderList,
) -> Result<Option<Rc<Caller>>, Failure> {
    let presented = bearer_token(headers.all(AUTHORIZATION)).map_err(|_| Failure::Credential)?;
    let Some(token) = presented else { return Ok(None) };
    if token.len() > MAX_TOKEN_BYTES {
        return Err(Failure::Token(Rejection::Malformed));
    }
    let fingerprint = tokens.fingerprints.of(token);
    let known = tokens.known.borrow_mut().get(&fingerprint);
    if let Some(Known { caller, is_opaque }) = known {
        match check(lookup, snapshot, &caller.identity) {
            Ok(()) => return Ok(Some(caller)),
            Err(rejection) => {
                tokens.known.borrow_mut().forget(&fingerprint);
                // The same text may have been registered again.
                if !is_opaque {
                    return Err(Failure::Token(rejection));
                }
            }
        }
    }
    let (identity, is_opaque) = match verify(lookup, snapshot, token) {
        Ok(identity) => (identity, false),
        Err(rejection) => (Box::pin(resolve(lookup, token, rejection)).await?, true),
    };
    check(lookup, snapshot, &identity).map_err(Failure::Token)?;
    let caller = Caller::new(identity);
    tokens.known.borrow_mut().insert(fingerprint, Known { caller: Rc::clone(&caller), is_opaque });
    Ok(Some(caller))
}

fn verify(lookup: &Lookup, snapshot: &Snapshot, token: &[u8]) -> Result<Identity, Rejection> {
    let text = std::str::from_utf8(token).map_err(|_| Rejection::Malformed)?;
    let claims = snapshot.keys.verify(text)?;
    claims.validate(&snapshot.expectations, lookup.now())?;
    Ok(claims.identity())
}

/// Asks the resolver. If it does not know the token either, the error is the reason why the token is invalid as a
/// signed one, unless it does not even look like one.
async fn resolve(lookup: &Lookup, token: &[u8], as_signed: Rejection) -> Result<Identity, Failure> {
    if !lookup.knows_opaque_tokens() {
        return Err(Failure::Token(as_signed));
    }
    let digest = Sha256Digest::of(token);
    match lookup.ask(|resolver| async move { resolver.opaque_token(digest).await }).await? {
        Ok(identity) => Ok(identity),
        Err(Rejection::Unknown) if as_signed != Rejection::Malformed => Err(Failure::Token(as_signed)),
        Err(rejection) => Err(Failure::Token(rejection)),
    }
}

/// Checks whatever may have changed since the token was found valid.
fn check(lookup: &Lookup, snapshot: &Snapshot, identity: &Identity) -> Result<(), Rejection> {
    if !identity.is_live(lookup.now()) {
        Err(Rejection::Expired)
    } else if snapshot.revocations.contains_any(&identity.revocable()) {
        Err(Rejection::Revoked)
    } else {
        Ok(())
    }
}
