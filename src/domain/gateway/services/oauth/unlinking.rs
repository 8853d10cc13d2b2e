//! What a person took back at the provider is taken back here.

use chrono::TimeDelta;
use thiserror::Error;
use tracing::{info, warn};

use super::{OAuthService, SwitchedOn};
use crate::domain::gateway::{
    models::oauth::ProviderName,
    services::{
        Failure,
        ports::{Acknowledgement, UnlinkError, UnlinkNotice},
    },
};

/// How far the provider's clock may be behind ours. A notice is about what was allowed before it was sent: replayed later,
/// it does not end what the person allowed anew.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// Why a notice changed nothing.
#[derive(Debug, Error)]
pub enum NoticeError {
    /// No such provider is switched on.
    #[error("no provider of this name is switched on")]
    UnknownProvider,
    /// It is not believed.
    #[error(transparent)]
    Refused(#[from] UnlinkError),
    /// The store failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl OAuthService {
    /// Takes a provider's notice that somebody took back there what they allowed us: every grant of theirs is marked. That
    /// we know nobody of that name, or knew it already, is as good.
    pub async fn unlinked(&self, provider: &str, notice: &UnlinkNotice) -> Result<Acknowledgement, NoticeError> {
        let name: ProviderName = provider.parse().map_err(|_| NoticeError::UnknownProvider)?;
        let SwitchedOn { provider, .. } = self.providers.get(&name).ok_or(NoticeError::UnknownProvider)?;
        let unlinked = match provider.unlinked(notice).await {
            Ok(unlinked) => unlinked,
            Err(UnlinkError::AnotherEvent(event)) => {
                info!(provider = %name, event, "a notice of a provider was understood, and changes nothing here");
                return Ok(Acknowledgement::Ok);
            }
            Err(error) => {
                warn!(provider = %name, %error, "a notice of a provider was refused");
                return Err(error.into());
            }
        };
        let now = self.clock.now();
        let until = unlinked.sent_at.map_or(now, |sent_at| sent_at.min(now)) + SKEW;
        let revoked = self.store.revoke_grants_of(&name, &unlinked.subject, until, now).await.map_err(Failure::from)?;
        for grant in &revoked {
            self.grants_changed(grant.account);
        }
        info!(provider = %name, grants = revoked.len(), "somebody took back at the provider what they allowed");
        Ok(unlinked.acknowledgement)
    }
}
