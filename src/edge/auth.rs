//! Authenticates the caller, by a token or by a browser session, and decides which credentials go along to a service.
//! Questions that the snapshot cannot answer go to the [`Resolver`](crate::edge::ports::Resolver), on the control
//! runtime; each core caches the results.

pub(crate) mod bearer;
pub mod browser;
pub(crate) mod cache;
pub(crate) mod caller;
pub(crate) mod lookup;
pub(crate) mod provider_identity;
pub(crate) mod provider_token;
pub(crate) mod session;
pub(crate) mod token_hash;

use std::rc::Rc;

use self::{
    bearer::Tokens, browser::BrowserSettings, caller::Caller, lookup::Lookup, provider_identity::ProviderIdentities,
    provider_token::ProviderTokens, session::Sessions,
};
use crate::{
    domain::gateway::models::access::Accepted,
    edge::{error::Failure, http::header_list::HeaderList, snapshot::Snapshot},
};

/// The authentication caches and settings of one core.
pub(crate) struct State {
    pub(crate) lookup: Lookup,
    pub(crate) tokens: Tokens,
    pub(crate) sessions: Sessions,
    pub(crate) provider_identities: ProviderIdentities,
    pub(crate) provider_tokens: ProviderTokens,
    pub(crate) browsers: BrowserSettings,
}

impl State {
    /// Starts with empty caches.
    pub(crate) fn new(lookup: Lookup, tokens: Tokens, browsers: BrowserSettings) -> Self {
        Self {
            lookup,
            tokens,
            sessions: Sessions::default(),
            provider_identities: ProviderIdentities::default(),
            provider_tokens: ProviderTokens::default(),
            browsers,
        }
    }
}

/// The caller, by a credential that is accepted here; `None` if none was sent. A token takes precedence over a session.
pub(crate) async fn authenticate(
    state: &State,
    snapshot: &Snapshot,
    accepted: Accepted,
    headers: &HeaderList,
    changes: bool,
) -> Result<Option<Rc<Caller>>, Failure> {
    if accepted != Accepted::Session
        && let Some(caller) = bearer::by_token(&state.lookup, &state.tokens, snapshot, headers).await?
    {
        return Ok(Some(caller));
    }
    if accepted == Accepted::Token {
        Ok(None)
    } else {
        session::by_session(&state.lookup, &state.sessions, &state.browsers, snapshot, headers, changes).await
    }
}
