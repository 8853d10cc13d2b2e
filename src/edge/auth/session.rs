//! Authenticates the caller by their browser session. The answer of the [`Resolver`] for a cookie is cached for a short
//! while; the end of the session is checked on every request. Browsers send the session automatically, so a request
//! that changes something has to come from a trusted page.
//!
//! [`Resolver`]: crate::edge::ports::Resolver

use std::{cell::RefCell, rc::Rc};

use super::{
    browser::{self, BrowserSettings},
    cache::{self, TokenCache},
    caller::Caller,
    lookup::Lookup,
};
use crate::{
    domain::gateway::models::{
        session::{REMEMBERED_FOR, SessionSecret},
        values::digest::Sha256Digest,
    },
    edge::{
        error::Failure,
        http::{cookies, header_list::HeaderList},
        snapshot::Snapshot,
    },
};
use chrono::{DateTime, Utc};

/// The sessions that one core has cached.
pub(crate) struct Sessions(RefCell<TokenCache<Sha256Digest, Known>>);

#[derive(Clone)]
struct Known {
    caller: Rc<Caller>,
    asked_at: DateTime<Utc>,
}

/// The caller; `None` if no session was sent, or one that has ended. `changes`: whether the request can change
/// anything.
pub(crate) async fn by_session(
    lookup: &Lookup,
    sessions: &Sessions,
    browsers: &BrowserSettings,
    snapshot: &Snapshot,
    headers: &HeaderList,
    changes: bool,
) -> Result<Option<Rc<Caller>>, Failure> {
    let cookie = cookies::sent(headers, browsers.session_cookie.as_bytes());
    let Some(cookie) = cookie.filter(|cookie| SessionSecret::has_form_of(cookie)) else { return Ok(None) };
    let digest = Sha256Digest::of(cookie);
    let caller = match sessions.recall(&digest, lookup.now()) {
        Some(caller) => Some(caller),
        None => Box::pin(ask(lookup, sessions, digest)).await?,
    };
    let Some(caller) = caller.filter(|caller| is_good(lookup, snapshot, caller)) else {
        sessions.0.borrow_mut().forget(&digest);
        return Ok(None);
    };
    if changes && !browsers.pages.include(browser::page(headers)) {
        return Err(Failure::CrossSite);
    }
    Ok(Some(caller))
}

/// Checks whatever may have changed since the session was looked up.
fn is_good(lookup: &Lookup, snapshot: &Snapshot, caller: &Caller) -> bool {
    let identity = &caller.identity;
    identity.is_live(lookup.now()) && !snapshot.revocations.contains_any(&identity.revocable())
}

async fn ask(lookup: &Lookup, sessions: &Sessions, digest: Sha256Digest) -> Result<Option<Rc<Caller>>, Failure> {
    let asked_at = lookup.now();
    let found = lookup.ask(|resolver| async move { resolver.session(digest).await }).await?;
    let Some(identity) = found else { return Ok(None) };
    let mut known = sessions.0.borrow_mut();
    // Keep what was made for this caller, such as an assertion, as long as the identity is unchanged.
    let before = known.get(&digest).map(|known| known.caller).filter(|caller| *caller.identity == identity);
    let caller = before.unwrap_or_else(|| Caller::new(identity));
    known.insert(digest, Known { caller: Rc::clone(&caller), asked_at });
    Ok(Some(caller))
}

impl Sessions {
    /// The cached caller, if it need not be looked up again.
    fn recall(&self, digest: &Sha256Digest, now: DateTime<Utc>) -> Option<Rc<Caller>> {
        let known = self.0.borrow_mut().get(digest)?;
        (now < known.asked_at + REMEMBERED_FOR).then_some(known.caller)
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self(RefCell::new(TokenCache::new(cache::TOKENS)))
    }
}
