//! Accounts: who a person is to us. An account is found by (provider, subject) and by nothing else; an e-mail never links
//! two.

use chrono::{DateTime, Utc};

use super::{id::AccountId, oauth::ProviderName};

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The `sub` of this person's tokens.
    pub id: AccountId,
    /// When we first met.
    pub created_at: DateTime<Utc>,
}

/// Who a person is at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderIdentity {
    /// The provider.
    pub provider: ProviderName,
    /// What the provider calls the person; never changes and is never given to another.
    pub subject: String,
    /// E-mail, if the provider told it and vouches that it is the person's.
    pub verified_email: Option<String>,
    /// The name to show.
    pub name: Option<String>,
}
