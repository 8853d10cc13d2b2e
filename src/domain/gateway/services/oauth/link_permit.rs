//! The right to link an identity at a provider to an account.

use crate::domain::gateway::models::{
    login::LoginAttempt,
    session::Session,
    values::id::{AccountId, SessionId},
};

/// The right to link an identity at a provider to an account: the part of the control of the account that a sign-in at
/// the provider takes along, bound to the session that has it. Only services create one.
#[derive(Debug, Clone, Copy)]
pub struct LinkPermit {
    account: AccountId,
    session: SessionId,
}

impl LinkPermit {
    /// The permit for an account that this session has taken control of.
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

    /// The permit that an attempt was begun with, if the browser still has that session. Otherwise the identity would
    /// be linked to the account that is signed in now.
    pub(in crate::domain::gateway::services) fn resumed(attempt: &LoginAttempt, session: &Session) -> Option<Self> {
        (attempt.link? == session.id).then_some(Self { account: session.account, session: session.id })
    }

    /// A permit as if the password had been verified.
    #[cfg(test)]
    pub(crate) fn unproven(account: AccountId, session: SessionId) -> Self {
        Self { account, session }
    }
}
