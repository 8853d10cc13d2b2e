//! Finds out who calls, by a token or by the session of a browser, and what goes along with them to a service. What cannot be
//! told from the snapshot is asked of the [`Resolver`](super::ports::Resolver), on the control runtime, and remembered per core.

use std::rc::Rc;

use super::{
    bearer::{self, Tokens},
    browser::BrowserSettings,
    caller::Caller,
    error::Failure,
    header_list::HeaderList,
    linked::LinkedAccounts,
    lookup::Lookup,
    provider_token::ProviderTokens,
    session::{self, Sessions},
    snapshot::Snapshot,
};
use crate::domain::gateway::models::access::Accepted;

/// What one core knows of callers.
pub(super) struct State {
    pub(super) lookup: Lookup,
    pub(super) tokens: Tokens,
    pub(super) sessions: Sessions,
    pub(super) linked_accounts: LinkedAccounts,
    pub(super) provider_tokens: ProviderTokens,
    pub(super) browsers: BrowserSettings,
}

impl State {
    /// Knows nobody yet.
    pub(super) fn new(lookup: Lookup, tokens: Tokens, browsers: BrowserSettings) -> Self {
        Self {
            lookup,
            tokens,
            sessions: Sessions::default(),
            linked_accounts: LinkedAccounts::default(),
            provider_tokens: ProviderTokens::default(),
            browsers,
        }
    }
}

/// Who calls, by a credential that is accepted here; `None` if none was sent. A token counts before a session.
pub(super) async fn authenticate(
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
