//! Whether a store can be reached. Its watcher decides that; while it cannot, operations fail at once instead of each
//! waiting for its own timeout.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use thiserror::Error;
use tokio::sync::{Notify, watch};

/// Is told what the watcher of a store notices.
pub trait Observer: Send + Sync {
    /// The store cannot be reached, or accepts no writes.
    fn is_away(&self, reason: &str);

    /// The outage is over.
    fn is_back(&self, store: &str, after: Duration);

    /// Whether the store announces what other replicas change.
    fn hears(&self, announcements: bool);

    /// Another replica may have changed something.
    fn has_changed(&self);
}

/// Whether one store can be reached: shared by its connections and its watcher.
#[derive(Debug, Clone, Default)]
pub struct Availability(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    outage: watch::Sender<Option<Outage>>,
    doubted: Notify,
}

/// A store that cannot be reached.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct Outage {
    /// When it was noticed.
    pub since: Instant,
    /// The cause. For the log, never for a caller.
    pub reason: String,
}

impl Availability {
    /// The outage that lasts, if there is one.
    pub fn outage(&self) -> Option<Outage> {
        self.0.outage.borrow().clone()
    }

    /// The result of an operation, unless there is an outage before it ends.
    ///
    /// # Errors
    /// The outage.
    pub async fn unless_away<T>(&self, operation: impl Future<Output = T>) -> Result<T, Outage> {
        let mut outage = self.0.outage.subscribe();
        // The sender cannot be gone.
        let away = async { outage.wait_for(Option::is_some).await.ok().and_then(|outage| outage.clone()) };
        tokio::select! {
            biased;
            Some(outage) = away => Err(outage),
            outcome = operation => Ok(outcome),
        }
    }

    /// An operation has failed as if the store could not be reached: its watcher looks at once.
    pub fn doubt(&self) {
        self.0.doubted.notify_one();
    }

    /// Waits until an operation has failed like that.
    pub async fn doubted(&self) {
        self.0.doubted.notified().await;
    }

    /// The store, which has this name, responds.
    pub fn responds(&self, store: &str, observer: &dyn Observer) {
        if self.0.outage.borrow().is_some()
            && let Some(outage) = self.0.outage.send_replace(None)
        {
            observer.is_back(store, outage.since.elapsed());
        }
    }

    /// The store does not respond.
    pub fn is_away(&self, now: Instant, reason: &str, observer: &dyn Observer) {
        let is_new = self.0.outage.send_if_modified(|outage| {
            let is_new = outage.is_none();
            let since = outage.as_ref().map_or(now, |outage| outage.since);
            *outage = Some(Outage { since, reason: reason.to_owned() });
            is_new
        });
        if is_new {
            observer.is_away(reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, ready},
        sync::Mutex,
    };

    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Observer for Heard {
        fn is_away(&self, reason: &str) {
            self.0.lock().unwrap().push(reason.to_owned());
        }

        fn is_back(&self, store: &str, _: Duration) {
            self.0.lock().unwrap().push(format!("{store} is back"));
        }

        fn hears(&self, _: bool) {}

        fn has_changed(&self) {}
    }

    #[tokio::test]
    async fn an_outage_ends_waiting_operations_and_refuses_new_ones() {
        let (store, heard) = (Availability::default(), Heard::default());
        assert_eq!(store.unless_away(ready(1)).await, Ok(1));
        let began = Instant::now();
        let (waiting, ()) = tokio::join!(store.unless_away(pending::<()>()), async {
            tokio::task::yield_now().await;
            store.is_away(began, "refused", &heard);
        });
        let outage = Outage { since: began, reason: "refused".to_owned() };
        assert_eq!(waiting, Err(outage.clone()));
        assert_eq!(store.unless_away(ready(1)).await, Err(outage));
        // The cause may change while the outage lasts.
        store.is_away(Instant::now(), "no response", &heard);
        assert_eq!(store.outage(), Some(Outage { since: began, reason: "no response".to_owned() }));
        store.responds("the store", &heard);
        store.responds("the store", &heard);
        assert_eq!((store.outage(), store.unless_away(ready(1)).await), (None, Ok(1)));
        assert_eq!(*heard.0.lock().unwrap(), ["refused", "the store is back"], "once each");
    }

    #[tokio::test]
    async fn doubt_reaches_a_watcher_that_was_busy() {
        let store = Availability::default();
        store.doubt();
        store.doubt();
        store.doubted().await;
        assert!(tokio::time::timeout(Duration::ZERO, store.doubted()).await.is_err(), "once is enough");
    }
}
