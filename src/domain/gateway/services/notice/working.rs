//! Applies notices: on every replica, each notice under a lease, with a pause after a failure.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tracing::{error, info, warn};

use super::{NoticeParts, NoticeService};
use crate::domain::gateway::{
    models::notice::{ClaimedNotice, Notice, NoticeKind},
    services::Failure,
};

/// How often a replica looks for notices that others left behind. It applies its own at once.
const EVERY: Duration = Duration::from_secs(5);
/// How often it tries to write held notices.
const EVERY_WHILE_HOLDING: Duration = Duration::from_millis(500);
/// How long a claimed notice is left to its holder. If the holder was killed, another begins then; applying it twice is
/// harmless.
const LEASE: TimeDelta = TimeDelta::seconds(15);
/// The number that is claimed at once.
const AT_ONCE: u64 = 20;
/// How long an ending process tries to write held notices.
const LAST_WRITES: Duration = Duration::from_secs(5);

impl NoticeService {
    /// Applies notices until told to stop; then writes the held ones.
    pub async fn run(&self, mut stopped: watch::Receiver<bool>) {
        let mut failing = false;
        loop {
            let pause = if self.held.is_empty() { EVERY } else { EVERY_WHILE_HOLDING };
            tokio::select! {
                // An error means that the sender is gone.
                _ = stopped.wait_for(|stopped| *stopped) => break,
                () = self.woken.notified(), if self.held.is_empty() => {}
                () = sleep(pause) => {}
            }
            let outcome = self.round().await;
            match &outcome {
                Ok(()) if failing => info!("the processing of notices of providers works again"),
                Err(failure) if !failing => {
                    error!(%failure, "the processing of notices of providers fails; it is retried");
                }
                Ok(()) | Err(_) => {}
            }
            failing = outcome.is_err();
        }
        self.drain().await;
    }

    /// Writes held notices, and applies all that are due.
    pub async fn round(&self) -> Result<(), Failure> {
        let written = self.write_held().await?;
        if written > 0 {
            info!(written, "the store is back and has the notices of providers that were held in memory");
        }
        loop {
            let now = self.parts.clock.now();
            let claimed = self.parts.store.claim(now, now + LEASE, AT_ONCE).await?;
            if claimed.is_empty() {
                return Ok(());
            }
            for claimed in &claimed {
                self.work_on(claimed).await?;
            }
        }
    }

    /// Applies a notice. If that fails, it is due again later; only an unavailable store stops the round.
    async fn work_on(&self, claimed: &ClaimedNotice) -> Result<(), Failure> {
        let ClaimedNotice { notice, attempts } = claimed;
        let outcome = self.apply(notice).await;
        let now = self.parts.clock.now();
        match outcome {
            Ok(()) => Ok(self.parts.store.finish(&notice.digest, now, notice.known_until(now)).await?),
            Err(failure) => {
                let retry_at = claimed.retry_at(now);
                warn!(provider = %notice.provider, %failure, attempts, %retry_at, "a notice of a provider could not be applied");
                Ok(self.parts.store.postpone(&notice.digest, retry_at).await?)
            }
        }
    }

    async fn apply(&self, notice: &Notice) -> Result<(), Failure> {
        let Notice { provider, subject, kind, .. } = notice;
        let NoticeParts { oauth, accounts, .. } = &self.parts;
        if *kind == NoticeKind::DataDeletion {
            accounts.erase_identity(provider, subject, notice.concerns_until()).await?;
            info!(%provider, "the data of a person who asked for that at the provider are deleted");
        }
        if kind.revokes_grants() {
            let grants = oauth.revoked_at_provider(provider, subject, notice.concerns_until()).await?;
            info!(%provider, grants, "a person's grants were revoked at the provider");
        }
        // Last: if an earlier step fails, all steps are repeated, and sessions that the person has opened since would
        // end, too.
        if kind.ends_sessions() {
            let account = oauth.account_at(provider, subject).await?;
            if let Some(account) = account {
                accounts.end_everything_open(account).await?;
            }
            info!(%provider, known = account.is_some(), "the provider ended a person's sessions; their sessions and tokens here have ended, too");
        }
        Ok(())
    }

    /// Writes held notices before the process ends. Those that cannot be written are logged, so that they can be
    /// applied by hand.
    async fn drain(&self) {
        let writing = async {
            while let Err(failure) = self.write_held().await {
                warn!(%failure, "notices of providers are held in memory and cannot be written yet");
                sleep(EVERY_WHILE_HOLDING).await;
            }
        };
        if timeout(LAST_WRITES, writing).await.is_ok() {
            return;
        }
        for Notice { provider, subject, kind, .. } in self.held.take() {
            let kind = kind.as_str();
            error!(%provider, subject, kind, "a notice of a provider is lost: the store was unavailable until the end of this process");
        }
    }
}
