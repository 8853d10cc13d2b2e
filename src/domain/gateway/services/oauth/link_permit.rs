//! The right to add an identity at a provider to an account.

use crate::domain::gateway::models::{
    id::{AccountId, SessionId},
    login::LoginAttempt,
    session::Session,
};

/// The right to add an identity at a provider to an account: what a sign-in at the provider takes along of
/// the control of the account, in the session that has it. Services alone make one.
#[derive(Debug, Clone, Copy)]
pub struct LinkPermit {
    account: AccountId,
    session: SessionId,
}

impl LinkPermit {
    /// Of an account that this session has taken control of.
    pub(in crate::domain::gateway::services) fn of(account: AccountId, session: SessionId) -> Self {
        Self { account, session }
    }

    /// The account.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// The session.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// The right that an attempt was begun with, if the browser still has that session. Otherwise the identity would be added to
    /// the account that is signed in now.
    pub(in crate::domain::gateway::services) fn resumed(attempt: &LoginAttempt, session: &Session) -> Option<Self> {
        (attempt.link? == session.id).then_some(Self { account: session.account, session: session.id })
    }

    /// As if the password had been verified.
    #[cfg(test)]
    pub(crate) fn unproven(account: AccountId, session: SessionId) -> Self {
        Self { account, session }
    }
}
