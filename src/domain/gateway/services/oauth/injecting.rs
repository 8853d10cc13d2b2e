//! The provider's token that is sent along when a person's request is forwarded to a service that may act for them
//! there.

use super::{GrantError, OAuthService, OpenGrant};
use crate::domain::gateway::models::{
    oauth::{GrantFilter, GrantStatus, ProviderName},
    values::id::AccountId,
};

/// The most grants that are considered: no one has signed in with more identities at one provider.
const MOST_IDENTITIES: u64 = 16;

impl OAuthService {
    /// The person's newest usable grant at a provider, with an access token that is valid for a while. A fresh one
    /// costs one read of the store.
    pub async fn token_for(&self, account: AccountId, provider: &ProviderName) -> Result<OpenGrant, GrantError> {
        let filter = GrantFilter { account: Some(account), provider: Some(provider.clone()) };
        let grants = self.store.list_grants(&filter, None, MOST_IDENTITIES).await?;
        let none_usable = if grants.is_empty() { GrantError::NotFound } else { GrantError::ReauthorizationRequired };
        match grants.into_iter().find(|grant| grant.status == GrantStatus::Active) {
            Some(grant) => self.fresh(grant).await,
            None => Err(none_usable),
        }
    }
}
