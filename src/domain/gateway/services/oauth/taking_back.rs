//! Revoking grants at their providers when their account or identity is gone.

use std::sync::Arc;

use tokio::task::spawn;
use tracing::warn;

use super::{Deletion, OAuthService, Provider, ProviderError};
use crate::domain::gateway::models::oauth::{Grant, GrantFilter, ProviderName, ProviderTokens};

/// The outcome for a deleted grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenBack {
    /// Its provider.
    pub provider: ProviderName,
    /// Whether the provider revoked it, too.
    pub deletion: Deletion,
}

impl OAuthService {
    /// Revokes deleted grants, all concurrently. It continues even if the caller does not wait for it any more.
    pub async fn take_back(&self, grants: Vec<Grant>) -> Vec<TakenBack> {
        let mut asked = Vec::with_capacity(grants.len());
        for grant in grants {
            self.grants_changed(grant.account);
            let asking = self
                .revocable(&grant)
                .map(|(provider, tokens)| spawn(async move { provider.revoke(&tokens).await.err() }));
            asked.push((grant.provider, asking));
        }
        let mut taken = Vec::with_capacity(asked.len());
        for (provider, asking) in asked {
            let not_revoked = match asking {
                Ok(response) => {
                    response.await.unwrap_or_else(|panic| Some(ProviderError::BadResponse(panic.to_string())))
                }
                Err(error) => Some(error),
            };
            taken.push(TakenBack { provider, deletion: Deletion { not_revoked } });
        }
        taken
    }

    /// Revokes tokens that belong to no grant any more, unless the person has granted us access there since: some
    /// providers would revoke that as well.
    pub(super) async fn take_back_orphan(&self, provider: &dyn Provider, of: &Grant, tokens: &ProviderTokens) {
        let filter = GrantFilter { account: Some(of.account), provider: Some(of.provider.clone()) };
        let outcome = match self.store.list_grants(&filter, None, 1).await {
            Ok(grants) if grants.is_empty() => provider.revoke(tokens).await.map_err(|error| error.to_string()),
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = outcome {
            warn!(provider = %of.provider, error, "tokens that no longer belong to a grant could not be revoked at the provider");
        }
    }

    /// The provider and tokens that are needed to revoke a grant.
    pub(super) fn revocable(&self, grant: &Grant) -> Result<(Arc<dyn Provider>, ProviderTokens), ProviderError> {
        let off = || ProviderError::Unavailable("the provider is not enabled".into());
        let one = self.providers.get(&grant.provider).ok_or_else(off)?;
        match self.opened(grant) {
            Ok(tokens) => Ok((one.provider.clone(), tokens)),
            Err(failure) => Err(ProviderError::BadResponse(failure.to_string())),
        }
    }
}
