//! Finds out who calls, by a token or by the session of a browser, and what goes along with them to a service. What cannot be
//! told from the snapshot is asked of the [`Resolver`](crate::edge::ports::Resolver), on the control runtime, and remembered per core.

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

/// What one core knows of callers.
pub(crate) struct State {
    pub(crate) lookup: Lookup,
    pub(crate) tokens: Tokens,
    pub(crate) sessions: Sessions,
    pub(crate) provider_identities: ProviderIdentities,
    pub(crate) provider_tokens: ProviderTokens,
    pub(crate) browsers: BrowserSettings,
}

impl State {
    /// Knows nobody yet.
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

/// Who calls, by a credential that is accepted here; `None` if none was sent. A token counts before a session.
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
