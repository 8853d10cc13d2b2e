//! Revokes here the access that a person revoked at the provider.

use chrono::{DateTime, Utc};

use super::OAuthService;
use crate::domain::gateway::{
    models::{oauth::ProviderName, values::id::AccountId},
    services::Failure,
};

impl OAuthService {
    /// Marks every grant of a person who revoked our access at the provider, except those that changed after `until`;
    /// returns how many. An unknown person, or grants that were marked already, are a success, too.
    pub async fn revoked_at_provider(
        &self,
        provider: &ProviderName,
        subject: &str,
        until: DateTime<Utc>,
    ) -> Result<usize, Failure> {
        let revoked = self.store.revoke_grants_of(provider, subject, until, self.clock.now()).await?;
        for grant in &revoked {
            self.grants_changed(grant.account);
        }
        Ok(revoked.len())
    }

    /// The account of the person with this identifier at the provider, if there is one.
    pub async fn account_at(&self, provider: &ProviderName, subject: &str) -> Result<Option<AccountId>, Failure> {
        Ok(self.accounts.find_account(provider, subject).await?)
    }
}
