//! Notices that the store did not take, in memory: bounded, and written as soon as the store is back.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::NoticeService;
use crate::domain::gateway::{models::notice::Notice, services::Failure};

/// How many are held: some two megabytes.
const MOST_HELD: usize = 10_000;
/// How many are written at once.
const BATCH: usize = 100;

/// As many are held as may be.
#[derive(Debug)]
pub(super) struct Full;

/// What is held.
#[derive(Default)]
pub(super) struct Held(Mutex<VecDeque<Notice>>);

impl Held {
    /// Adds notices, all or none; says how many are held now.
    pub(super) fn push(&self, notices: Vec<Notice>) -> Result<usize, Full> {
        let mut held = self.lock();
        if held.len() + notices.len() > MOST_HELD {
            return Err(Full);
        }
        held.extend(notices);
        Ok(held.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// All that is held, which is held no longer.
    pub(super) fn take(&self) -> Vec<Notice> {
        self.lock().drain(..).collect()
    }

    fn oldest(&self) -> Vec<Notice> {
        self.lock().iter().take(BATCH).cloned().collect()
    }

    /// Drops the oldest, which are stored. Others were only added behind them.
    fn drop_oldest(&self, count: usize) {
        self.lock().drain(..count);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Notice>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NoticeService {
    /// Writes what is held, the oldest first; says how many were written. To be called by one task at a time.
    pub(super) async fn write_held(&self) -> Result<usize, Failure> {
        let mut written = 0;
        loop {
            let oldest = self.held.oldest();
            if oldest.is_empty() {
                return Ok(written);
            }
            self.store(&oldest).await?;
            self.held.drop_oldest(oldest.len());
            written += oldest.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::domain::gateway::models::notice::NoticeKind;

    fn notice(person: usize) -> Notice {
        let (provider, at) = ("kakao".parse().unwrap(), DateTime::UNIX_EPOCH);
        Notice::new(provider, person.to_string(), NoticeKind::GrantsRevoked, None, None, at)
    }

    #[test]
    fn as_many_are_held_as_may_be_and_in_order() {
        let held = Held::default();
        assert_eq!(held.push((0..MOST_HELD - 1).map(notice).collect()).unwrap(), MOST_HELD - 1);
        assert!(held.push(vec![notice(1), notice(2)]).is_err(), "all or none");
        assert_eq!(held.push(vec![notice(3)]).unwrap(), MOST_HELD);
        assert!(held.push(vec![notice(4)]).is_err());
        let subjects = |notices: &[Notice]| notices.iter().map(|notice| notice.subject.clone()).collect::<Vec<_>>();
        assert_eq!(subjects(&held.oldest()), (0..BATCH).map(|n| n.to_string()).collect::<Vec<_>>());
        held.drop_oldest(BATCH);
        assert_eq!(subjects(&held.oldest())[0], BATCH.to_string());
        held.push(vec![notice(5)]).unwrap();
        assert_eq!(held.take().last().unwrap().subject, "5");
        assert!(held.is_empty());
    }
}
