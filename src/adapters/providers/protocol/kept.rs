//! Documents of a provider that are fetched when they are needed and kept: its metadata, its keys.

use std::{future::Future, sync::Arc};

use arc_swap::ArcSwapOption;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Mutex;

use crate::{domain::gateway::services::ports::ProviderError, ports::Clock};

/// After this a document is fetched again.
const MAX_AGE: TimeDelta = TimeDelta::hours(1);
/// Between two fetches of a document that is there: whoever brings ids of keys that do not exist causes no storm.
const COOLDOWN: TimeDelta = TimeDelta::seconds(60);
/// Between two fetches of a document that is not.
const RETRY: TimeDelta = TimeDelta::seconds(5);

/// A document that is kept.
pub(in crate::adapters::providers) struct Kept<T> {
    clock: Arc<dyn Clock>,
    entry: ArcSwapOption<Entry<T>>,
    /// The last fetch. One fetch at a time.
    attempt: Mutex<Option<Attempt>>,
}

/// A document, as `obtain` gives it.
pub(in crate::adapters::providers) enum Obtained<T> {
    /// It is enough, or it was fetched just now.
    Current(Arc<T>),
    /// It is old or not enough. It could not be fetched anew, or not so soon.
    Earlier(Arc<T>),
}

struct Attempt {
    /// When it ended, or began if it has not. A caller that waited for one that took long need not begin another.
    at: DateTime<Utc>,
    /// Why there is no document since.
    failure: Option<ProviderError>,
}

struct Entry<T> {
    document: Arc<T>,
    fetched_at: DateTime<Utc>,
}

impl<T: Send + Sync> Kept<T> {
    pub(in crate::adapters::providers) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, entry: ArcSwapOption::empty(), attempt: Mutex::new(None) }
    }

    /// The document. It is fetched if there is none, if it is old, or if it is not enough; but not again within the
    /// cooldown, and when that fails the old one stays.
    pub(in crate::adapters::providers) async fn get(
        &self,
        is_enough: impl Fn(&T) -> bool + Send,
        fetch: impl Future<Output = Result<T, ProviderError>> + Send,
    ) -> Result<Arc<T>, ProviderError> {
        self.obtain(is_enough, fetch).await.map(|obtained| match obtained {
            Obtained::Current(document) | Obtained::Earlier(document) => document,
        })
    }

    /// As `get`, and says whether the document may be another at the provider by now.
    pub(in crate::adapters::providers) async fn obtain(
        &self,
        is_enough: impl Fn(&T) -> bool + Send,
        fetch: impl Future<Output = Result<T, ProviderError>> + Send,
    ) -> Result<Obtained<T>, ProviderError> {
        if let Some(document) = self.good(&is_enough) {
            return Ok(Obtained::Current(document));
        }
        let mut attempt = self.attempt.lock().await;
        if let Some(document) = self.good(&is_enough) {
            return Ok(Obtained::Current(document));
        }
        let now = self.clock.now();
        let old = self.entry.load_full().map(|entry| Arc::clone(&entry.document));
        let pause = if old.is_some() { COOLDOWN } else { RETRY };
        if let Some(Attempt { failure, .. }) = attempt.as_ref().filter(|last| is_within(now, last.at, pause)) {
            let unfinished = || ProviderError::Unavailable("it could not be asked a moment ago".to_owned());
            let old = old.ok_or_else(|| failure.clone().unwrap_or_else(unfinished));
            return old.map(Obtained::Earlier);
        }
        // The caller may give up before the fetch ends.
        *attempt = Some(Attempt { at: now, failure: None });
        let fetched = fetch.await;
        *attempt = Some(Attempt { at: self.clock.now(), failure: fetched.as_ref().err().cloned() });
        match (fetched, old) {
            (Ok(document), _) => {
                let document = Arc::new(document);
                self.entry.store(Some(Arc::new(Entry { document: Arc::clone(&document), fetched_at: now })));
                Ok(Obtained::Current(document))
            }
            (Err(error), Some(old)) => {
                tracing::warn!(%error, "a provider's document cannot be fetched; the old one stays");
                Ok(Obtained::Earlier(old))
            }
            (Err(error), None) => Err(error),
        }
    }

    fn good(&self, is_enough: impl Fn(&T) -> bool) -> Option<Arc<T>> {
        let entry = self.entry.load_full()?;
        let good = is_within(self.clock.now(), entry.fetched_at, MAX_AGE) && is_enough(&entry.document);
        good.then(|| Arc::clone(&entry.document))
    }
}

/// A clock that was set back must not stop everything until it is where it was.
fn is_within(now: DateTime<Utc>, since: DateTime<Utc>, span: TimeDelta) -> bool {
    (now - since).abs() < span
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::domain::gateway::services::testing::TestClock;

    #[tokio::test]
    async fn whoever_waited_for_a_slow_failure_hears_of_it_and_asks_no_more() {
        let (clock, asked) = (TestClock::at(1_800_000_000), AtomicU32::new(0));
        let kept = Kept::<()>::new(clock.clone());
        let get = || {
            kept.get(|()| true, async {
                asked.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                clock.pass(TimeDelta::seconds(10));
                Err(ProviderError::Unavailable("no answer in time".to_owned()))
            })
        };
        let late = Err(ProviderError::Unavailable("no answer in time".to_owned()));
        assert_eq!(tokio::join!(get(), get(), get()), (late.clone(), late.clone(), late.clone()));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        clock.pass(RETRY);
        assert_eq!((get().await, asked.load(Ordering::SeqCst)), (late, 2));
    }
}
