//! What a person took back at the provider is taken back here.

use chrono::{DateTime, Utc};

use super::OAuthService;
use crate::domain::gateway::{
    models::{id::AccountId, oauth::ProviderName},
    services::Failure,
};

impl OAuthService {
    /// Marks every grant of a person who took back at the provider what they allowed us, but for those that changed after `until`;
    /// says how many. That nobody of that name is known, or it was marked already, is as good.
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

    /// The account of the person whom a provider calls so, if there is one.
    pub async fn account_at(&self, provider: &ProviderName, subject: &str) -> Result<Option<AccountId>, Failure> {
        Ok(self.store.find_account(provider, subject).await?)
    }
}
