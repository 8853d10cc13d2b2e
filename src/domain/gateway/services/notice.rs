//! Notices of providers: stored and acknowledged with one write, applied in the background.

mod deleting;
mod holding;
mod working;

use std::{sync::Arc, time::Duration};

use thiserror::Error;
use tokio::{sync::Notify, task::spawn, time::timeout};
use tracing::{error, info, warn};

use self::holding::Held;
pub use super::ports::{Acknowledgement, NoticeBody, NoticeRefusal, Unacknowledged, UnverifiedNotice, VerifiedNotice};
use super::{Failure, account::AccountService, oauth::OAuthService};
use crate::{
    domain::gateway::{
        models::{notice::Notice, oauth::ProviderName},
        repositories::{RepositoryError, notice::NoticeRepository},
    },
    ports::{Clock, Entropy},
};

/// How long the store may take over a notice before it counts as unavailable. Kakao requires a response within three
/// seconds.
const STORE_PATIENCE: Duration = Duration::from_secs(2);

/// The dependencies of [`NoticeService`].
pub struct NoticeParts {
    /// Stores notices.
    pub store: Arc<dyn NoticeRepository>,
    /// Knows the providers, and marks grants.
    pub oauth: Arc<OAuthService>,
    /// Ends sessions and tokens.
    pub accounts: AccountService,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// Notices: one method per use case.
pub struct NoticeService {
    parts: NoticeParts,
    /// Notices that the store did not accept.
    held: Held,
    /// Wakes the task that applies them.
    woken: Notify,
}

/// The reason why a notice is not acknowledged.
#[derive(Debug, Error)]
pub enum NoticeError {
    /// The provider is not enabled.
    #[error("the provider is unknown or not enabled")]
    UnknownProvider,
    /// It is not accepted.
    #[error(transparent)]
    Refused(#[from] NoticeRefusal),
    /// The store did not accept it, and the provider, or the owner of the app there, must be told.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl NoticeService {
    /// Creates the service.
    pub fn new(parts: NoticeParts) -> Self {
        Self { parts, held: Held::default(), woken: Notify::new() }
    }

    /// Receives a provider's notice. After success it is stored, or, if the provider would not send it again, held here
    /// until the store is back. It is applied afterwards. An unknown person is a success, too.
    pub async fn receive(
        self: &Arc<Self>,
        provider: &str,
        notice: &UnverifiedNotice,
    ) -> Result<Acknowledgement, NoticeError> {
        let (name, verified) = self.verify(provider, notice).await?;
        let VerifiedNotice { events, id, sent_at, issued_at, acknowledgement, unacknowledged } = verified;
        let now = self.parts.clock.now();
        let notices: Vec<_> = events
            .into_iter()
            .map(|event| Notice::new(name.clone(), event.subject, event.kind, id.as_deref(), sent_at, now))
            .filter(|notice| !notice.is_stale(issued_at))
            .collect();
        if notices.is_empty() {
            info!(provider = %name, "a notice of a provider requires no action");
            return Ok(acknowledgement);
        }
        let this = Arc::clone(self);
        // A provider that does not wait for the response will not send it again, either.
        spawn(async move { this.keep(notices, unacknowledged).await })
            .await
            .map_err(|panic| Failure::Broken(panic.to_string()))??;
        Ok(acknowledgement)
    }

    /// The notice's provider and content.
    async fn verify(
        &self,
        provider: &str,
        notice: &UnverifiedNotice,
    ) -> Result<(ProviderName, VerifiedNotice), NoticeError> {
        let name: ProviderName = provider.parse().map_err(|_| NoticeError::UnknownProvider)?;
        let provider = self.parts.oauth.provider(&name).ok_or(NoticeError::UnknownProvider)?;
        let verified = provider
            .verify_notice(notice)
            .await
            .inspect_err(|error| warn!(provider = %name, %error, "a notice of a provider was refused"))?;
        Ok((name, verified))
    }

    async fn keep(&self, notices: Vec<Notice>, unacknowledged: Unacknowledged) -> Result<(), Failure> {
        match self.store(&notices).await {
            Ok(()) => {
                self.woken.notify_one();
                Ok(())
            }
            Err(failure) => self.hold(notices, unacknowledged, failure),
        }
    }

    /// Stores notices with one write, within the provider's time limit.
    async fn store(&self, notices: &[Notice]) -> Result<(), Failure> {
        match timeout(STORE_PATIENCE, self.parts.store.store(notices)).await {
            Ok(outcome) => Ok(outcome.map(drop)?),
            Err(_) => Err(RepositoryError::Unavailable(format!("no response within {STORE_PATIENCE:?}")).into()),
        }
    }

    /// Holds notices that the store did not accept until it does. The provider gets an error unless it wants none.
    fn hold(&self, notices: Vec<Notice>, unacknowledged: Unacknowledged, failure: Failure) -> Result<(), Failure> {
        let provider = notices.first().map(|notice| notice.provider.to_string()).unwrap_or_default();
        let Ok(held) = self.held.push(notices, unacknowledged) else {
            error!(
                %provider, %failure,
                "the store does not accept a notice of a provider, and the memory for notices is full; the provider gets an error"
            );
            return Err(failure);
        };
        error!(
            %provider, %failure, held,
            "the store does not accept a notice of a provider; it is held in memory until the store is back, and would be lost with \
             this process"
        );
        self.woken.notify_one();
        match unacknowledged {
            Unacknowledged::Lost => Ok(()),
            Unacknowledged::Told => Err(failure),
        }
    }
}

#[cfg(test)]
mod tests;
