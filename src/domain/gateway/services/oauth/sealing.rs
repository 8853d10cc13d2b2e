//! The sealed tokens of a grant. The fields in clear beside them are those that a store must be able to query.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Failure, OAuthService, can_renew};
use crate::domain::gateway::{
    models::{
        oauth::{Grant, ProviderTokens},
        values::secret::Secret,
    },
    services::ports::Provider,
};

impl OAuthService {
    /// A grant with these tokens, sealed.
    pub(super) fn sealed(
        &self,
        grant: Grant,
        provider: &dyn Provider,
        tokens: &ProviderTokens,
    ) -> Result<Grant, Failure> {
        let clear =
            serde_json::to_vec(&ClearTokens::from(tokens)).map_err(|error| Failure::Broken(error.to_string()))?;
        Ok(Grant {
            sealed_tokens: self.sealer.seal(&sealing_context(&grant), &clear),
            expires_at: tokens.expires_at,
            refreshable: can_renew(provider, tokens, self.clock.now()),
            ..grant
        })
    }

    /// The tokens of a grant, opened.
    pub(super) fn opened(&self, grant: &Grant) -> Result<ProviderTokens, Failure> {
        let broken =
            |reason: String| Failure::Broken(format!("the tokens of grant {} cannot be read: {reason}", grant.id));
        let clear = self
            .sealer
            .open(&sealing_context(grant), &grant.sealed_tokens)
            .map_err(|reason| broken(reason.to_string()))?;
        // serde's error texts may quote the input.
        let clear: ClearTokens =
            serde_json::from_slice(&clear).map_err(|_| broken("they do not have the stored form".into()))?;
        Ok(clear.into_tokens(grant.expires_at))
    }
}

/// A sealed value opens only for the person and the provider that it was sealed for. The grant's id is not part of the
/// context: a person who signs in again gets new tokens under the old id.
pub(in crate::domain::gateway::services) fn sealing_context(grant: &Grant) -> String {
    format!("grant:{}:{}:{}", grant.account, grant.provider, grant.provider_subject)
}

/// The sealed contents.
#[derive(Serialize, Deserialize)]
struct ClearTokens {
    access_token: String,
    token_type: String,
    refresh_token: Option<String>,
    scope: Option<String>,
}

impl From<&ProviderTokens> for ClearTokens {
    fn from(tokens: &ProviderTokens) -> Self {
        Self {
            access_token: tokens.access_token.expose().to_owned(),
            token_type: tokens.token_type.clone(),
            refresh_token: tokens.refresh_token.as_ref().map(|token| token.expose().to_owned()),
            scope: tokens.scope.clone(),
        }
    }
}

impl ClearTokens {
    fn into_tokens(self, expires_at: Option<DateTime<Utc>>) -> ProviderTokens {
        ProviderTokens {
            access_token: Secret::new(self.access_token),
            token_type: self.token_type,
            expires_at,
            refresh_token: self.refresh_token.map(Secret::new),
            scope: self.scope,
            id_token: None,
        }
    }
}
