//! Accounts: who a person is to us. At a provider an account is found by (provider, subject), here by the e-mail that the
//! person signed up with and their password. An e-mail never links two: what a provider says of one is only to be shown.

mod email;
mod name;
mod password;

use chrono::{DateTime, Utc};

pub use self::email::{Email, InvalidEmail};
pub use self::name::told_name;
pub use self::password::{LONGEST_PASSWORD, Password, PasswordHash, SHORTEST_PASSWORD, UnfitPassword};
use super::{
    id::{AccountId, EndingId, SessionId},
    oauth::{Grant, ProviderName},
};

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

/// The domain of the addresses that Apple gives out for people who hide theirs. It hands mail on that registered senders send there.
const PRIVATE_RELAY: &str = "privaterelay.appleid.com";

impl ProviderIdentity {
    /// Whether the e-mail is an address of Apple's private relay: good to reach the person, and not the one they are known by.
    pub fn has_relay_email(&self) -> bool {
        let domain = self.verified_email.as_deref().and_then(|email| email.rsplit_once('@')).map(|(_, domain)| domain);
        domain.is_some_and(|domain| domain.eq_ignore_ascii_case(PRIVATE_RELAY))
    }
}

/// How a person signs in here, without a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordLogin {
    /// Whose it is.
    pub account: AccountId,
    /// What the person types in. Nobody proved that mail to it arrives, so it is a name to sign in with and nothing more.
    pub email: Email,
    /// The name to show.
    pub name: Option<String>,
    /// The password, hashed.
    pub hash: PasswordHash,
    /// When the password was set.
    pub changed_at: DateTime<Utc>,
}

/// Everything that an account is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The account.
    pub account: Account,
    /// How the person signs in here, if they do.
    pub login: Option<PasswordLogin>,
    /// Who the person is at the providers, by provider and subject.
    pub identities: Vec<ProviderIdentity>,
}

impl Profile {
    /// What to call the person: the name that they signed up with, or one that a provider told.
    pub fn name(&self) -> Option<&str> {
        let own = self.login.as_ref().and_then(|login| login.name.as_deref());
        own.or_else(|| self.identities.iter().find_map(|identity| identity.name.as_deref()))
    }
}

/// What became of the wish to take a provider from an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnlinkOutcome {
    /// It is taken, and these grants with it.
    Unlinked(Vec<Grant>),
    /// The account has no identity there, or there is no such account.
    NotLinked,
    /// It is the only way in that the account has. Nothing changed.
    LastWayIn,
}

/// The wish to take an identity from its account, at the person's own request to the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityErasure {
    /// The provider.
    pub provider: ProviderName,
    /// What it calls the person.
    pub subject: String,
    /// If the person has allowed us something after this, they are back, and nothing is taken.
    pub until: DateTime<Utc>,
    /// Names the ending of the account, if the identity is its only way in.
    pub ending: EndingId,
    /// Now.
    pub now: DateTime<Utc>,
}

/// What became of the wish to take an identity from its account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErasureOutcome {
    /// Nobody has it.
    Unknown,
    /// The person has allowed us something since. Nothing changed.
    AllowedAnew,
    /// It is taken from this account, and so are its grants.
    Erased(AccountId, Vec<Grant>),
    /// It was the only way in, so the account is gone with it and these grants. What it has open is still to end.
    AccountRemoved(AccountEnding, Vec<Grant>),
}

/// The wish to end what an account has open: it is stored before the first step, and taken back after the last one. So it is
/// carried out though a store fails in between, or the gateway is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountEnding {
    /// Names it.
    pub id: EndingId,
    /// Whose sessions and tokens end.
    pub account: AccountId,
    /// The session that stays.
    pub keep: Option<SessionId>,
    /// Whether the account ends, too.
    pub removes: bool,
    /// When it was begun.
    pub begun_at: DateTime<Utc>,
}
