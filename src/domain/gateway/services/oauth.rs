//! Keeps what people allowed us at providers: exchanges codes, hands out tokens that are never expired, takes grants back.

pub mod ahead;
mod exchanging;
mod injecting;
mod keeping;
mod link_permit;
mod refreshing;
mod sealing;
mod signing_in;
mod taking_back;
mod unlinking;

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use thiserror::Error;

pub use self::exchanging::{ExchangeError, ExchangePurpose, ExchangeRequest, Exchanged};
pub use self::link_permit::LinkPermit;
pub(super) use self::sealing::sealing_context;
pub use self::signing_in::{Agreed, ConsentRequest, SignInError, SignedIn};
pub use self::taking_back::TakenBack;
use self::{keeping::KeepError, refreshing::Turns};
pub use super::ports::{AdmissionRule, Provider, ProviderError};
use super::{
    Failure,
    ports::{GrantStatePublisher, Sealer},
    provider::ProviderHealths,
    token::TokenService,
};
use crate::{
    domain::gateway::{
        models::{
            account::{Account, ProviderIdentity},
            id::{AccountId, GrantId},
            identity::Identity,
            oauth::{Grant, GrantCursor, GrantFilter, ProviderName, ProviderTokens},
            scope::Scope,
        },
        repositories::{RepositoryError, attempt::AttemptRepository, oauth::OAuthRepository},
    },
    ports::{Clock, Entropy},
};

/// Lets a caller read any grant.
const READ_SCOPE: &str = "oauth:read";
/// Lets a caller refresh and delete any grant.
const WRITE_SCOPE: &str = "oauth:write";

/// What [`OAuthService`] is made of.
pub struct OAuthParts {
    /// Where accounts and grants are kept.
    pub store: Arc<dyn OAuthRepository>,
    /// Where exchanges are counted.
    pub attempts: Arc<dyn AttemptRepository>,
    /// The providers that are switched on.
    pub providers: Vec<SwitchedOn>,
    /// Is told how they do.
    pub healths: Arc<ProviderHealths>,
    /// Seals the tokens.
    pub sealer: Arc<dyn Sealer>,
    /// Is told of every change of a grant.
    pub publisher: Arc<dyn GrantStatePublisher>,
    /// Issues our own tokens to whoever signs in.
    pub tokens: Arc<TokenService>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// A provider that is switched on, and where codes of it may have been sent.
pub struct SwitchedOn {
    /// The provider.
    pub provider: Arc<dyn Provider>,
    /// Where codes of a sign-in at `/login` are sent. They are redeemed there and nowhere else.
    pub callback: String,
    /// The redirect URIs of a caller who brings a code: exact strings (RFC 9700 §2.1), the callback not among them.
    pub redirect_uris: Vec<String>,
    /// The scopes that one sign-in may ask for besides those that are set.
    pub more_scopes: Vec<String>,
    /// Whether a caller may bring a code that neither PKCE nor a nonce binds to a browser: the provider is relied on to compare
    /// redirect URIs (RFC 6749 §4.1.3).
    pub takes_unbound_codes: bool,
}

/// The vault: one method per use case.
#[derive(Clone)]
pub struct OAuthService {
    store: Arc<dyn OAuthRepository>,
    attempts: Arc<dyn AttemptRepository>,
    providers: Arc<BTreeMap<ProviderName, SwitchedOn>>,
    healths: Arc<ProviderHealths>,
    sealer: Arc<dyn Sealer>,
    publisher: Arc<dyn GrantStatePublisher>,
    tokens: Arc<TokenService>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    turns: Arc<Turns>,
}

/// A grant with its tokens in clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenGrant {
    /// The grant.
    pub grant: Grant,
    /// Its tokens.
    pub tokens: ProviderTokens,
}

/// Why an identity was not added to an account.
enum LinkError {
    /// It is another account's, or the account is gone.
    Elsewhere,
    /// The store failed.
    Failed(Failure),
}

/// Why a grant's tokens cannot be had.
#[derive(Debug, Error)]
pub enum GrantError {
    /// There is none, or it is somebody else's.
    #[error("there is no such grant")]
    NotFound,
    /// The caller may read any grant, and this is more.
    #[error("the caller's token lacks scope: {0}")]
    ScopeMissing(Scope),
    /// The person has to sign in at the provider again.
    #[error("the person has to sign in at the provider again")]
    ReauthorizationRequired,
    /// The provider gives no newer token, and the one that there is is good.
    #[error("the provider gives no newer token for this grant")]
    NothingNewer,
    /// The person took it back at the provider.
    #[error("the person took it back at the provider")]
    TakenBack,
    /// The provider does not do it for now, and the grant is not to blame.
    #[error(transparent)]
    Provider(ProviderError),
    /// Another replica has been refreshing it for too long.
    #[error("the grant is being refreshed elsewhere, and that takes too long")]
    Busy,
    /// The store or the vault failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl From<RepositoryError> for GrantError {
    fn from(error: RepositoryError) -> Self {
        Self::Failed(error.into())
    }
}

/// What became of a deletion: the grant is forgotten in any case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// Why the provider did not take it back, if it did not.
    pub not_revoked: Option<ProviderError>,
}

impl OAuthService {
    /// Puts the parts together.
    pub fn new(parts: OAuthParts) -> Self {
        let OAuthParts { store, attempts, providers, healths, sealer, publisher, tokens, clock, entropy } = parts;
        let providers = providers.into_iter().map(|one| (one.provider.name().clone(), one)).collect();
        let (providers, turns) = (Arc::new(providers), Arc::default());
        Self { store, attempts, providers, healths, sealer, publisher, tokens, clock, entropy, turns }
    }

    /// The time by which this service goes.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Where an account has an identity.
    pub async fn providers_of(&self, account: AccountId) -> Result<Vec<ProviderName>, Failure> {
        let identities = self.store.identities_of(account).await?;
        Ok(identities.into_iter().map(|identity| identity.provider).collect())
    }

    /// The providers that are switched on.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<dyn Provider>> {
        self.providers.values().map(|one| &one.provider)
    }

    /// A provider that is switched on.
    pub fn provider(&self, name: &ProviderName) -> Option<&Arc<dyn Provider>> {
        self.providers.get(name).map(|one| &one.provider)
    }

    /// The account of an identity, which is made if we have not met.
    async fn account_of(&self, identity: &ProviderIdentity) -> Result<AccountId, Failure> {
        let id = AccountId::from_random(self.entropy.bytes());
        let newcomer = Account { id, created_at: self.clock.now() };
        Ok(self.store.account_of(identity, &newcomer).await?.id)
    }

    /// Whether an account that somebody has just signed in to at a provider is still there. Whoever ends it ends its sessions
    /// and tokens last, so what was given out before this is ended by one of the two.
    pub async fn is_met(&self, account: AccountId) -> Result<bool, Failure> {
        Ok(!self.store.identities_of(account).await?.is_empty())
    }

    /// The account, once the identity is one of it.
    async fn linked(&self, identity: &ProviderIdentity, permit: LinkPermit) -> Result<AccountId, LinkError> {
        let account = Account { id: permit.account(), created_at: self.clock.now() };
        match self.store.link(identity, &account).await {
            Ok(()) => Ok(account.id),
            Err(RepositoryError::Conflict) => Err(LinkError::Elsewhere),
            Err(error @ (RepositoryError::Unavailable(_) | RepositoryError::Corrupt(_))) => {
                Err(LinkError::Failed(error.into()))
            }
        }
    }

    /// The caller's grants, newest first.
    pub async fn list(
        &self,
        caller: &Identity,
        provider: Option<ProviderName>,
        after: Option<GrantCursor>,
        limit: u64,
    ) -> Result<Vec<Grant>, Failure> {
        let Some(account) = account_of(caller) else { return Ok(Vec::new()) };
        let filter = GrantFilter { account: Some(account), provider };
        Ok(self.store.list_grants(&filter, after, limit).await?)
    }

    /// One grant with tokens that are good: an expired access token is refreshed first.
    pub async fn open(&self, caller: &Identity, id: GrantId) -> Result<OpenGrant, GrantError> {
        let grant = self.owned(caller, id, READ_SCOPE).await?;
        self.fresh(grant).await
    }

    /// Refreshes a grant now.
    pub async fn refresh(&self, caller: &Identity, id: GrantId) -> Result<OpenGrant, GrantError> {
        let grant = self.owned(caller, id, WRITE_SCOPE).await?;
        self.refreshed(grant).await
    }

    /// Takes a grant back at the provider, and forgets it whether or not that worked.
    pub async fn delete(&self, caller: &Identity, id: GrantId) -> Result<Deletion, GrantError> {
        let grant = self.owned(caller, id, WRITE_SCOPE).await?;
        let not_revoked = match self.revocable(&grant) {
            Ok((provider, tokens)) => provider.revoke(&tokens).await.err(),
            Err(error) => Some(error),
        };
        self.store.remove_grant(id).await?;
        self.grants_changed(grant.account);
        Ok(Deletion { not_revoked })
    }

    /// A grant that the caller may touch. Somebody else's is as good as none. Whoever may read any grant is told what they lack to
    /// change one, whether or not there is one.
    async fn owned(&self, caller: &Identity, id: GrantId, scope: &str) -> Result<Grant, GrantError> {
        let grant = self.store.find_grant(id).await?;
        let is_own = grant.as_ref().is_some_and(|grant| account_of(caller) == Some(grant.account));
        if is_own || caller.scope.contains(scope) {
            return grant.ok_or(GrantError::NotFound);
        }
        if caller.scope.contains(READ_SCOPE) {
            return Err(GrantError::ScopeMissing(scope.parse().unwrap_or_default()));
        }
        Err(GrantError::NotFound)
    }

    /// What the data plane remembers of this person's tokens counts no more.
    pub(super) fn grants_changed(&self, account: AccountId) {
        self.publisher.publish_grant_change(account, self.clock.now());
    }
}

/// The account that a caller's token speaks for, if it is one.
fn account_of(caller: &Identity) -> Option<AccountId> {
    caller.subject.parse().ok()
}

/// Whether the provider can give the next access token: with a refresh token, or for one that is still good.
fn can_renew(provider: &dyn Provider, tokens: &ProviderTokens, now: DateTime<Utc>) -> bool {
    let alive = tokens.expires_at.is_none_or(|expires_at| now < expires_at);
    tokens.refresh_token.is_some() || (provider.renews_living_tokens() && alive)
}

#[cfg(test)]
mod tests;
