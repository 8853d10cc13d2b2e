//! The caller of the gateway's own API, after their credential was verified.

use super::{identity::Identity, session::Session};

/// A caller whose credential was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifiedCaller {
    /// The holder of a token. Services see tokens, so they may do less than a session.
    Token(Identity),
    /// The person who is signed in in a browser.
    Session(Session),
}

impl VerifiedCaller {
    /// The identity of either.
    pub fn into_identity(self) -> Identity {
        match self {
            Self::Token(identity) => identity,
            Self::Session(session) => session.identity(),
        }
    }
}
