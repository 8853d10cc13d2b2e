//! Watches the certificate's files and serves the newest pair. The two files are replaced one after the other: until
//! they match, the previous pair stays.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};
use tracing::{info, warn};

use crate::{
    app::{StartError, background_tasks::until},
    config::{TlsFiles, TlsPair, Unfit},
    edge::tls::Terminator,
    ports::Clock,
};

#[cfg(test)]
mod tests;

/// docs/tls-and-http2.md states this interval, too.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Watches the files, and holds the pair that is served.
pub(in crate::app) struct CertificateKeeper {
    files: TlsFiles,
    terminator: Arc<Terminator>,
    clock: Arc<dyn Clock>,
    served: TlsPair,
    /// The problem at the last check.
    refused: Option<String>,
    /// The problem that was logged, if it lasts.
    refusal_told: Option<String>,
    doubt_told: Option<String>,
}

/// The outcome of a check, for the log.
#[derive(Debug, PartialEq, Eq)]
enum News {
    /// A new certificate is served.
    Reloaded,
    /// The files are invalid.
    Refused(String),
    /// The files were reported as invalid, and now contain the served pair again.
    Mended,
}

impl CertificateKeeper {
    /// Loads the pair, which must be valid.
    pub(in crate::app) fn open(files: TlsFiles, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let served = files.load().map_err(|why| StartError::Certificate(listed(&why)))?;
        let terminator = Arc::new(Terminator::new(Arc::clone(&served.certified)).map_err(StartError::Tls)?);
        info!(valid_until = %served.not_after, "clients are served over TLS");
        Ok(Self { files, terminator, clock, served, refused: None, refusal_told: None, doubt_told: None })
    }

    /// The TLS acceptor, always with the newest pair.
    pub(in crate::app) fn terminator(&self) -> Arc<Terminator> {
        Arc::clone(&self.terminator)
    }

    /// Checks periodically until told to stop.
    pub(in crate::app) async fn keep(mut self, stopped: watch::Receiver<bool>) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stopped = until(stopped);
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                () = &mut stopped => return,
                _ = ticks.tick() => {}
            }
            let files = self.files.clone();
            // It fails only on a panic; the next check may succeed.
            if let Ok(found) = spawn_blocking(move || files.load()).await {
                let news = self.consider(found);
                self.tell(news);
            }
            if let Some(warning) = self.date_warning() {
                warn!("{warning}");
            }
        }
    }

    fn tell(&self, news: Option<News>) {
        match news {
            Some(News::Reloaded) => {
                let valid_until = self.served.not_after;
                info!(%valid_until, "the certificate was replaced: new connections get the new one");
            }
            Some(News::Refused(why)) => {
                warn!(%why, "the files of the certificate are invalid: the old one stays in use");
            }
            Some(News::Mended) => info!("the files of the certificate are valid again"),
            None => {}
        }
    }

    fn consider(&mut self, found: Result<TlsPair, Vec<Unfit>>) -> Option<News> {
        let pair = match found {
            Ok(pair) => pair,
            Err(why) => return self.refuse(listed(&why)),
        };
        let is_new = !pair.is_same(&self.served);
        if is_new {
            if let Err(error) = self.terminator.replace(Arc::clone(&pair.certified)) {
                return self.refuse(error.to_string());
            }
            self.served = pair;
        }
        self.refused = None;
        let was_told = self.refusal_told.take().is_some();
        if is_new { Some(News::Reloaded) } else { was_told.then_some(News::Mended) }
    }

    /// Reports a problem once, at the second check: by then a replacement of both files is usually complete.
    fn refuse(&mut self, why: String) -> Option<News> {
        let stays = self.refused.as_ref() == Some(&why);
        let is_news = stays && self.refusal_told.as_ref() != Some(&why);
        self.refused = Some(why.clone());
        is_news.then(|| {
            self.refusal_told = Some(why.clone());
            News::Refused(why)
        })
    }

    /// Why clients will reject the served certificate, reported once: certificates also expire without any change.
    fn date_warning(&mut self) -> Option<String> {
        let date_warning = self.served.date_warning(self.clock.now());
        let is_news = date_warning != self.doubt_told;
        self.doubt_told.clone_from(&date_warning);
        date_warning.filter(|_| is_news)
    }
}

fn listed(why: &[Unfit]) -> String {
    why.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
