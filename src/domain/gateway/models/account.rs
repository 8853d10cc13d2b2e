//! Accounts: people as this gateway knows them. An account is found by provider and subject, or by the e-mail and
//! password that the person signed up with here. An e-mail never links two accounts: the one that a provider reports is
//! for display only.

mod email;
mod name;
mod password;
mod requests;

use chrono::{DateTime, Utc};

pub use self::email::{Email, InvalidEmail};
pub use self::name::reported_name;
pub use self::password::{LONGEST_PASSWORD, Password, PasswordHash, SHORTEST_PASSWORD, UnfitPassword};
pub use self::requests::{LogIn, PasswordChange, SignUp};
use super::{
    oauth::{Grant, ProviderName},
    values::id::{AccountId, EndingId, SessionId},
};

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The `sub` of this person's tokens.
    pub id: AccountId,
    /// When the person first signed in here.
    pub created_at: DateTime<Utc>,
}

/// A person's identity at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderIdentity {
    /// The provider.
    pub provider: ProviderName,
    /// The provider's identifier of the person; never changes and is never given to another person.
    pub subject: String,
    /// E-mail, if the provider sent it and vouches that it belongs to the person.
    pub verified_email: Option<String>,
    /// The name to show.
    pub name: Option<String>,
}

/// The domain of the addresses that Apple gives to people who hide theirs. It forwards the mail that registered senders
/// send to them.
const PRIVATE_RELAY: &str = "privaterelay.appleid.com";

impl ProviderIdentity {
    /// Whether the e-mail is an address of Apple's private relay: it reaches the person, but it is not the address that
    /// others know.
    pub fn has_relay_email(&self) -> bool {
        let domain = self.verified_email.as_deref().and_then(|email| email.rsplit_once('@')).map(|(_, domain)| domain);
        domain.is_some_and(|domain| domain.eq_ignore_ascii_case(PRIVATE_RELAY))
    }
}

/// A password login: how a person signs in here, without a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordLogin {
    /// The account that it belongs to.
    pub account: AccountId,
    /// The e-mail that the person types in. It is not proven that mail to it arrives, so it is only a login name.
    pub email: Email,
    /// The name to show.
    pub name: Option<String>,
    /// The password, hashed.
    pub hash: PasswordHash,
    /// When the password was set.
    pub changed_at: DateTime<Utc>,
}

/// An account and all its ways to sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The account.
    pub account: Account,
    /// The person's password login here, if there is one.
    pub login: Option<PasswordLogin>,
    /// The person's identities at the providers, sorted by provider and subject.
    pub identities: Vec<ProviderIdentity>,
}

impl Profile {
    /// The person's display name: the one given at sign-up, or one that a provider sent.
    pub fn name(&self) -> Option<&str> {
        let own = self.login.as_ref().and_then(|login| login.name.as_deref());
        own.or_else(|| self.identities.iter().find_map(|identity| identity.name.as_deref()))
    }
}

/// The outcome of unlinking a provider from an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnlinkOutcome {
    /// The provider is unlinked, and these grants are deleted with it.
    Unlinked(Vec<Grant>),
    /// The account has no identity there, or there is no such account.
    NotLinked,
    /// It is the account's only way to sign in. Nothing changed.
    LastWayIn,
}

/// A request to erase an identity from its account, which the person made at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityErasure {
    /// The provider.
    pub provider: ProviderName,
    /// The provider's identifier of the person.
    pub subject: String,
    /// If the person has granted us access after this, they have come back, and nothing is erased.
    pub until: DateTime<Utc>,
    /// The id for ending the account, if the identity is its only way to sign in.
    pub ending: EndingId,
    /// Now.
    pub now: DateTime<Utc>,
}

/// The outcome of an [`IdentityErasure`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErasureOutcome {
    /// No account has the identity.
    Unknown,
    /// The person has granted us access since. Nothing changed.
    AllowedAnew,
    /// The identity is erased from this account, and its grants are deleted.
    Erased(AccountId, Vec<Grant>),
    /// It was the only way to sign in, so the account and these grants are deleted, too. Its sessions and tokens still
    /// have to be ended.
    AccountRemoved(AccountEnding, Vec<Grant>),
}

/// A pending task to end an account's sessions and tokens. It is stored before the first step and deleted after the
/// last one, so it is completed even if a store fails in between or the gateway is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountEnding {
    /// Names it.
    pub id: EndingId,
    /// The account whose sessions and tokens end.
    pub account: AccountId,
    /// The session that stays.
    pub keep: Option<SessionId>,
    /// Whether the account is deleted, too.
    pub removes: bool,
    /// When the task began.
    pub begun_at: DateTime<Utc>,
}
