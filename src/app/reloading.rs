//! Reads the routes and services again when their files change, on SIGHUP and on `POST /reload`. New settings are used
//! whole or not at all: with a mistake anywhere in the files, the old ones stay.
//!
//! The files are polled, and their contents compared. Notifications of the system would be sooner, but they end unseen
//! when a file is replaced by another one (editors, `kubectl`, bind mounts), and file systems of containers have none.

mod changes;

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use tokio::{
    runtime::Handle,
    sync::{Mutex as AsyncMutex, Notify, watch},
    task::spawn_blocking,
    time::sleep,
};
use tracing::{info, warn};

pub(super) use self::changes::DocumentPaths;
use self::changes::{InWords, LivePart, is_empty};
use super::{
    background_tasks::until, development::Helpers, edge_ports::publisher::SnapshotPublisher, policies::FIRST_ANSWERS,
};
use crate::{
    api::{Refused, Reloading},
    config::{FileTexts, Mistakes, Reread, Settings, Sources},
    domain::gateway::{
        schemas::reload::{Reloaded, SettingsStatus},
        services::discovery::Discovery,
    },
    ports::Clock,
    problem::FieldError,
};

#[cfg(test)]
mod tests;

/// docs/routes.md states this interval, too.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A change is used once the files have stayed the same for this long: a file may be written in several steps, and what
/// is there between them may be valid, such as nothing.
const SETTLED_AFTER: Duration = Duration::from_millis(200);

/// Reads the settings again, one attempt at a time.
pub(super) struct Reloader {
    sources: Arc<Sources>,
    clock: Arc<dyn Clock>,
    timezone: Tz,
    control_runtime: Handle,
    /// Set when the start is complete.
    parts: OnceLock<ReloaderParts>,
    state: AsyncMutex<State>,
    standing: Mutex<Standing>,
    hang_up: Notify,
}

/// What a reload changes.
pub(super) struct ReloaderParts {
    pub(super) publisher: Arc<SnapshotPublisher>,
    pub(super) discovery: Arc<Discovery>,
    pub(super) documents: watch::Sender<Arc<DocumentPaths>>,
    /// They belong to every version of the settings.
    pub(super) helpers: Helpers,
}

/// Why the files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trigger {
    /// They have changed.
    Change,
    /// They were refused, and what they refer to may be there by now.
    Again,
    /// An operator says so.
    Operator,
}

#[derive(Default)]
struct State {
    in_force: LivePart,
    /// The texts of the last attempt.
    texts: Option<FileTexts>,
    /// The mistakes that were logged, while they last.
    told: Vec<String>,
    /// The variables that were logged as needing a restart.
    restart_told: Vec<String>,
}

/// What operators see.
struct Standing {
    read_at: DateTime<Utc>,
    refused: Option<(DateTime<Utc>, Vec<String>)>,
}

impl Reloader {
    /// For a gateway with the settings of these sources.
    pub(super) fn new(sources: Sources, clock: Arc<dyn Clock>, timezone: Tz) -> Arc<Self> {
        let standing = Standing { read_at: clock.now(), refused: None };
        Arc::new(Self {
            sources: Arc::new(sources),
            clock,
            timezone,
            control_runtime: Handle::current(),
            parts: OnceLock::new(),
            state: AsyncMutex::default(),
            standing: Mutex::new(standing),
            hang_up: Notify::new(),
        })
    }

    /// Begins to reload. `settings` are in force, with all that helpers have added. Called once.
    pub(super) async fn begin(&self, settings: Settings, parts: ReloaderParts) {
        self.state.lock().await.in_force = LivePart::of(settings);
        let _ = self.parts.set(parts);
    }

    /// SIGHUP has come.
    pub(super) fn hang_up(&self) {
        self.hang_up.notify_one();
    }

    /// Watches the files until told to stop.
    pub(super) async fn keep(self: Arc<Self>, stopped: watch::Receiver<bool>) {
        let stopped = until(stopped);
        tokio::pin!(stopped);
        let mut settling = Settling::default();
        loop {
            let pause = if settling.is_unsettled() { SETTLED_AFTER } else { LOOK_EVERY };
            tokio::select! {
                () = &mut stopped => return,
                () = self.hang_up.notified() => {
                    // Its outcome is in the log.
                    let _ = self.attempt(Trigger::Operator).await;
                    continue;
                }
                () = sleep(pause) => {}
            }
            let sources = Arc::clone(&self.sources);
            // It fails only on a panic; the next look may succeed.
            let Ok(Some(texts)) = spawn_blocking(move || sources.file_texts()).await else { continue };
            let is_known = self.state.lock().await.texts.as_ref() == Some(&texts);
            let trigger = match settling.look(texts, is_known) {
                Look::Known => self.standing().refused.is_some().then_some(Trigger::Again),
                Look::Settled => Some(Trigger::Change),
                Look::Unsettled => None,
            };
            if let Some(trigger) = trigger {
                let _ = self.attempt(trigger).await;
            }
        }
    }

    /// For `GET /status`; `None` while the gateway starts.
    pub(super) fn status(&self) -> Option<SettingsStatus> {
        self.parts.get()?;
        let standing = self.standing();
        Some(SettingsStatus::new(standing.read_at, standing.refused.clone(), self.timezone))
    }

    /// Reads the files, and uses them if they are valid.
    async fn attempt(&self, trigger: Trigger) -> Result<Reloaded, Refused> {
        // Held to the end: of two attempts the later one reads the newer files.
        let mut state = self.state.lock().await;
        let parts = self.parts.get().ok_or(Refused::NotNow)?;
        let sources = Arc::clone(&self.sources);
        let reading = spawn_blocking(move || {
            let texts = sources.file_texts()?;
            let reread = sources.reread(&texts);
            Some((texts, reread))
        });
        let Some((texts, Reread { settings, need_restart })) = reading.await.map_err(|_| Refused::NotNow)? else {
            return Ok(Reloaded::default());
        };
        let is_first = state.texts.replace(texts).is_none();
        state.tell_restart(&need_restart);
        match settings {
            Err(mistakes) => Err(self.refuse(&mut state, trigger, &mistakes)),
            Ok(mut settings) => {
                parts.helpers.add_to(&mut settings);
                let newer = LivePart::of(settings);
                let changes = Reloaded { need_restart, ..state.in_force.changes(&newer) };
                if !is_empty(&changes) {
                    parts.apply(&newer).await.map_err(|_| Refused::NotNow)?;
                    state.in_force = newer;
                }
                self.standing().read_at = self.clock.now();
                let was_refused = self.standing().refused.take().is_some();
                state.told.clear();
                let is_news = trigger == Trigger::Operator || was_refused || !is_first || !is_empty(&changes);
                if is_news {
                    info!("the settings were read again: {}", InWords(&changes));
                }
                Ok(changes)
            }
        }
    }

    fn refuse(&self, state: &mut State, trigger: Trigger, mistakes: &Mistakes) -> Refused {
        /// The log has as many mistakes of one file. `POST /reload` and `gateway check` list all.
        const MOST: usize = 20;
        let said: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        if is_news(trigger, &state.told, &said) {
            let more = said.len().saturating_sub(MOST);
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            let shown = said.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join("; ");
            warn!(
                mistakes = said.len(),
                "the changed settings are refused, and the old ones stay in force: {shown}{more}"
            );
        }
        let mut standing = self.standing();
        let since = standing.refused.take().map_or_else(|| self.clock.now(), |(since, _)| since);
        standing.refused = Some((since, said.clone()));
        state.told = said;
        let errors = mistakes.iter().map(|mistake| FieldError::new(mistake.place(), "invalid", mistake.problem()));
        Refused::Mistakes(errors.collect())
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        // A panic leaves nothing half done in it.
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether mistakes are logged: not again at every look at the same files.
fn is_news(trigger: Trigger, told: &[String], mistakes: &[String]) -> bool {
    match trigger {
        Trigger::Operator | Trigger::Change => true,
        Trigger::Again => told != mistakes,
    }
}

/// Waits until changed files stay the same.
#[derive(Default)]
struct Settling {
    unsettled: Option<FileTexts>,
}

/// What a look at the files has found.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    /// They are as they were at the last attempt.
    Known,
    /// They have changed, and have just done so.
    Unsettled,
    /// They have changed, and stay as they are.
    Settled,
}

impl Settling {
    fn is_unsettled(&self) -> bool {
        self.unsettled.is_some()
    }

    fn look(&mut self, texts: FileTexts, is_known: bool) -> Look {
        let before = self.unsettled.take();
        if is_known {
            Look::Known
        } else if before.as_ref() == Some(&texts) {
            Look::Settled
        } else {
            self.unsettled = Some(texts);
            Look::Unsettled
        }
    }
}

impl State {
    /// Logs the variables that a restart would change, if others were logged last.
    fn tell_restart(&mut self, need_restart: &[String]) {
        if self.restart_told != need_restart {
            if !need_restart.is_empty() {
                warn!("changed in .env, and used only after a restart: {}", need_restart.join(", "));
            }
            self.restart_told = need_restart.to_vec();
        }
    }
}

impl ReloaderParts {
    /// Publishes routes and services, as one change if the services change at all.
    async fn apply(&self, newer: &LivePart) -> Result<(), tokio::task::JoinError> {
        self.discovery.prepare(&newer.services, FIRST_ANSWERS).await;
        let (publisher, discovery) = (Arc::clone(&self.publisher), Arc::clone(&self.discovery));
        let (routes, services) = (newer.routes.clone(), newer.services.clone());
        // Building the table of many routes takes a while.
        spawn_blocking(move || {
            publisher.set_routes(routes);
            discovery.declare(services);
            publisher.publish_routes();
        })
        .await?;
        self.documents.send_replace(Arc::clone(&newer.documents));
        Ok(())
    }
}

/// As the admin listener sees it.
pub(super) struct OnDemand(pub(super) Arc<Reloader>);

#[async_trait]
impl Reloading for OnDemand {
    async fn reload(&self) -> Result<Reloaded, Refused> {
        let reloader = Arc::clone(&self.0);
        // The thread of the admin listener also serves probes.
        let attempt = self.0.control_runtime.spawn(async move { reloader.attempt(Trigger::Operator).await });
        attempt.await.unwrap_or(Err(Refused::NotNow))
    }
}
