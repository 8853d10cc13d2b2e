//! Stores the access that people allowed us at providers: exchanges codes, hands out tokens that are never expired,
//! revokes grants.

mod exchanging;
mod injecting;
mod keeping;
mod link_permit;
pub mod proactive_refresh;
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
use self::{keeping::KeepError, refreshing::KeyedMutex};
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
            oauth::{Grant, GrantCursor, GrantFilter, GrantPage, GrantQuery, ProviderName, ProviderTokens},
            values::{
                id::{AccountId, GrantId},
                identity::Identity,
                scope::Scope,
            },
        },
        repositories::{
            Constraint, RepositoryError, account::AccountRepository, oauth::OAuthRepository,
            throttle::ThrottleRepository,
        },
    },
    ports::{Clock, Entropy},
};

/// Lets a caller read any grant.
const READ_SCOPE: &str = "oauth:read";
/// Lets a caller refresh and delete any grant.
const WRITE_SCOPE: &str = "oauth:write";

/// The dependencies of [`OAuthService`].
pub struct OAuthParts {
    /// Stores grants.
    pub store: Arc<dyn OAuthRepository>,
    /// Finds accounts by identity, and creates them.
    pub accounts: Arc<dyn AccountRepository>,
    /// Counts exchanges.
    pub attempts: Arc<dyn ThrottleRepository>,
    /// The enabled providers.
    pub providers: Vec<EnabledProvider>,
    /// Records their health.
    pub healths: Arc<ProviderHealths>,
    /// Seals the tokens.
    pub sealer: Arc<dyn Sealer>,
    /// Is notified of every change of a grant.
    pub publisher: Arc<dyn GrantStatePublisher>,
    /// Issues our own tokens to people who sign in.
    pub tokens: Arc<TokenService>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// An enabled provider, and the addresses that its codes may have been sent to.
pub struct EnabledProvider {
    /// The provider.
    pub provider: Arc<dyn Provider>,
    /// The redirect URI of a sign-in at `/login`. Its codes are redeemed there and nowhere else.
    pub callback: String,
    /// The redirect URIs of callers who bring codes: exact strings (RFC 9700 §2.1), without the callback.
    pub redirect_uris: Vec<String>,
    /// The scopes that one sign-in may request in addition.
    pub more_scopes: Vec<String>,
    /// Whether a caller may bring a code that neither PKCE nor a nonce binds to a browser: then the provider is relied
    /// on to compare redirect URIs (RFC 6749 §4.1.3).
    pub takes_unbound_codes: bool,
}

/// The vault: one method per use case.
#[derive(Clone)]
pub struct OAuthService {
    store: Arc<dyn OAuthRepository>,
    accounts: Arc<dyn AccountRepository>,
    attempts: Arc<dyn ThrottleRepository>,
    providers: Arc<BTreeMap<ProviderName, EnabledProvider>>,
    healths: Arc<ProviderHealths>,
    sealer: Arc<dyn Sealer>,
    publisher: Arc<dyn GrantStatePublisher>,
    tokens: Arc<TokenService>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    turns: Arc<KeyedMutex>,
}

/// A grant with its tokens in clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenGrant {
    /// The grant.
    pub grant: Grant,
    /// Its tokens.
    pub tokens: ProviderTokens,
}

/// The reason why an identity was not linked to an account.
enum LinkError {
    /// It belongs to another account.
    Elsewhere,
    /// The account has just ended.
    AccountEnded,
    /// The store failed.
    Failed(Failure),
}

/// The reason why a grant's tokens are not available.
#[derive(Debug, Error)]
pub enum GrantError {
    /// There is no such grant, or it belongs to another account.
    #[error("the grant does not exist")]
    NotFound,
    /// The caller may read any grant, but needs this scope as well.
    #[error("the caller's token lacks scope: {0}")]
    ScopeMissing(Scope),
    /// The person has to sign in at the provider again.
    #[error("the person must sign in at the provider again")]
    ReauthorizationRequired,
    /// The provider issues no newer token, and the current one is valid.
    #[error("the provider issues no newer token for this grant")]
    NothingNewer,
    /// The person revoked it at the provider.
    #[error("the person revoked the grant at the provider")]
    TakenBack,
    /// The provider fails for now; nothing is wrong with the grant.
    #[error(transparent)]
    Provider(ProviderError),
    /// Another replica has been refreshing it for too long.
    #[error("another refresh of the grant takes too long")]
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

/// The result of a deletion: the grant is deleted here in any case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// Why the provider did not revoke it; `None` if it did.
    pub not_revoked: Option<ProviderError>,
}

impl OAuthService {
    /// Creates the service.
    pub fn new(parts: OAuthParts) -> Self {
        let OAuthParts { store, accounts, attempts, providers, healths, sealer, publisher, tokens, clock, entropy } =
            parts;
        let providers = providers.into_iter().map(|one| (one.provider.name().clone(), one)).collect();
        let (providers, turns) = (Arc::new(providers), Arc::default());
        Self { store, accounts, attempts, providers, healths, sealer, publisher, tokens, clock, entropy, turns }
    }

    /// The time by this service's clock.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The providers at which an account has an identity.
    pub async fn providers_of(&self, account: AccountId) -> Result<Vec<ProviderName>, Failure> {
        let identities = self.accounts.identities_of(account).await?;
        Ok(identities.into_iter().map(|identity| identity.provider).collect())
    }

    /// The enabled providers.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<dyn Provider>> {
        self.providers.values().map(|one| &one.provider)
    }

    /// An enabled provider.
    pub fn provider(&self, name: &ProviderName) -> Option<&Arc<dyn Provider>> {
        self.providers.get(name).map(|one| &one.provider)
    }

    /// The account of an identity, created if there is none.
    async fn account_of(&self, identity: &ProviderIdentity) -> Result<AccountId, Failure> {
        let id = AccountId::from_random(self.entropy.bytes());
        let new_account = Account { id, created_at: self.clock.now() };
        Ok(self.accounts.account_of(identity, &new_account).await?.id)
    }

    /// Whether an account that was just signed in to at a provider still exists. A deletion ends sessions and tokens
    /// last, so anything that was issued before this check is ended either there or here.
    pub async fn account_exists(&self, account: AccountId) -> Result<bool, Failure> {
        Ok(!self.accounts.identities_of(account).await?.is_empty())
    }

    /// The account, after the identity is linked to it.
    async fn linked(&self, identity: &ProviderIdentity, permit: LinkPermit) -> Result<AccountId, LinkError> {
        let account = Account { id: permit.account(), created_at: self.clock.now() };
        match self.accounts.link(identity, &account).await {
            Ok(()) => Ok(account.id),
            Err(RepositoryError::Conflict(Constraint::Identity)) => Err(LinkError::Elsewhere),
            Err(RepositoryError::Conflict(Constraint::Account)) => Err(LinkError::AccountEnded),
            Err(error) => Err(LinkError::Failed(error.into())),
        }
    }

    /// A page of the caller's grants, newest first.
    pub async fn list(&self, caller: &Identity, query: GrantQuery) -> Result<GrantPage, Failure> {
        let Some(account) = account_of(caller) else { return Ok(GrantPage { grants: Vec::new(), next: None }) };
        let filter = GrantFilter { account: Some(account), provider: query.provider };
        let mut grants = self.store.list_grants(&filter, query.after, query.size.with_next()).await?;
        let has_next = query.size.cut(&mut grants);
        let end = |last: &Grant| GrantCursor { created_at: last.created_at, id: last.id };
        let next = grants.last().filter(|_| has_next).map(end);
        Ok(GrantPage { grants, next })
    }

    /// One grant with valid tokens: an expired access token is refreshed first.
    pub async fn open(&self, caller: &Identity, id: GrantId) -> Result<OpenGrant, GrantError> {
        let grant = self.owned(caller, id, READ_SCOPE).await?;
        self.fresh(grant).await
    }

    /// Refreshes a grant now.
    pub async fn refresh(&self, caller: &Identity, id: GrantId) -> Result<OpenGrant, GrantError> {
        let grant = self.owned(caller, id, WRITE_SCOPE).await?;
        self.refreshed(grant).await
    }

    /// Revokes a grant at the provider, and deletes it here whether or not that worked.
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

    /// A grant that the caller may access. A grant of another account counts as missing. A caller who may read any
    /// grant is told the scope that a change needs, whether or not the grant exists.
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

    /// Invalidates the tokens of this person that the data plane remembers.
    pub(super) fn grants_changed(&self, account: AccountId) {
        self.publisher.publish_grant_change(account, self.clock.now());
    }
}

/// The account that a caller's token represents, if any.
fn account_of(caller: &Identity) -> Option<AccountId> {
    caller.subject.parse().ok()
}

/// Whether the provider can issue the next access token: for a refresh token, or for an access token that is still
/// valid.
fn can_renew(provider: &dyn Provider, tokens: &ProviderTokens, now: DateTime<Utc>) -> bool {
    let alive = tokens.expires_at.is_none_or(|expires_at| now < expires_at);
    tokens.refresh_token.is_some() || (provider.renews_living_tokens() && alive)
}

#[cfg(test)]
mod tests;
