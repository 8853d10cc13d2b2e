//! The token that goes along when a person's request is forwarded to a service that may act for them at a provider.

use super::{GrantError, OAuthService, OpenGrant};
use crate::domain::gateway::models::{
    id::AccountId,
    oauth::{GrantFilter, GrantStatus, ProviderName},
};

/// How many grants are looked at: nobody has signed in with more identities at one provider.
const MOST_IDENTITIES: u64 = 16;

impl OAuthService {
    /// The person's newest grant at a provider that can be used, with an access token that is good for a while. A fresh one
    /// costs one look into the store.
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
