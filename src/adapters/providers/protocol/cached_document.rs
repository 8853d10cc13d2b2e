//! Documents of a provider that are fetched on demand and cached: its metadata, its keys.

use std::{future::Future, sync::Arc};

use arc_swap::ArcSwapOption;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Mutex;

use crate::{domain::gateway::services::ports::ProviderError, ports::Clock};

/// A document is fetched again after this time.
const MAX_AGE: TimeDelta = TimeDelta::hours(1);
/// The least time between two fetches of a document that exists: requests with unknown key ids must not cause a storm
/// of fetches.
const COOLDOWN: TimeDelta = TimeDelta::seconds(60);
/// The least time between two fetches while there is no document.
const RETRY: TimeDelta = TimeDelta::seconds(5);

/// A cached document.
pub(in crate::adapters::providers) struct CachedDocument<T> {
    clock: Arc<dyn Clock>,
    entry: ArcSwapOption<Entry<T>>,
    /// The last fetch. The lock allows one fetch at a time.
    attempt: Mutex<Option<Attempt>>,
}

/// A document as `obtain` returns it.
pub(in crate::adapters::providers) enum Obtained<T> {
    /// It is sufficient, or was fetched just now.
    Current(Arc<T>),
    /// It is old or insufficient. A new fetch failed, or was too soon.
    Earlier(Arc<T>),
}

struct Attempt {
    /// When the attempt ended, or began if it is still running. A caller that waited for a slow one need not start
    /// another.
    at: DateTime<Utc>,
    /// Why there is no document since then.
    failure: Option<ProviderError>,
}

struct Entry<T> {
    document: Arc<T>,
    fetched_at: DateTime<Utc>,
}

impl<T: Send + Sync> CachedDocument<T> {
    pub(in crate::adapters::providers) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, entry: ArcSwapOption::empty(), attempt: Mutex::new(None) }
    }

    /// The document. It is fetched if there is none, if it is old, or if it is not sufficient; but not again within the
    /// cooldown. When a fetch fails the old document stays.
    pub(in crate::adapters::providers) async fn get(
        &self,
        is_enough: impl Fn(&T) -> bool + Send,
        fetch: impl Future<Output = Result<T, ProviderError>> + Send,
    ) -> Result<Arc<T>, ProviderError> {
        self.obtain(is_enough, fetch).await.map(|obtained| match obtained {
            Obtained::Current(document) | Obtained::Earlier(document) => document,
        })
    }

    /// Like `get`, and says whether the provider may have a newer document.
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
            let unfinished = || ProviderError::Unavailable("the last request was not finished".to_owned());
            let old = old.ok_or_else(|| failure.clone().unwrap_or_else(unfinished));
            return old.map(Obtained::Earlier);
        }
        // The caller may be cancelled before the fetch ends.
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
                tracing::warn!(%error, "a provider's document cannot be fetched; the old one stays in use");
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

/// A clock that was set back must not block fetches until it has caught up.
fn is_within(now: DateTime<Utc>, since: DateTime<Utc>, span: TimeDelta) -> bool {
    (now - since).abs() < span
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::ports::testing::TestClock;

    #[tokio::test]
    async fn a_slow_failure_is_shared_with_waiting_callers() {
        let (clock, asked) = (TestClock::at(1_800_000_000), AtomicU32::new(0));
        let kept = CachedDocument::<()>::new(clock.clone());
        let get = || {
            kept.get(|()| true, async {
                asked.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                clock.pass(TimeDelta::seconds(10));
                Err(ProviderError::Unavailable("no response in time".to_owned()))
            })
        };
        let late = Err(ProviderError::Unavailable("no response in time".to_owned()));
        assert_eq!(tokio::join!(get(), get(), get()), (late.clone(), late.clone(), late.clone()));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        clock.pass(RETRY);
        assert_eq!((get().await, asked.load(Ordering::SeqCst)), (late, 2));
    }
}
