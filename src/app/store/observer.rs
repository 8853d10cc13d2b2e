//! What the watchers of the stores notice: an outage is logged once, and tasks that follow other replicas are woken.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tracing::{error, info};

use crate::domain::gateway::repositories::availability::Observer;

/// The interval of looks at the store where changes are announced: they make sure that the link works.
const WITH_ANNOUNCEMENTS: Duration = Duration::from_millis(500);

/// The same where nothing is announced: a revocation is to hold everywhere within a tenth of a second.
const WITHOUT_ANNOUNCEMENTS: Duration = Duration::from_millis(60);

/// The shortest pause between two looks.
const PAUSE: Duration = Duration::from_millis(15);

/// Logs outages, and wakes those that follow other replicas' changes.
#[derive(Default)]
pub(in crate::app) struct StoreObserver {
    changes: watch::Sender<u64>,
    hears: AtomicBool,
}

impl StoreObserver {
    /// For a task that follows changes.
    pub(in crate::app) fn follow(self: &Arc<Self>) -> Changes {
        Changes { observer: self.clone(), seen: self.changes.subscribe() }
    }
}

/// The changes that a task has not looked at.
pub(in crate::app) struct Changes {
    observer: Arc<StoreObserver>,
    seen: watch::Receiver<u64>,
}

impl Changes {
    /// Waits for a change, or until it is time to look for one.
    pub(in crate::app) async fn next(&mut self) {
        let hears = self.observer.hears.load(Ordering::Relaxed);
        let at_most = if hears { WITH_ANNOUNCEMENTS } else { WITHOUT_ANNOUNCEMENTS };
        // Anybody who may connect to the database can announce: that must not keep replicas busy.
        sleep(PAUSE).await;
        // The sender cannot be gone.
        let _ = timeout(at_most, self.seen.changed()).await;
    }
}

impl Observer for StoreObserver {
    fn is_away(&self, reason: &str) {
        error!("the store is away: {reason}. Until it is back, what needs it is refused at once");
    }

    fn is_back(&self, store: &str, after: Duration) {
        info!("{store} is back after {:.1} s", after.as_secs_f64());
    }

    fn hears(&self, announcements: bool) {
        self.hears.store(announcements, Ordering::Relaxed);
    }

    fn has_changed(&self) {
        self.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_change_is_looked_at_once_even_if_it_comes_between_two_looks() {
        let observer = Arc::<StoreObserver>::default();
        let mut changes = observer.follow();
        observer.hears(true);
        observer.has_changed();
        observer.has_changed();
        let began = Instant::now();
        changes.next().await;
        assert_eq!(began.elapsed(), PAUSE);
        changes.next().await;
        assert_eq!(began.elapsed(), 2 * PAUSE + WITH_ANNOUNCEMENTS);
        observer.hears(false);
        changes.next().await;
        assert_eq!(began.elapsed(), 3 * PAUSE + WITH_ANNOUNCEMENTS + WITHOUT_ANNOUNCEMENTS);
    }
}
