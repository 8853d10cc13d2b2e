//! Works notices off: on every replica, each notice under a lease, with a pause after a failure.

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

/// How often a replica looks for what others left behind. What it took itself it works off at once.
const EVERY: Duration = Duration::from_secs(5);
/// How often it tries to write what it holds.
const EVERY_WHILE_HOLDING: Duration = Duration::from_millis(500);
/// How long nobody else works on a notice that was claimed. If its holder was killed, another begins then; to apply it twice does no harm.
const LEASE: TimeDelta = TimeDelta::seconds(15);
/// How many are claimed at once.
const AT_ONCE: u64 = 20;
/// How long a process that ends tries to write what it holds.
const LAST_WRITES: Duration = Duration::from_secs(5);

impl NoticeService {
    /// Works notices off until told to stop; then writes what is held.
    pub async fn run(&self, mut stopped: watch::Receiver<bool>) {
        let mut failing = false;
        loop {
            let pause = if self.held.is_empty() { EVERY } else { EVERY_WHILE_HOLDING };
            tokio::select! {
                // An error means that nobody is left to tell.
                _ = stopped.wait_for(|stopped| *stopped) => break,
                () = self.woken.notified(), if self.held.is_empty() => {}
                () = sleep(pause) => {}
            }
            let outcome = self.round().await;
            match &outcome {
                Ok(()) if failing => info!("working off notices of providers works again"),
                Err(failure) if !failing => {
                    error!(%failure, "working off notices of providers fails; it is tried again");
                }
                Ok(()) | Err(_) => {}
            }
            failing = outcome.is_err();
        }
        self.drain().await;
    }

    /// Writes what is held, and applies everything that is due.
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

    /// Applies a notice. If that fails it is due again later; only a store that is away stops the round.
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
            info!(%provider, "what we had of somebody who asked for that at the provider is deleted");
        }
        if kind.revokes_grants() {
            let grants = oauth.revoked_at_provider(provider, subject, notice.concerns_until()).await?;
            info!(%provider, grants, "somebody's grants were taken back at the provider");
        }
        // Last: if something before it fails, all is done again, and what the person has opened since would end, too.
        if kind.ends_sessions() {
            let account = oauth.account_at(provider, subject).await?;
            if let Some(account) = account {
                accounts.end_everything_open(account).await?;
            }
            info!(%provider, known = account.is_some(), "the provider ended somebody's sessions; so were theirs here, with their tokens");
        }
        Ok(())
    }

    /// Writes what is held before the process ends. What cannot be written is told, so that it can be done by hand.
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
            error!(%provider, subject, kind, "a notice of a provider is lost: the store was away until the end of this process");
        }
    }
}
