//! One session with the engine: subscribes to changes, reads the list, and reads it again after every change, until
//! either fails.

use std::{sync::Arc, time::Duration};

use tokio::{
    pin, select,
    time::{Instant, sleep, timeout},
};

use super::Containers;
use crate::domain::gateway::services::ports::{ContainerChanges, EngineError};

/// Time limit for a list. A hung engine counts as one that is away.
const LIST_TIMEOUT: Duration = Duration::from_secs(15);

/// The list is read at least this often, also without a change: a subscription can die in silence.
const LIST_EVERY: Duration = Duration::from_secs(30);

/// After a change, further changes are awaited for this long: a start of twenty containers is not twenty lists.
const SETTLES_AFTER: Duration = Duration::from_millis(50);

/// Why a session has ended.
pub(super) enum Ended {
    /// The engine gives no list.
    Away(EngineError),
    /// The engine tells no more changes.
    Unsubscribed(EngineError),
}

pub(super) struct Session {
    containers: Arc<Containers>,
    changes: Box<dyn ContainerChanges>,
    /// Whether something has changed since the beginning of the last list.
    has_changed: bool,
    lost: Option<EngineError>,
}

impl Session {
    pub(super) fn new(containers: Arc<Containers>) -> Self {
        let changes = containers.engine.changes();
        Self { containers, changes, has_changed: false, lost: None }
    }

    pub(super) async fn run(mut self) -> Ended {
        let began = Instant::now();
        loop {
            self.has_changed = false;
            let engine = Arc::clone(&self.containers.engine);
            match self.reading_changes(timeout(LIST_TIMEOUT, engine.containers())).await {
                Ok(Ok(list)) => self.containers.learn(list),
                Ok(Err(error)) => return Ended::Away(error),
                Err(_) => return Ended::Away(EngineError("it gives no list in time".to_owned())),
            }
            if began.elapsed() >= LIST_EVERY {
                self.containers.note_subscribed();
            }
            self.wait_for_change().await;
            if let Some(error) = self.lost {
                return Ended::Unsubscribed(error);
            }
            self.reading_changes(sleep(SETTLES_AFTER)).await;
        }
    }

    /// Waits until the list is to be read again.
    async fn wait_for_change(&mut self) {
        let pause = sleep(LIST_EVERY);
        pin!(pause);
        while !self.has_changed && self.lost.is_none() {
            select! {
                change = self.changes.next() => self.note(change),
                () = &mut pause => return,
            }
        }
    }

    /// Reads changes while something else is done. The first call subscribes, before the first list is asked for.
    async fn reading_changes<T>(&mut self, work: impl Future<Output = T>) -> T {
        pin!(work);
        loop {
            select! {
                biased;
                change = self.changes.next(), if self.lost.is_none() => self.note(change),
                output = &mut work => return output,
            }
        }
    }

    fn note(&mut self, change: Result<(), EngineError>) {
        match change {
            Ok(()) => self.has_changed = true,
            Err(error) => self.lost = Some(error),
        }
    }
}
