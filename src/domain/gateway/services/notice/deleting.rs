//! A person's request to delete their data, sent by a provider.

use tracing::info;

use super::{NoticeError, NoticeRefusal, NoticeService, UnverifiedNotice};
use crate::domain::gateway::{
    models::{
        notice::{Notice, NoticeProgress},
        values::id::ConfirmationCode,
    },
    services::Failure,
};

impl NoticeService {
    /// Receives a person's request from a provider, and returns the code by which the person can check its progress.
    /// After success it is stored; otherwise the provider tells the person, who can ask again.
    pub async fn request_deletion(
        &self,
        provider: &str,
        notice: &UnverifiedNotice,
    ) -> Result<ConfirmationCode, NoticeError> {
        let (name, verified) = self.verify(provider, notice).await?;
        let event = verified.events.into_iter().next().ok_or(NoticeError::Refused(NoticeRefusal::Malformed))?;
        // A repeated request has the same code, and is carried out once.
        let any_code = || ConfirmationCode::from_random(self.parts.entropy.bytes());
        let code = verified.id.as_deref().map_or_else(any_code, Notice::deletion_code);
        let now = self.parts.clock.now();
        let deletion = Notice::deletion(name.clone(), event.subject, code, verified.sent_at, now);
        if deletion.is_stale(verified.issued_at) {
            return Err(NoticeError::Refused(NoticeRefusal::Malformed));
        }
        self.store(&[deletion]).await?;
        info!(provider = %name, "a person asks for the deletion of their data");
        self.woken.notify_one();
        Ok(code)
    }

    /// The progress of the request with this code; `None` if there is none, or it was long ago.
    pub async fn deletion(&self, code: &str) -> Result<Option<NoticeProgress>, Failure> {
        let Ok(code) = code.parse::<ConfirmationCode>() else { return Ok(None) };
        Ok(self.parts.store.progress(&Notice::deletion_digest(code)).await?)
    }
}
