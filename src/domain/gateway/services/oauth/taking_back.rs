//! Taking grants back at their providers when what they belonged to is gone.

use std::sync::Arc;

use tokio::task::spawn;

use super::{Deletion, OAuthService, Provider, ProviderError};
use crate::domain::gateway::models::oauth::{Grant, ProviderName, ProviderTokens};

/// What became of a grant that is forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenBack {
    /// Where it was.
    pub provider: ProviderName,
    /// Whether the provider took it back, too.
    pub deletion: Deletion,
}

impl OAuthService {
    /// Takes grants back that are forgotten already, all at once. It goes on though nobody waits for it any more.
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
                Ok(answer) => answer.await.unwrap_or_else(|panic| Some(ProviderError::BadAnswer(panic.to_string()))),
                Err(error) => Some(error),
            };
            taken.push(TakenBack { provider, deletion: Deletion { not_revoked } });
        }
        taken
    }

    /// What is needed to take a grant back at its provider.
    pub(super) fn revocable(&self, grant: &Grant) -> Result<(Arc<dyn Provider>, ProviderTokens), ProviderError> {
        let off = || ProviderError::Unavailable("the provider is switched off".into());
        let one = self.providers.get(&grant.provider).ok_or_else(off)?;
        match self.opened(grant) {
            Ok(tokens) => Ok((one.provider.clone(), tokens)),
            Err(failure) => Err(ProviderError::BadAnswer(failure.to_string())),
        }
    }
}
